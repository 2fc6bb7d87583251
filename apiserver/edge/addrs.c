#include "apiserver/edge/addrs.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/base/mem.h"

struct entry {
	UT_hash_handle hh;
	struct peer_addr party;
	size_t n;
};

struct addrs {
	struct entry *entries;
};

struct addrs *
addrs_new(void)
{
	return mem_zalloc(sizeof(struct addrs));
}

void
addrs_free(struct addrs *a)
{
	struct entry *e, *next;

	if (!a)
		return;
	HASH_ITER (hh, a->entries, e, next) {
		HASH_DEL(a->entries, e);
		free(e);
	}
	free(a);
}

static struct entry *
find(const struct addrs *a, const struct peer_addr *party)
{
	struct entry *e;

	HASH_FIND(hh, a->entries, party, sizeof(*party), e);
	return e;
}

size_t
addrs_add(struct addrs *a, const struct peer_addr *addr)
{
	const struct peer_addr party = peer_party(addr);
	struct entry *e = find(a, &party);

	if (!e) {
		e = mem_zalloc(sizeof(*e));
		e->party = party;
		HASH_ADD(hh, a->entries, party, sizeof(e->party), e);
	}
	return ++e->n;
}

void
addrs_remove(struct addrs *a, const struct peer_addr *addr)
{
	const struct peer_addr party = peer_party(addr);
	struct entry *e = find(a, &party);

	if (!e || --e->n > 0)
		return;
	HASH_DEL(a->entries, e);
	free(e);
}
