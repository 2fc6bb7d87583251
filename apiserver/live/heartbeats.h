/*
 * heartbeats: many agents' signs of life, few statements.
 *
 * A heartbeat waits until one of at most two statements in flight is done;
 * then all that wait go together, as one UPDATE from arrays, sorted by id and
 * without doubles.  Each is answered after that statement's commit.  With
 * little to do a batch is one heartbeat, and nothing waits on a timer but what
 * finds its agent's row held by somebody: it is tried again for two seconds.
 */
#ifndef APISERVER_LIVE_HEARTBEATS_H
#define APISERVER_LIVE_HEARTBEATS_H

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

/* The columns of the statement, in its order. */
enum beat_field {
	BEAT_ID,
	BEAT_VERSION,
	BEAT_HOSTNAME,
	BEAT_OS,
	BEAT_ARCHITECTURE,
	BEAT_IP_ADDRESS,
	BEAT_SERVED, /* the digest of what its targets serve */
	BEAT_NFIELDS
};

struct heartbeats; /* defined in heartbeats.c */
struct beat;       /* defined in heartbeats.c */

struct heartbeats *heartbeats_new(struct loop *l, struct db_pool *pool);
/* No op may be waiting. */
void heartbeats_free(struct heartbeats *h);
/* The texts live in op's arena, "" where nothing was said.  Park op: it is
 * woken at the end.  The beat ends with op. */
struct beat *heartbeats_add(struct heartbeats *h, struct op *op,
    const char *const fields[BEAT_NFIELDS]);
/* RC_NOT_FOUND: no such agent; RC_GONE: it was retired; RC_TIMEOUT: nothing is
 * known yet; else as the database said. */
rc beat_result(const struct beat *b) MUST_CHECK;
/* After RC_OK: the database knows another digest of what is served. */
bool beat_is_wanted(const struct beat *b);

#endif
