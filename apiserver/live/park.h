/*
 * park: ops that wait for an agent's work or a job's end.
 *
 * The bus wakes them by id.  Since the bus may lose anything, one statement a
 * second asks about all of them together.  Event loop only.
 */
#ifndef APISERVER_LIVE_PARK_H
#define APISERVER_LIVE_PARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

enum park_topic {
	PARK_AGENT, /* an agent's id: there may be work for it */
	PARK_JOB,   /* a job's id: it may have ended */
	PARK_COUNT
};

struct park;  /* defined in park.c */
struct watch; /* defined in park.c */

/* pool: for the look once a second. */
struct park *park_new(struct loop *l, struct db_pool *pool);
void park_free(struct park *p);
/*
 * From here on op hears of the topic: call it before looking for what is
 * waited for, and park_wait when it is not there yet; what happens in between
 * is not lost.  Ends with the op.  NULL when too many requests wait, in
 * all or for this agent.
 */
struct watch *park_watch(struct park *p, struct op *op, enum park_topic topic,
    const char *id);
/*
 * Waits until the topic is woken or max_ms passed, then runs next; look again
 * there (op_left_ms tells what is left).  Extend the op's deadline first.
 * Topics are also looked at once a second, so no wake-up is needed for
 * correctness.
 */
enum op_next park_wait(struct watch *w, int64_t max_ms, op_step *next);
void park_wake(struct park *p, enum park_topic topic, const char *id);
/* The process is about to end: what is parked goes on now, and what would
 * park again is told to try elsewhere. */
void park_stop(struct park *p);
bool park_is_stopping(const struct park *p);
/* An event of the bus: {"agents":[..],"finished":[..]}. */
void park_on_event(struct park *p, const char *body, size_t len);
size_t park_count(const struct park *p);

#endif
