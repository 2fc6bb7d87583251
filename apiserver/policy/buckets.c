#include "apiserver/policy/buckets.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"

/* Of a token: a rate of n thousandths an hour is n parts a ms. */
#define PARTS ((int64_t)3600 * 1000 * 1000)

struct bucket {
	UT_hash_handle hh;
	int64_t parts; /* as of used_ms */
	int64_t used_ms;
	char name[];
};

struct buckets {
	struct buckets_opts opts;
	struct bucket *all; /* the one used least lately first */
};

static int64_t
full_parts(const struct buckets *b)
{
	return b->opts.burst * PARTS;
}

struct buckets *
buckets_new(const struct buckets_opts *opts)
{
	struct buckets *b = mem_zalloc(sizeof(*b));

	b->opts = *opts;
	/* Forgetting one earlier would make it full earlier. */
	if (b->opts.ttl_ms < full_parts(b) / b->opts.rate)
		b->opts.ttl_ms = full_parts(b) / b->opts.rate;
	return b;
}

static void
drop(struct buckets *b, struct bucket *one)
{
	HASH_DEL(b->all, one);
	free(one);
}

void
buckets_free(struct buckets *b)
{
	struct bucket *one, *next;

	if (!b)
		return;
	HASH_ITER (hh, b->all, one, next)
		drop(b, one);
	free(b);
}

size_t
buckets_count(const struct buckets *b)
{
	return HASH_COUNT(b->all);
}

static int64_t
parts_now(const struct buckets *b, const struct bucket *one, int64_t now_ms)
{
	int64_t full = full_parts(b);
	int64_t idle_ms = now_ms - one->used_ms;

	if (idle_ms > full / b->opts.rate)
		return full;
	idle_ms = one->parts + idle_ms * b->opts.rate;
	return idle_ms < full ? idle_ms : full;
}

bool
buckets_has(const struct buckets *b, const char *name, int64_t now_ms)
{
	const struct bucket *one;

	HASH_FIND_STR(b->all, name, one);
	return !one || parts_now(b, one, now_ms) >= PARTS;
}

int64_t
buckets_wait_ms(const struct buckets *b, const char *name, int64_t now_ms)
{
	const struct bucket *one;
	int64_t missing;

	HASH_FIND_STR(b->all, name, one);
	missing = one ? PARTS - parts_now(b, one, now_ms) : 0;
	return missing > 0 ? (missing + b->opts.rate - 1) / b->opts.rate : 0;
}

static struct bucket *
add(struct buckets *b, const char *name, int64_t now_ms)
{
	size_t size = strlen(name) + 1;
	struct bucket *one;

	while (b->all && (HASH_COUNT(b->all) >= b->opts.max ||
			     now_ms - b->all->used_ms > b->opts.ttl_ms))
		drop(b, b->all);
	one = mem_zalloc(sizeof(*one) + size);
	memcpy(one->name, name, size);
	one->parts = full_parts(b);
	one->used_ms = now_ms;
	HASH_ADD_STR(b->all, name, one);
	return one;
}

bool
buckets_take(struct buckets *b, const char *name, int64_t now_ms)
{
	struct bucket *one;

	HASH_FIND_STR(b->all, name, one);
	if (!one) {
		one = add(b, name, now_ms);
	} else { /* to the end of the line */
		HASH_DEL(b->all, one);
		HASH_ADD_STR(b->all, name, one);
	}
	one->parts = parts_now(b, one, now_ms);
	one->used_ms = now_ms;
	if (one->parts < PARTS)
		return false;
	one->parts -= PARTS;
	return true;
}
