#include "apiserver/live/cache.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"

struct entry {
	UT_hash_handle hh; /* keeps the order of insertion as well */
	void *value;
	int64_t until_ms;
	char key[];
};

struct cache {
	struct entry *entries;
	size_t max;
	void (*drop)(void *value);
};

struct cache *
cache_new(size_t max, void (*drop)(void *value))
{
	struct cache *c = mem_zalloc(sizeof(*c));

	c->max = max;
	c->drop = drop;
	return c;
}

static void
remove_entry(struct cache *c, struct entry *e)
{
	HASH_DEL(c->entries, e);
	if (c->drop)
		c->drop(e->value);
	free(e);
}

void
cache_free(struct cache *c)
{
	struct entry *e, *next;

	if (!c)
		return;
	HASH_ITER (hh, c->entries, e, next)
		remove_entry(c, e);
	free(c);
}

static struct entry *
find(struct cache *c, const char *key)
{
	struct entry *e;

	HASH_FIND_STR(c->entries, key, e);
	return e;
}

void
cache_put(struct cache *c, const char *key, void *value, int64_t now_ms,
    int64_t ttl_ms)
{
	size_t len = strlen(key);
	struct entry *e = find(c, key);

	if (e)
		remove_entry(c, e);
	if (cache_count(c) >= c->max)
		remove_entry(c, c->entries);
	e = mem_zalloc(sizeof(*e) + len + 1);
	memcpy(e->key, key, len + 1);
	e->value = value;
	e->until_ms = now_ms + ttl_ms;
	HASH_ADD_KEYPTR(hh, c->entries, e->key, len, e);
}

void *
cache_get(struct cache *c, const char *key, int64_t now_ms)
{
	struct entry *e = find(c, key);

	if (e && e->until_ms <= now_ms) {
		remove_entry(c, e);
		return NULL;
	}
	return e ? e->value : NULL;
}

void
cache_drop(struct cache *c, const char *key)
{
	struct entry *e = find(c, key);

	if (e)
		remove_entry(c, e);
}

size_t
cache_count(const struct cache *c)
{
	return HASH_COUNT(c->entries);
}
