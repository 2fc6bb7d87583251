/*
 * stop: the end of an agent's run, asked for once, reached when what is in
 * hand has ended.
 *
 * Whoever finds that it is over (a signal, a retirement, a registration that
 * was refused) calls here; main.c says what to end.
 */
#ifndef AGENT_STOP_H
#define AGENT_STOP_H

#include "agent/agent.h"

struct stop; /* defined in stop.c */

struct stop_hooks {
	/* Nothing new is to be begun from here on. */
	void (*begin)(struct agent *a);
	/* Whether all that was under way has ended. */
	bool (*is_idle)(const struct agent *a);
	/* It has, or the time for it is over. */
	void (*end)(struct agent *a);
};

/* hooks is borrowed; the agent's loop must live. */
struct stop *stop_new(struct agent *a, const struct stop_hooks *hooks);
/* NULL is a no-op. */
void stop_free(struct stop *s);
/* The end hook is called once what runs has ended, after 5 s in any case;
 * exit_status is then that of the agent.  The first call counts. */
void stop_begin(struct agent *a, int exit_status);
/* The server answered 410: no more requests, exit status 0.  May be called
 * from inside any callback: the stop itself comes on the next turn. */
void stop_retired(struct agent *a);

#endif
