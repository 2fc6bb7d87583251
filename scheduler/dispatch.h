/*
 * dispatch: hands the leader's due work to the workers that asked for it.
 *
 * A worker's request waits here until a lane has something for it, at most
 * one second: then it is answered with nothing and asks again, with its fresh
 * list of leases.  A look asks the database which lanes are due and how much
 * runs; a claim leases one lane's jobs to one worker.  What workers lost, or
 * hold no more, is freed.
 *
 * Does nothing between dispatch_stop and dispatch_start.  Call from the event
 * loop only.
 */
#ifndef SCHEDULER_DISPATCH_H
#define SCHEDULER_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "scheduler/leader.h"

struct cJSON;
struct dispatch; /* defined in dispatch_int.h */

struct dispatch_opts {
	struct loop *loop;
	struct db_pool *pool;
	struct leader *leader;
	struct bus_server *bus;
	const char *incarnation; /* outlives the dispatch */
	size_t permits;          /* CERTCTL_RENEWAL_CONCURRENCY */
	size_t batch;            /* jobs a lease of the local CA */
	struct db_home *home;    /* workers of another are refused; NULL */
};

struct dispatch *dispatch_new(const struct dispatch_opts *opts);
void dispatch_free(struct dispatch *d);

/* Leadership began: all that is known is counted anew from rows. */
void dispatch_start(struct dispatch *d, uint64_t term);
/* Leadership ended: waiting workers are told to look for the leader. */
void dispatch_stop(struct dispatch *d);

/* The bus's callbacks. */
void dispatch_on_request(struct dispatch *d, uint64_t reply_to, uint32_t pipe,
    const struct frame *f);
void dispatch_on_pipe_closed(struct dispatch *d, uint32_t pipe);

/* A hint of a peer (beat_hint): something may have become due. */
void dispatch_on_hint(struct dispatch *d, const struct cJSON *body);
/* Look at every lane from its beginning. */
void dispatch_full_look(struct dispatch *d);
/* Leases running, as far as known. */
size_t dispatch_running(const struct dispatch *d);

#endif
