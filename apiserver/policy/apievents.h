/*
 * apievents: an event of the audit trail for each request of a known caller,
 * whether it changed anything or not (CERTCTL_AUDIT_API_EVENTS).
 *
 * What changes something leaves events of its own in its own transaction; these
 * come after the answer, up to a thousand in a statement, and a process that is
 * killed loses those of its last moment.  What the database did not take is
 * tried again; what comes while two thousand wait is left out, and the log
 * tells how many.  Event loop only.
 */
#ifndef APISERVER_POLICY_APIEVENTS_H
#define APISERVER_POLICY_APIEVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "apiserver/policy/path.h"
#include "common/db/db.h"
#include "common/loop/loop.h"

struct apievents; /* defined in apievents.c */

struct apievents *apievents_new(struct loop *l, struct db_pool *pool);
/* NULL is a no-op.  The log tells of what is missing in the trail then. */
void apievents_free(struct apievents *e);
/* Writes what waits, at the process's end.  done is called once that is
 * written, could not be, or took longer than patience_ms; never from inside
 * this call. */
void apievents_flush(struct apievents *e, int64_t patience_ms, loop_fn *done,
    void *arg);

struct apievent {
	const char *actor;
	const char *method;
	const struct path *path; /* its query is left out */
	const void *body;        /* its SHA-256 is told; NULL: none */
	size_t body_len;
	int status;
	int64_t latency_ms;
};

/* All of it is copied. */
void apievents_note(struct apievents *e, const struct apievent *event);

#endif
