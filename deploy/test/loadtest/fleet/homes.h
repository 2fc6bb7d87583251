/*
 * homes: how many agents have their directories open at once.
 *
 * Each takes HOME_DESCRIPTORS.  Where a process may not have that many for
 * every agent, those that come when all places are taken wait in the order
 * they came, as a host that is slow would let its server wait.
 *
 * Call from the loop only.
 */
#ifndef FLEET_HOMES_H
#define FLEET_HOMES_H

#include <stdbool.h>
#include <stddef.h>

#define HOME_DESCRIPTORS 4

/* One that waits.  Zeroed at first but for wake and arg; it must live until
 * homes_forget or the homes_enter that said true. */
struct home_wait {
	void (*wake)(void *arg); /* a place is kept: enter again */
	void *arg;
	struct home_wait *prev, *next;
	bool is_queued, has_place;
};

struct homes {
	size_t most; /* places */
	size_t taken;
	size_t waited; /* how often somebody had to */
	struct home_wait *queue;
};

/* Whether w has a place now.  If not it stands in the queue, once however
 * often it asks. */
bool homes_enter(struct homes *h, struct home_wait *w);
/* A place beyond the bound if need be, ahead of all who wait. */
void homes_enter_now(struct homes *h);
bool homes_are_full(const struct homes *h);
/* Gives a place back; whoever waits longest has it then. */
void homes_leave(struct homes *h);
/* w waits no longer; a place that was kept for it is given back. */
void homes_forget(struct homes *h, struct home_wait *w);

#endif
