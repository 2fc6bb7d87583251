/*
 * rollout: where a certificate's new version goes, and how far it is, by what
 * the server knows of every target and every deployment.
 *
 * Each agent holds a key of its own, so each has a version of its own, and
 * a version goes to the targets of its agent alone.
 */
#ifndef CLI_ROLLOUT_H
#define CLI_ROLLOUT_H

#include <stddef.h>

#include "cli/wait.h"

/* The deployments of one version to one target, the worst of them. */
enum target_state {
	TARGET_MISSING, /* none has begun */
	TARGET_DONE,
	TARGET_UNDER_WAY,
	TARGET_FAILED
};

struct target {
	const char *id, *agent;
	const char *host, *server_name; /* NULL: not said */
	int port;
	bool is_on;
	const char *version; /* of this renewal; NULL: none comes here */
	enum target_state state;
	bool is_seen;    /* the agent's own handshake showed the version */
	char serial[41]; /* of the version, for rollout_handshakes */
};

struct rollout {
	struct wait *wait;
	const char *certificate; /* escaped */
	struct target *targets;  /* by id */
	size_t ntargets;
};

/* The certificate's targets as they are now, in the arena of the run. */
int rollout_find(struct rollout *r, struct wait *w, const char *certificate);
/* Follows the deployments of an agent's version until each target has it or
 * failed.  EXIT_FAILED when one failed, EXIT_UNREACHABLE when not all have
 * ended in time; either is told by name. */
int rollout_follow(struct rollout *r, const char *agent, const char *version);
/* Says where it is installed, which of it an agent's handshake has shown, and
 * which targets no version of this renewal came to. */
void rollout_tell(const struct rollout *r);
/* Looks from here, until each target with a host shows its version's serial;
 * those without one are named. */
int rollout_handshakes(struct rollout *r);

#endif
