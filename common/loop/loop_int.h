/*
 * loop_int: what loop.c, timer.c and spawn.c know of each other.
 *
 * Included by these three files only.
 */
#ifndef COMMON_LOOP_LOOP_INT_H
#define COMMON_LOOP_LOOP_INT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/loop/loop.h"

enum { LOOP_SIGNALS = 65 };

struct loop_signal {
	struct event *event; /* NULL in a simulation */
	loop_fn *fn;
	void *arg;
};

/* Calls that wait for the next turn. */
struct loop_calls {
	struct loop_call {
		loop_fn *fn;
		void *arg;
	} * items;
	size_t n;
	size_t cap;
};

/* Something that holds events of the loop and must let go before it ends. */
struct loop_guest {
	LIST_ENTRY(loop_guest) entry;
	void (*leave)(struct loop_guest *g);
};

struct loop {
	struct event_base *base; /* NULL in a simulation */
	struct event turn;       /* fires while calls are waiting */
	struct loop_calls calls;
	struct loop_calls spare; /* the array of the turn before, empty */
	struct loop_signal *signals[LOOP_SIGNALS];
	LIST_HEAD(loop_guests, loop_guest) guests;
	bool is_stopping;

	/* Simulation only. */
	int64_t sim_now_ms;
	uint64_t sim_seq;
	TAILQ_HEAD(timer_list, timer) sim_timers; /* by due time, then seq */
};

/* Fires the first simulated timer that is due by until_ms; false if none. */
bool timer_sim_fire(struct loop *l, int64_t until_ms);

#endif
