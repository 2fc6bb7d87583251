/*
 * heartbeat: tells the server once a minute that this agent lives, and hears
 * that it was retired.
 */
#ifndef AGENT_HEARTBEAT_H
#define AGENT_HEARTBEAT_H

#include "agent/agent.h"

struct heartbeat; /* defined in heartbeat.c */

/* The first one after a random share of the start spread. */
struct heartbeat *heartbeat_start(struct agent *a);
/* The next one at once, for there is news; NULL is a no-op. */
void heartbeat_soon(struct heartbeat *h);
/* No further one; NULL is a no-op. */
void heartbeat_stop(struct heartbeat *h);
/* NULL is a no-op. */
void heartbeat_free(struct heartbeat *h);

#endif
