/*
 * poll: asks for work, parked at the server, and keeps what is in hand.
 *
 * Open install journals are resumed first.  An item that is in hand already,
 * or was a moment ago, is not started however often the server lists it, and
 * an answer that brought nothing new is followed by a pause, however quickly
 * it came: no server can make an agent ask without end.
 */
#ifndef AGENT_POLL_H
#define AGENT_POLL_H

#include <stdbool.h>

#include "agent/agent.h"

struct poll; /* defined in poll.c */

/* Resumes open journals at once, then asks for work for ever. */
struct poll *poll_start(struct agent *a);
/* No further question; what is in hand goes on.  NULL is a no-op. */
void poll_stop(struct poll *p);
/* Ends what is in hand.  NULL is a no-op. */
void poll_free(struct poll *p);
/* Nothing asked for and nothing in hand any more. */
bool poll_is_idle(const struct poll *p);

#endif
