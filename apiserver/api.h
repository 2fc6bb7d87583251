/*
 * api: what the whole process shares: pools, bus, caches, parked requests.
 *
 * Three pools, so that one kind of work cannot starve another: requests,
 * heartbeats (two connections, one batch each), and the process's own row and
 * checks.  Handlers read the members and change none.  Event loop only.
 */
#ifndef APISERVER_API_H
#define APISERVER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/cfg/cfg.h"
#include "common/db/db.h"
#include "common/loop/loop.h"

struct acmecounts;
struct auth;
struct authz;
struct cache;
struct apievents;
struct creates;
struct crlstore;
struct daemon;
struct document;
struct eventlog;
struct heartbeats;
struct faults;
struct gather;
struct nonces;
struct limits;
struct lists;
struct keyring;
struct ocspasks;
struct latency;
struct park;
struct presence;
struct refusals;
struct sealer;
struct sharing;
struct router;

/* The last job that was said to be due, when, and how often one was. */
struct api_hinted {
	char *what;
	int64_t at_ms;
	uint64_t n;
};

struct api {
	struct loop *loop;
	const struct cfg *cfg;
	struct db_pool *pool;
	struct db_pool *heartbeat_pool;
	struct db_pool *own_pool;
	struct bus_client *bus; /* NULL when CERTCTL_BUS_URLS is empty */
	struct api_hinted hinted;
	struct keyring *keys;
	struct auth *auth;
	struct authz *authz;
	struct crlstore *crls;
	struct limits *limits;
	struct lists *lists;
	struct sharing *sharing; /* of lists */
	struct ocspasks *ocsp;
	struct refusals *refusals;
	struct apievents *apievents; /* NULL: not asked for */
	struct router *router;
	const char *const *cors_origins; /* NULL-terminated, or NULL */
	struct document *openapi;        /* what describes the API */
	struct park *park;
	struct eventlog *events; /* live ones */
	struct gather *certs;    /* by their ids */
	struct gather *polls;    /* agents that ask for work */
	struct sealer *sealer; /* NULL without CERTCTL_CONFIG_ENCRYPTION_KEY */
	/* Of the ACME server; NULL where it is switched off. */
	struct gather *acme_requests;
	struct gather *acme_creates;   /* orders that are wanted */
	struct gather *acme_finalizes; /* and finalized */
	struct gather *acme_orders;    /* and looked at, by their ids */
	struct gather *acme_certs;
	struct nonces *nonces;
	struct cache *acme_profiles; /* what the directory tells of them */
	struct gather *acme_windows; /* serials that renewal-info asks for */
	struct cache *acme_kept;     /* its answers, by certificate */
	struct cache *acme_unknown;  /* certificates that there are not */
	struct heartbeats *heartbeats;
	struct creates *creates;
	struct presence *presence;
	struct faults *faults;
	struct latency *latency;        /* NULL: not kept, as in tests */
	struct acmecounts *acme_counts; /* the same */
	int64_t started_us;             /* by the wall */
	size_t max_body;
	const struct daemon *daemon; /* who we are */
	char url[300];
};

/* Tells the scheduler what a commit changed; may be lost. */
void api_hint(struct api *a, const char *body, size_t len);
/* Whether a scheduler leads that we hear. */
bool api_has_leader(const struct api *a);
int64_t api_uptime_s(const struct api *a);

#endif
