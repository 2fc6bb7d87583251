/*
 * members: the agents of the fleet, made of the agent's own library.
 *
 * Each has its own configuration, directories, identity and keys.  Three
 * things are shared, for one process has 20,000 descriptors where 10,000 hosts
 * have that many each:
 *
 * - http_out, by MEMBERS_A_HTTP agents: a curl multi handle takes descriptors
 *   and tens of kilobytes by itself.  An agent's poll holds a connection as
 *   ever; what else it asks goes over one that stands idle, perhaps of a
 *   neighbour, where a real one keeps a second for itself.
 * - the prober, with more handshakes at a time than one agent's.
 * - Where there are not four descriptors for each, an agent's directories are
 *   open only while an op of its own that uses files is under way (seams.c),
 *   and such an op waits while as many others as there is room for have theirs
 *   open (homes.h).
 *
 * Call from the loop only.
 */
#ifndef FLEET_MEMBERS_H
#define FLEET_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "deploy/test/loadtest/fleet/homes.h"
#include "deploy/test/loadtest/fleet/opts.h"
#include "deploy/test/loadtest/fleet/serve.h"
#include "deploy/test/loadtest/fleet/watch.h"

#define MEMBERS_A_HTTP 32
#define MEMBERS_PROBES 512

struct members; /* defined in members.c */

struct member {
	struct agent agent; /* first: the agent's code hands it back */
	struct members *all;
	struct cfg *cfg;
	size_t home_users; /* ops that use its directories */
	size_t beats;      /* heartbeats that were answered with 200 */
	bool asks;         /* has begun to ask for work */
	bool is_known;     /* has an id */
	bool is_standing;  /* known, beats, asks */
	bool has_ended;
};

/* Descriptors that so many agents take, with room, of which so many have their
 * directories open at once. */
size_t members_descriptors(size_t agents, size_t homes);

/* homes: how many may have their directories open at once; all of them: each
 * keeps its own open.  RC_INVALID, logged: the environment holds what the
 * fleet sets, or what agents refuse. */
rc members_new(struct loop *l, const struct opts *o, size_t homes,
    struct members **out) MUST_CHECK;
/* What is under way ends as at a kill.  NULL is a no-op. */
void members_free(struct members *m);
/* Starts up to n more, fewer while so many as may have their directories open.
 * RC of the first that could not be. */
rc members_start(struct members *m, size_t n) MUST_CHECK;
/* Nothing new is begun. */
void members_stop(struct members *m);
bool members_are_idle(const struct members *m);

size_t members_started(const struct members *m);
size_t members_known(const struct members *m);
size_t members_standing(const struct members *m);
/* Those that gave up: refused, retired. */
size_t members_ended(const struct members *m);
size_t members_beats(const struct members *m);
const struct homes *members_homes(const struct members *m);
/* Borrowed: one of theirs, for requests of others. */
struct http_out *members_http(struct members *m);
/* The server's, without a slash at its end; one is started. */
const char *members_url(const struct members *m);

/* --- for seams.c --- */

/* Its directories are open between the two.  RC_BUSY: too many have theirs
 * open; w is woken when to call again, or forgotten.  RC_IO and the like,
 * logged. */
rc member_open_home(struct member *b, struct home_wait *w) MUST_CHECK;
void member_forget_home(struct member *b, struct home_wait *w);
void member_close_home(struct member *b);
/* A heartbeat was answered with 200; it asks for work; look whether it stands
 * now. */
void member_look(struct member *b, bool beat, bool asks);

#endif
