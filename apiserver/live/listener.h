/*
 * listener: an op that has a place among the live events and sends its client
 * what comes behind it (eventlog_join).
 *
 * It goes at the pace of its client: one whose place is past, or whose client
 * takes nothing for some time, is dropped.  It ends with its op.  Event loop
 * only.
 */
#ifndef APISERVER_LIVE_LISTENER_H
#define APISERVER_LIVE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/live/event.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/op/op.h"

struct listener; /* defined in listener.c */

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
