/*
 * What the end of a statement means, whichever it was.
 */
#include <string.h>

#include "common/log/log.h"
#include "scheduler/dispatch_int.h"

/* What the database's functions raise when the term is over. */
#define SQLSTATE_TERM_OVER "CT001"

void
dispatch_failed(struct dispatch *d, const char *what,
    const struct db_outcome *o)
{
	int64_t now = loop_now_ms(d->o.loop);

	if (strcmp(o->error.sqlstate, SQLSTATE_TERM_OVER) == 0) {
		leader_distrust(d->o.leader, d->term, o->error.message);
		return;
	}
	if (now - d->failure_logged_ms < DISPATCH_LOG_EVERY_MS)
		return;
	d->failure_logged_ms = now;
	log_warn("DISPATCH-FAILED", "%s: %s %s %s, trying again", what,
	    rc_name(o->code), o->error.sqlstate, o->error.message);
}

int64_t
dispatch_full_every(int64_t took_ms)
{
	int64_t every = took_ms * DISPATCH_FULL_SHARE;

	if (every < DISPATCH_FULL_MS)
		return DISPATCH_FULL_MS;
	return every < DISPATCH_FULL_MAX_MS ? every : DISPATCH_FULL_MAX_MS;
}
