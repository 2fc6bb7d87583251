/*
 * eventlog: the live events of this process, read once for all who listen.
 *
 * While somebody listens, one statement every quarter of a second, sooner
 * after a hint of the bus, reads what is new (Q_EVENTS_LOOK), whatever the
 * number of listeners; with none there is no statement.  What was read stays in
 * memory for some time, each event once.  A listener is an op that has a place
 * in it and sends what comes behind, as fast as its client takes it: no client
 * has bytes of its own here but what its connection holds.  One whose place is
 * past, or whose client takes nothing for some time, is dropped.  Event loop
 * only.
 */
#ifndef APISERVER_LIVE_EVENTLOG_H
#define APISERVER_LIVE_EVENTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/live/event.h"
#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

struct eventlog; /* defined in eventlog.c */
struct listener; /* defined in eventlog.c */

struct eventlog_opts {
	struct db_pool *pool; /* for looks */
	size_t max;           /* listeners */
	size_t max_per_key;
	/* Somebody's key or role changed: what was remembered of them holds no
	 * more. */
	void (*on_access)(void *arg);
	void *arg;
};

struct eventlog *eventlog_new(struct loop *l, const struct eventlog_opts *opts);
/* All listeners are gone. */
void eventlog_free(struct eventlog *g);
/* The bus, or this process itself, says that something may be new. */
void eventlog_hint(struct eventlog *g);
/* Keys were read anew: listeners are asked for theirs again. */
void eventlog_access(struct eventlog *g);
/* The process ends: what listens goes on now, and ends. */
void eventlog_stop(struct eventlog *g);
bool eventlog_is_stopping(const struct eventlog *g);
/* How many listen, and what was done, for the metrics. */
void eventlog_write(const struct eventlog *g, const char *prefix,
    struct buf *b);

/*
 * op becomes a listener, until it ends.  who: whose key it is.  RC_UNAVAILABLE:
 * there are too many, of that key or in all; *out_why says which.
 */
rc eventlog_join(struct eventlog *g, struct op *op, const char *who,
    bool wants_conditions, struct listener **out,
    const char **out_why) MUST_CHECK;
/* Whether what was committed before it joined is known by now; until then it
 * waits (listener_wait). */
bool listener_is_ready(const struct listener *l);
/* It begins with what comes from now on. */
void listener_begin(struct listener *l);
/* It goes on behind that place.  RC_NOT_FOUND: that is too long ago for what is
 * in memory, or not known to be there: ask the database. */
rc listener_seek(struct listener *l,
    const struct event_place *place) MUST_CHECK;
/* The same, of a place that the database has told of just now. */
rc listener_go_on(struct listener *l,
    const struct event_place *place) MUST_CHECK;
/* The next one, or NULL: there is none yet. */
const struct event *listener_next(struct listener *l);
/* That one is done with. */
void listener_pass(struct listener *l);
/* How far it has come. */
void listener_place(const struct listener *l, struct event_place *out);
/* Its client is sent something, or has taken it. */
void listener_sends(struct listener *l, size_t nevents);
void listener_sent(struct listener *l);
/* It was too slow; told and counted. */
bool listener_is_dropped(struct listener *l);
/* Whether keys were read anew since it was asked. */
bool listener_must_check(struct listener *l);
/* Waits for the next event, or max_ms. */
enum op_next listener_wait(struct listener *l, int64_t max_ms, op_step *next);

#endif
