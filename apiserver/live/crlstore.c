#include "apiserver/live/crlstore.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/base/enc.h"
#include "common/base/mem.h"

/* In the order of their last use: uthash keeps the order of insertion. */
struct entry {
	UT_hash_handle hh;
	char *issuer_id;
	char *etag;
	uint8_t *der;
	size_t len;
};

struct crlstore {
	struct entry *entries;
	size_t bytes, max_bytes;
};

struct crlstore *
crlstore_new(size_t max_bytes)
{
	struct crlstore *s = mem_zalloc(sizeof(*s));

	s->max_bytes = max_bytes;
	return s;
}

static void
drop(struct crlstore *s, struct entry *e)
{
	HASH_DEL(s->entries, e);
	s->bytes -= e->len;
	free(e->issuer_id);
	free(e->etag);
	free(e->der);
	free(e);
}

void
crlstore_free(struct crlstore *s)
{
	struct entry *e, *next;

	if (!s)
		return;
	HASH_ITER (hh, s->entries, e, next)
		drop(s, e);
	free(s);
}

static void
add(struct crlstore *s, struct entry *e)
{
	HASH_ADD_KEYPTR(hh, s->entries, e->issuer_id, strlen(e->issuer_id), e);
}

struct span
crlstore_get(struct crlstore *s, const char *issuer_id, const char *etag)
{
	struct entry *e;

	HASH_FIND_STR(s->entries, issuer_id, e);
	if (!e || strcmp(e->etag, etag) != 0)
		return (struct span){NULL, 0};
	HASH_DEL(s->entries, e);
	add(s, e);
	return (struct span){e->der, e->len};
}

struct span
crlstore_put(struct crlstore *s, const char *issuer_id, const char *etag,
    const char *hex)
{
	size_t len = strlen(hex) / 2;
	struct entry *e, *next;
	uint8_t *der = mem_zalloc(len + 1);

	if (len == 0 || enc_unhex(hex, der, len) != RC_OK) {
		free(der);
		return (struct span){NULL, 0};
	}
	HASH_FIND_STR(s->entries, issuer_id, e);
	if (e)
		drop(s, e);
	/* The one that is sent now stays, whatever its size. */
	HASH_ITER (hh, s->entries, e, next) {
		if (s->bytes + len <= s->max_bytes)
			break;
		drop(s, e);
	}
	e = mem_zalloc(sizeof(*e));
	e->issuer_id = mem_strdup(issuer_id);
	e->etag = mem_strdup(etag);
	e->der = der;
	e->len = len;
	s->bytes += len;
	add(s, e);
	return (struct span){der, len};
}
