/*
 * buckets: token buckets by name, of one rate and size.
 *
 * Their number is bounded: what was used least lately leaves first, and what
 * was idle for the time to live, and is full again, leaves by itself; one that
 * comes back is full.
 * Event loop only.
 */
#ifndef APISERVER_POLICY_BUCKETS_H
#define APISERVER_POLICY_BUCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buckets; /* defined in buckets.c */

struct buckets_opts {
	int64_t rate;  /* thousandths of a token an hour */
	int64_t burst; /* tokens of a full one */
	int64_t ttl_ms;
	size_t max; /* buckets */
};

struct buckets *buckets_new(const struct buckets_opts *opts);
void buckets_free(struct buckets *b);
/* Whether a token is there; takes none. */
bool buckets_has(const struct buckets *b, const char *name, int64_t now_ms);
/* Takes a token; false: there is none. */
bool buckets_take(struct buckets *b, const char *name, int64_t now_ms);
/* Until there will be one; 0: there is. */
int64_t buckets_wait_ms(const struct buckets *b, const char *name,
    int64_t now_ms);
size_t buckets_count(const struct buckets *b);

#endif
