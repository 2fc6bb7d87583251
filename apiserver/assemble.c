#include "apiserver/assemble.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/live/acmecounts.h"
#include "apiserver/live/cache.h"
#include "apiserver/live/creates.h"
#include "apiserver/live/crlstore.h"
#include "apiserver/live/eventlog.h"
#include "apiserver/live/faults.h"
#include "apiserver/live/gather.h"
#include "apiserver/live/heartbeats.h"
#include "apiserver/live/latency.h"
#include "apiserver/live/lists.h"
#include "apiserver/live/nonces.h"
#include "apiserver/live/ocspasks.h"
#include "apiserver/live/park.h"
#include "apiserver/live/presence.h"
#include "apiserver/live/sharing.h"
#include "apiserver/openapi/document.h"
#include "apiserver/openapi/shapes.h"
#include "apiserver/policy/apievents.h"
#include "apiserver/policy/auth.h"
#include "apiserver/policy/authz.h"
#include "apiserver/policy/cors.h"
#include "apiserver/policy/keyring.h"
#include "apiserver/policy/limits.h"
#include "apiserver/policy/refusals.h"
#include "apiserver/policy/route.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/daemon/parts.h"
#include "common/job/job_words.h"
#include "common/log/log.h"
#include "common/pki/key/seal.h"

enum {
	QUEUE_MS = 2000, /* a request waits for a connection at most */
	STATEMENT_MS = 20000,
	LOCK_MS = 5000, /* for what another transaction holds */
	COMMIT_WAIT_MS = 5000,
	HEARTBEAT_CONNS = 2,
	OWN_CONNS = 1,
	ACME_PROFILES = 1000,
	ACME_WINDOWS = 4000, /* and as many that there are not */
};

static const struct route_area *const areas[] = {
#define AREA(name) &routes_##name,
#include "apiserver/areas.def"
#undef AREA
};

rc
api_print_routes(const struct cfg *cfg)
{
	return routes_print(areas, ARRAY_LEN(areas),
	    (size_t)cfg_int(cfg, "max_body_size"));
}

static rc
make_keys(const struct cfg *cfg, struct keyring **out)
{
	const char *token = cfg_str(cfg, "agent_bootstrap_token");
	struct keyring *made = NULL;
	rc all = RC_OK, ret;

	if (!*token && cfg_bool(cfg, "agent_bootstrap_token_deny_empty")) {
		log_error("AUTH-BOOTSTRAP",
		    "CERTCTL_AGENT_BOOTSTRAP_TOKEN is empty: set it, or set "
		    "CERTCTL_AGENT_BOOTSTRAP_TOKEN_DENY_EMPTY=false");
		all = RC_INVALID;
	}
	ret = keyring_new(cfg_list(cfg, "api_keys_named"),
	    cfg_list(cfg, "auth_secret"), token,
	    cfg_str(cfg, "bootstrap_token"), &made);
	if (ret != RC_OK)
		return ret;
	if (keyring_size(made) == 0 && !keyring_has_bootstrap(made)) {
		log_error("AUTH-KEYS",
		    "nobody could sign in: set CERTCTL_API_KEYS_NAMED or "
		    "CERTCTL_AUTH_SECRET, or CERTCTL_BOOTSTRAP_TOKEN to make "
		    "the first administrator's key over the API");
		all = RC_INVALID;
	}
	if (all == RC_OK)
		*out = made;
	else
		keyring_free(made);
	return all;
}

void
api_reload_keys(struct api *a)
{
	const struct daemon_program *program = a->daemon->program;
	struct keyring *made = NULL;
	struct cfg *cfg = NULL;
	rc ret = cfg_load(program->keys, program->nkeys, &cfg);

	if (ret == RC_OK)
		ret = make_keys(cfg, &made);
	cfg_free(cfg);
	if (ret != RC_OK) {
		log_error("AUTH-RELOAD", "the new keys cannot be used, the "
					 "old ones stay");
		return;
	}
	auth_set_keys(a->auth, made);
	keyring_free(a->keys);
	a->keys = made;
	eventlog_access(a->events);
	log_info("AUTH-RELOAD", "%zu API keys are in use", keyring_size(made));
}

static rc
open_pool(struct api *a, size_t conns, const struct db_setting *settings,
    struct db_pool **out)
{
	const struct db_opts opts = {
	    .max_conns = conns,
	    .queue_deadline_ms = QUEUE_MS,
	    .statement_timeout_ms = STATEMENT_MS,
	    .lock_timeout_ms = LOCK_MS,
	    .commit_wait_ms = COMMIT_WAIT_MS,
	    .settings = settings,
	    .is_eager = true,
	};

	return part_pool(a->daemon, NULL, &opts, out);
}

static rc
open_pools(struct api *a)
{
	size_t all = (size_t)cfg_int(a->cfg, "database_max_conns");
	rc ret;

	ret = open_pool(a, all - HEARTBEAT_CONNS - OWN_CONNS, NULL, &a->pool);
	if (ret == RC_OK)
		/* Heartbeats lock agents in the order of their sorted ids:
		 * a hash join would take them as they lie in the table, and
		 * two batches might wait for each other. */
		ret = open_pool(a, HEARTBEAT_CONNS, db_walk_ids,
		    &a->heartbeat_pool);
	if (ret == RC_OK)
		ret = open_pool(a, OWN_CONNS, NULL, &a->own_pool);
	return ret;
}

/* --- the bus --- */

static void
on_event(void *arg, const struct frame *f)
{
	struct api *a = arg;

	if (f->kind != FRAME_EVENT)
		return;
	eventlog_hint(a->events);
	park_on_event(a->park, f->body, f->body_len);
	ocspasks_on_event(a->ocsp, f->body, f->body_len);
}

static void
on_leader(void *arg, uint64_t term)
{
	if (term)
		log_info("BUS-LEADER", "following the leader of term %llu",
		    (unsigned long long)term);
	else
		log_warn("BUS-LEADER",
		    "no scheduler leads; work is accepted and waits for one");
}

static rc
open_bus(struct api *a)
{
	static const struct bus_client_ops ops = {on_event, on_leader};
	const char *const *urls = cfg_list(a->cfg, "bus_urls");

	if (!urls || !urls[0]) {
		log_warn("BUS-NONE",
		    "CERTCTL_BUS_URLS is empty: schedulers find work by "
		    "looking once a second");
		return RC_OK;
	}
	return part_bus_client(a->daemon, &ops, a, &a->bus);
}

/* --- what is kept sealed --- */

static rc
make_sealer(struct api *a)
{
	const char *passphrase = cfg_str(a->cfg, "config_encryption_key");
	const char *also = cfg_str(a->cfg, "config_encryption_key_also");
	rc ret = RC_OK;

	if (*also && !*passphrase) {
		log_error("CONFIG",
		    "CERTCTL_CONFIG_ENCRYPTION_KEY_ALSO opens what lies under "
		    "a former passphrase, and nothing is sealed under it: set "
		    "CERTCTL_CONFIG_ENCRYPTION_KEY too");
		return RC_INVALID;
	}
	if (*passphrase)
		ret = sealer_new(passphrase, &a->sealer);
	if (ret == RC_OK && *also)
		ret = sealer_also(a->sealer, also);
	if (ret != RC_OK)
		log_error("CONFIG", "CERTCTL_CONFIG_ENCRYPTION_KEY: %s",
		    rc_name(ret));
	else if (a->sealer && sealer_is_weak(a->sealer))
		log_warn("CONFIG",
		    "CERTCTL_CONFIG_ENCRYPTION_KEY opens what was sealed under "
		    "it, and is too easy to guess to seal more");
	if (!a->sealer && cfg_bool(a->cfg, "acme_server_enabled") &&
	    cfg_bool(a->cfg, "acme_server_eab_required")) {
		log_error("CONFIG",
		    "CERTCTL_ACME_SERVER_EAB_REQUIRED would admit nobody: set "
		    "CERTCTL_CONFIG_ENCRYPTION_KEY, under which the keys of "
		    "external accounts are sealed");
		return RC_INVALID;
	}
	return ret;
}

/* --- the ACME server --- */

static void
open_acme(struct api *a)
{
	if (!cfg_bool(a->cfg, "acme_server_enabled"))
		return;
	a->nonces = nonces_new(a->loop, a->pool,
	    cfg_int(a->cfg, "acme_server_nonce_ttl"));
	a->acme_requests = gather_new(a->loop, a->pool, Q_ACME_REQUESTS, NULL);
	a->acme_creates =
	    gather_new(a->loop, a->pool, Q_ACME_ORDERS_CREATE, NULL);
	a->acme_finalizes = gather_new(a->loop, a->pool, Q_ACME_FINALIZE, NULL);
	a->acme_orders =
	    gather_new(a->loop, a->pool, Q_ACME_ORDERS_LOOK, JOB_ORDER_CHANGED);
	a->acme_certs = gather_new(a->loop, a->pool, Q_ACME_CERTS, NULL);
	gather_serialize(a->acme_requests);
	gather_serialize(a->acme_creates);
	gather_serialize(a->acme_finalizes);
	gather_serialize(a->acme_orders);
	gather_serialize(a->acme_certs);
	a->acme_profiles = cache_new(ACME_PROFILES, free);
	a->acme_windows =
	    gather_new(a->loop, a->pool, Q_ACME_RENEWAL_INFO, NULL);
	a->acme_kept = cache_new(ACME_WINDOWS, free);
	a->acme_unknown = cache_new(ACME_WINDOWS, NULL);
}

static void
close_acme(struct api *a)
{
	nonces_free(a->nonces);
	gather_free(a->acme_requests);
	gather_free(a->acme_creates);
	gather_free(a->acme_finalizes);
	gather_free(a->acme_orders);
	gather_free(a->acme_certs);
	cache_free(a->acme_profiles);
	gather_free(a->acme_windows);
	cache_free(a->acme_kept);
	cache_free(a->acme_unknown);
}

/* --- live events --- */

static void
on_access(void *arg)
{
	struct api *a = arg;

	auth_changed(a->auth);
	authz_changed(a->authz);
}

static void
open_events(struct api *a)
{
	const struct eventlog_opts opts = {
	    .pool = a->own_pool,
	    .max = (size_t)cfg_int(a->cfg, "events_max_listeners"),
	    .max_per_key =
		(size_t)cfg_int(a->cfg, "events_max_listeners_per_key"),
	    .on_access = on_access,
	    .arg = a,
	};

	a->events = eventlog_new(a->loop, &opts);
}

/* --- life --- */

static void
make_url(struct api *a)
{
	const char *host = cfg_str(a->cfg, "server_host");

	(void)snprintf(a->url, sizeof(a->url),
	    strchr(host, ':') ? "https://[%s]:%d" : "https://%s:%d", host,
	    (int)cfg_int(a->cfg, "server_port"));
}

rc
api_new(const struct daemon *d, struct api **out)
{
	struct loop *l = d->loop;
	const struct cfg *cfg = d->cfg;
	struct api *a = mem_zalloc(sizeof(*a));
	rc ret;

	a->daemon = d;
	a->loop = l;
	a->cfg = cfg;
	a->max_body = (size_t)cfg_int(cfg, "max_body_size");
	make_url(a);
	/* All of them: one start tells every mistake. */
	ret = make_keys(cfg, &a->keys);
	a->cors_origins = cfg_list(cfg, "cors_origins");
	ret = rc_first(ret, cors_check(a->cors_origins));
	ret = rc_first(ret, make_sealer(a));
	ret = rc_first(ret, router_new(areas, ARRAY_LEN(areas), &a->router));
	if (ret == RC_OK)
		ret = router_describe(a->router, shapes, shapes_n);
	ret = rc_first(ret, open_pools(a));
	ret = rc_first(ret, open_bus(a));
	if (ret != RC_OK) {
		api_free(a);
		return ret;
	}
	a->openapi = document_new(areas, ARRAY_LEN(areas));
	a->auth = auth_new(l, a->keys);
	a->authz = authz_new(l);
	a->limits = limits_new(l, cfg);
	a->refusals = refusals_new(l, a->own_pool);
	if (cfg_bool(cfg, "audit_api_events"))
		a->apievents = apievents_new(l, a->own_pool);
	a->crls = crlstore_new(CRLSTORE_MAX_BYTES);
	a->lists = lists_new(l, a->pool, a->heartbeat_pool);
	a->sharing = sharing_new();
	a->ocsp = ocspasks_new(a);
	a->park = park_new(l, a->own_pool);
	open_events(a);
	a->certs = gather_new(l, a->pool, Q_CERT_GETS, NULL);
	a->polls = gather_new(l, a->pool, Q_AGENTS_POLLED, NULL);
	open_acme(a);
	a->heartbeats = heartbeats_new(l, a->heartbeat_pool);
	a->creates = creates_new(l, a->pool);
	a->presence = presence_new(a);
	a->faults = faults_new(a);
	a->acme_counts = acmecounts_new();
	a->latency = latency_new(router_size(a->router));
	a->started_us = clock_wall_us();
	*out = a;
	return RC_OK;
}

void
api_free(struct api *a)
{
	if (!a)
		return;
	faults_free(a->faults);
	presence_free(a->presence);
	bus_client_free(a->bus);
	free(a->hinted.what);
	creates_free(a->creates);
	heartbeats_free(a->heartbeats);
	ocspasks_free(a->ocsp);
	eventlog_free(a->events);
	park_free(a->park);
	close_acme(a);
	gather_free(a->certs);
	gather_free(a->polls);
	lists_free(a->lists);
	sharing_free(a->sharing);
	refusals_free(a->refusals);
	apievents_free(a->apievents);
	limits_free(a->limits);
	db_pool_free(a->pool);
	db_pool_free(a->heartbeat_pool);
	db_pool_free(a->own_pool);
	authz_free(a->authz);
	crlstore_free(a->crls);
	auth_free(a->auth);
	document_free(a->openapi);
	acmecounts_free(a->acme_counts);
	latency_free(a->latency);
	router_free(a->router);
	keyring_free(a->keys);
	sealer_free(a->sealer);
	free(a);
}
