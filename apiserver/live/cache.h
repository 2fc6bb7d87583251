/*
 * cache: a bounded map from text to an object, each for a limited time.
 *
 * When full, the oldest entry leaves.  Call from the event loop only.
 */
#ifndef APISERVER_LIVE_CACHE_H
#define APISERVER_LIVE_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct cache; /* defined in cache.c */

/* drop frees a value; it may be NULL. */
struct cache *cache_new(size_t max, void (*drop)(void *value));
void cache_free(struct cache *c);
/* Owns value from here on; replaces an entry of that key. */
void cache_put(struct cache *c, const char *key, void *value, int64_t now_ms,
    int64_t ttl_ms);
/* NULL when there is none that is still good. */
void *cache_get(struct cache *c, const char *key, int64_t now_ms);
void cache_drop(struct cache *c, const char *key);
size_t cache_count(const struct cache *c);

#endif
