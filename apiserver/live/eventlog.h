/*
 * eventlog: the live events of this process, read once for all who listen.
 *
 * While somebody listens, one statement every quarter of a second, sooner
 * after a hint of the bus, reads what is new (Q_EVENTS_LOOK), whatever the
 * number of listeners; with none there is no statement.  What was read stays in
 * memory for some time (eventring.h), each event once, for all listeners
 * (listener.h): no client has bytes of its own here but what its connection
 * holds.  Event loop only.
 */
#ifndef APISERVER_LIVE_EVENTLOG_H
#define APISERVER_LIVE_EVENTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

struct eventlog; /* eventlog_int.h */
struct listener; /* listener.h */

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

#endif
