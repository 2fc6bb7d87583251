/*
 * news: which part of the agent is told of what another has done.  Calls
 * between the parts go one way; what would go back goes by hooks.
 */
#ifndef AGENT_NEWS_H
#define AGENT_NEWS_H

#include "agent/agent.h"

/* After a deployment the targets are looked at, and what is served otherwise
 * than before goes out with a heartbeat at once.  Before a's parts start. */
void news_wire(struct agent *a);

#endif
