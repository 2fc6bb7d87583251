/*
 * park: ops that wait for an agent's work or a job's end.
 *
 * The bus wakes them by id.  Since the bus may lose anything, one statement a
 * second asks about all of them together.  Event loop only.
 */
#ifndef APISERVER_LIVE_PARK_H
#define APISERVER_LIVE_PARK_H

#include <stddef.h>

#include "apiserver/api.h"

struct park; /* defined in park.c */

/* pool: for the look once a second. */
struct park *park_new(struct loop *l, struct db_pool *pool);
void park_free(struct park *p);
/* See api_watch and api_park. */
struct watch *park_watch(struct park *p, struct op *op, enum api_topic topic,
    const char *id);
enum op_next park_wait(struct watch *w, int64_t max_ms, op_step *next);
void park_wake(struct park *p, enum api_topic topic, const char *id);
void park_wake_all(struct park *p);
/* An event of the bus: {"agents":[..],"finished":[..]}. */
void park_on_event(struct park *p, const char *body, size_t len);
size_t park_count(const struct park *p);

#endif
