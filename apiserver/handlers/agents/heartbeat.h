/*
 * heartbeat: many agents' signs of life, few statements.
 *
 * A heartbeat waits until one of at most two statements in flight is done;
 * then all that wait go together, as one UPDATE from arrays, sorted by id and
 * without doubles.  Each is answered after that statement's commit.  Nothing
 * ever waits on a timer: with little to do a batch is one heartbeat.
 */
#ifndef APISERVER_HANDLERS_AGENTS_HEARTBEAT_H
#define APISERVER_HANDLERS_AGENTS_HEARTBEAT_H

#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

struct heartbeats; /* defined in heartbeat.c */

struct heartbeats *heartbeats_new(struct loop *l, struct db_pool *pool);
/* No op may be waiting. */
void heartbeats_free(struct heartbeats *h);

/* POST /api/v1/agents/{id}/heartbeat */
op_step agent_heartbeat_start;

#endif
