/*
 * lookup: hosts' names to their addresses, without blocking the loop.
 *
 * For connections that a library would make with a look-up of its own, which
 * stops the whole process.  Reads /etc/hosts and resolv.conf, now and then
 * anew.
 */
#ifndef COMMON_LOOP_LOOKUP_H
#define COMMON_LOOP_LOOKUP_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/loop/loop.h"

enum {
	LOOKUP_ADDRS_MAX = 8,  /* of one name */
	LOOKUP_ADDR_SIZE = 46, /* an address as text */
};

struct evdns_base;
struct lookup; /* defined in lookup.c */

/* Embedded; the members are lookup.c's and its tests'. */
struct resolver {
	struct loop *loop;
	struct evdns_base *dns; /* made at the first look-up */
	int64_t made_ms;
	TAILQ_HEAD(, lookup) lookups; /* that it has not answered */
};

/* Called once, not from inside lookup_start; n 0: it was not found. */
typedef void lookup_fn(void *arg, const char (*addrs)[LOOKUP_ADDR_SIZE],
    size_t n);

void resolver_init(struct resolver *of, struct loop *l);
/* Nobody may wait any more; calls nobody back. */
void resolver_fini(struct resolver *of);

/* Whether connecting to it takes a look-up: no address, directory or abstract
 * socket. */
bool lookup_is_needed(const char *host);
/* The caller frees what is returned. */
struct lookup *lookup_start(struct resolver *of, const char *host,
    lookup_fn *done, void *arg);
/* Forgets the callback; also needed after it was called.  NULL: no-op. */
void lookup_free(struct lookup *r);

#endif
