/*
 * slots: the leases this worker holds, and the asking for more.
 *
 * A slot holds one lease and the op that works on it, and is free again when
 * that op ends.  An op that only waits for somebody outside says so and does
 * not count meanwhile, so that a slow CA takes no slot from the others.  While
 * a slot is free one request for work lies with the leader, naming every lease
 * that is held: the leader frees what it has in its book and does not find
 * there, so an answer that got lost costs no more than the next request.  There
 * is never a second request beside one that may be answered with a lease: the
 * answer could cross it, and the leader would free what it has just given. Only
 * when the host's faults change is that worth it: see host_fault.h.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_SLOTS_H
#define WORKER_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/bus/bus.h"
#include "common/loop/loop.h"
#include "common/op/op.h"
#include "worker/host_fault.h"

struct slots; /* defined in slots.c */

/* A lease as the leader granted it. */
struct grant {
	int64_t lease_id;
	bool is_tasks;
	const char *issuer_id; /* "" for tasks; valid during the call only */
};

/* How the op of a grant tells that it has ended: env.on_end and env.owner. */
struct slot_end {
	void (*on_end)(struct op *op, rc code, const char *message);
	void *owner;
	/* That it waits for somebody outside, or does no more. */
	void (*on_wait)(void *owner, bool is_waiting);
};

struct slots_opts {
	struct loop *loop;
	struct bus_client *bus;
	const struct db_home *home;     /* told to the leader; NULL */
	const struct host_faults *host; /* what is not to be asked for */
	const char *incarnation;        /* outlives the slots */
	size_t cap;
	size_t waits_max; /* leases that may wait outside, beside those */
	/* Starts the op that works on the grant; it ends by `end`. */
	struct op *(*start)(void *arg, const struct grant *g,
	    const struct slot_end *end);
	void *arg;
};

/* RC_INVALID unless 1 <= cap, and cap + waits_max <= 1024. */
rc slots_new(const struct slots_opts *opts, struct slots **out) MUST_CHECK;
/* Ends what runs, with RC_CANCELLED.  The bus client must be gone already: a
 * reply that still came would find nobody.  NULL is a no-op. */
void slots_free(struct slots *s);

/* The worker trusts its own lease (again): ask. */
void slots_open(struct slots *s);
/* Trust ended: all that is held is dropped, nothing is asked for. */
void slots_drop(struct slots *s);
/* Another leader, or none. */
void slots_leader_changed(struct slots *s);
/* Other work is to be asked for than before. */
void slots_host_changed(struct slots *s);

size_t slots_busy(const struct slots *s);
/* How many of those wait for somebody outside. */
size_t slots_waiting(const struct slots *s);

/* Asks for nothing more; done once all has ended, what still runs after
 * limit_ms being dropped.  Never called from inside this call. */
void slots_finish(struct slots *s, int64_t limit_ms, loop_fn *done, void *arg);

#endif
