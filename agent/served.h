/*
 * served: what each target of this agent serves, seen and told.
 *
 * The agent looks after each deployment and now and then: by a handshake
 * where the target has a host, else at the file.  What a look came to has a
 * digest, which every heartbeat carries; the server that does not know it, for
 * it changed or the database is an older copy, asks for the whole, and only
 * then it is sent.
 */
#ifndef AGENT_SERVED_H
#define AGENT_SERVED_H

#include "agent/agent.h"

struct served; /* defined in served.c */

struct served *served_start(struct agent *a);
/* Looks and tells no more; NULL is a no-op, as for those below. */
void served_stop(struct served *s);
void served_free(struct served *s);

/* At once, or once more when a look is under way. */
void served_look_soon(struct served *s);
/* Of the last look: 64 hex digits, or "none" without targets; "" before the
 * first.  Another one after CERTCTL_AGENT_SERVED_REPEAT, though all is as it
 * was. */
const char *served_digest(const struct served *s);
/* The server asks what it stands for. */
void served_tell(struct served *s);

#endif
