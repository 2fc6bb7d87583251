/*
 * identity: who this agent is, durable before it is used.
 *
 * The key is made and synced before its hash is registered, and registering
 * the same name and hash again gives the same agent; so a crash anywhere here
 * never makes two agents.  <state dir>/identity.json, 0600.
 *
 * A server whose database was restored from a backup older than the agent does
 * not know it: the agent registers again, as a new one would, with the key it
 * has.  Whose name another agent has meanwhile stays refused.
 */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H

#include <stdbool.h>

#include "agent/agent.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* Whether the configuration says who this agent is, or lets it find out; what
 * is missing is logged. */
rc identity_check(const struct agent *a) MUST_CHECK;
/* Reads or makes the identity file, once home_open has opened its directory.
 * *out_registered: an id is known. */
rc identity_load(struct agent *a, bool *out_registered) MUST_CHECK;
/* Registers by name and key hash, again after any doubt; then calls done.  A
 * refusal stops the agent with status 1. */
void identity_register(struct agent *a, void (*done)(struct agent *a));
/* The server refused who we are: registers again with the same name and key,
 * for a new id if need be.  The agent goes on whatever the answer, and calls
 * it again when it is refused again.  Does nothing while a registration is
 * under way; with an id and key of the configuration it only says so. */
void identity_return(struct agent *a);

#endif
