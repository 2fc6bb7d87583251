/*
 * agent: what the parts of the agent share.
 *
 * One process, one event loop.  Every piece of work (an enrolment, a
 * deployment, a poll) is an op whose owner is a struct agent_op; HTTP calls,
 * programs and handshakes are waits of that op (call.h).
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/allow.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/cfg/cfg.h"
#include "common/http/http_out.h"
#include "common/loop/loop.h"

struct agent {
	struct loop *loop;
	struct cfg *cfg;
	struct http_out *http;
	char *server_url;   /* no trailing slash */
	struct allow allow; /* what targets may do on this host */
	const char *own_dirs[3];
	const char *name;
	char hostname[256];
	char id[129];      /* "" until registered */
	char api_key[513]; /* wiped at exit */
	/* home.h: 0700, ours; -1 while not open. */
	int key_dir_fd;
	int journal_dir_fd;
	int state_dir_fd;
	bool is_retired; /* the server said 410: leave, status 0 */
	bool is_stopping;
	int exit_status;
	struct poll *poll;
	struct op *registering; /* or NULL */
	struct heartbeat *heartbeat;
};

/* Ends the loop once what runs has ended; status 0 after a retirement. */
void agent_stop(struct agent *a, int exit_status);
/* The server answered 410: no more requests, exit status 0.  May be called
 * from inside any callback: the stop itself comes on the next turn. */
void agent_retired(struct agent *a);

/* --- identity.c: who this agent is, durable before it is used --- */
/* Reads or makes the identity file.  *out_registered: an id is known. */
rc identity_load(struct agent *a, bool *out_registered) MUST_CHECK;
/* Registers by name and key hash, again after any doubt; then calls done. */
void identity_register(struct agent *a, void (*done)(struct agent *a));

/* --- heartbeat.c, poll.c --- */
struct heartbeat *heartbeat_start(struct agent *a);
void heartbeat_stop(struct heartbeat *h);
/* NULL is a no-op. */
void heartbeat_free(struct heartbeat *h);
/* Resumes open journals at once, then asks for work for ever. */
struct poll *poll_start(struct agent *a);
void poll_stop(struct poll *p);
/* Ends what is in hand.  NULL is a no-op. */
void poll_free(struct poll *p);
/* Nothing asked for and nothing in hand any more. */
bool poll_is_idle(const struct poll *p);

#endif
