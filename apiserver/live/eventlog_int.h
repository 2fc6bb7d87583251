/*
 * eventlog_int: what eventlog.c and listener.c share, and nobody else: the log
 * with its listeners.  eventlog.c calls listener.c, never the other way.
 */
#ifndef APISERVER_LIVE_EVENTLOG_INT_H
#define APISERVER_LIVE_EVENTLOG_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "apiserver/live/eventlog.h"
#include "apiserver/live/eventring.h"

struct holder; /* listener.c */
struct listener;

struct eventlog {
	struct loop *loop;
	struct eventlog_opts opts;
	struct timer *tick;
	LIST_HEAD(, listener) listeners;
	size_t n, nconditions;
	struct holder *holders; /* by their keys */
	bool is_stopping;

	struct eventring ring;

	struct db_req *look, *conditions;
	uint64_t nlooks, nlooked;       /* begun; done with success */
	int64_t look_ms, conditions_ms; /* when the last began */
	bool is_hinted;
	bool has_failed; /* said so */

	uint64_t nread, nsent, nslow, nrefused;
};

/* As eventlog_join, which also hints. */
rc listener_new(struct eventlog *g, struct op *op, const char *who,
    bool wants_conditions, struct listener **out,
    const char **out_why) MUST_CHECK;
/* All go on. */
void listeners_wake(struct eventlog *g);
/* The same, and each is asked for its key again. */
void listeners_check(struct eventlog *g);
/* Those whose clients take nothing are dropped. */
void listeners_drop_slow(struct eventlog *g);
/* Their places are of what is no more: they see what comes from now on. */
void listeners_lose_place(struct eventlog *g);

#endif
