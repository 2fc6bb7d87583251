/*
 * site: an nginx target on the rig: its files, its programs, its TLS server,
 * and what the control plane answers about it.
 *
 * The fakes stand in for spawn, probe and fault_point.  A reload loads what
 * stands at the two paths, so that a mix of two pairs, or half of one, fails
 * it; what is served is kept in a file and outlives a process.
 */
#ifndef TESTS_UNIT_AGENT_SITE_H
#define TESTS_UNIT_AGENT_SITE_H

#include <stdbool.h>

#include "agent/agent.h"

#define SITE_FAR_AWAY 4000000000
#define SITE_LONG_AGO 1500000000

struct site {
	struct agent *agent;
	int test_status;    /* what the configuration test ends with */
	int reload_status;  /* and a reload */
	int deaf_from;      /* reloads from that one on load nothing; 0: none */
	bool is_down;       /* no handshake */
	const char *die_at; /* SIGKILL at that fault point */
	int die_nth;        /* at its n-th passing; 0 is as 1 */
	int tests, reloads, handshakes; /* made so far */
	const char *cert, *key;         /* of the newest site_issue */
};

/* A fresh agent whose target's files are etc/site.crt and etc/site.key, with
 * nothing there, proven at 127.0.0.1:4443 or not at all. */
struct site *site_new(bool has_host);
/* A pair of the operator's at the paths, served. */
void site_stand(const char *cert, const char *key);
/* The server has that version of mc-1, and its key is kept here.  revoked:
 * a JSON list of fingerprints, NULL for a server that tells none. */
void site_issue(const char *version, long not_after_unix, const char *revoked);
/* The deployment of that version is listed once as job-<version>, and worked
 * on until nothing is left to do. */
void site_deploy(const char *version);
/* The same in a process of its own, which has to be killed by die_at. */
void site_deploy_killed(const char *version);
/* The same by the agent that is running, which begins nothing else. */
void site_deploy_now(const char *version);
/* An agent begins afresh in the directories of the one before. */
void site_restart(void);
/* What was reported last: its status and its error; "" when there was none. */
const char *site_status(void);
const char *site_error(void);
/* The paths show that pair, both of it. */
bool site_shows(const char *cert, const char *key);
/* The server serves that certificate. */
bool site_serves(const char *cert);
const char *site_fingerprint(const char *cert);

#endif
