/*
 * beat: how a scheduler makes itself known.
 *
 * Every 100 ms all peers hear whether we lead and in which term; once a
 * second our row in the schedulers table is renewed.  Hints that the leader
 * receives are passed on to everybody as events.  A standby does nothing but
 * beat.  Call from the event loop only.
 */
#ifndef SCHEDULER_BEAT_H
#define SCHEDULER_BEAT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/bus/bus.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "scheduler/leader.h"

#define BEAT_MS 100
#define BEAT_SEEN_MS 1000

struct arena;
struct cJSON;
struct beat; /* defined in beat.c */

struct beat_opts { /* texts outlive the beat */
	struct loop *loop;
	struct db_pool *pool;
	struct bus_server *bus;
	struct leader *leader;
	const char *incarnation;
	const char *name;
	const char *host;
	const char *url;
	struct db_home *home; /* NULL: not told of */
};

struct beat *beat_new(const struct beat_opts *opts);
void beat_free(struct beat *b);
void beat_start(struct beat *b);
/* A beat at once: leadership began or ended. */
void beat_now(struct beat *b);
/* The same as the answer to one that just connected, or that went to another
 * database server. */
void beat_hello(struct beat *b, uint64_t reply_to, uint32_t pipe,
    const struct frame *hello);
/* An event of the leader to all peers. */
void beat_publish(struct beat *b, const char *body, size_t len);
/*
 * A hint of a peer: passed on when we lead and it is a JSON object.  True
 * when it may mean work for the dispatcher; then *out_body, which is the
 * arena's, is what it says.
 */
bool beat_hint(struct beat *b, uint32_t pipe, const struct frame *f,
    struct arena *a, const struct cJSON **out_body);

#endif
