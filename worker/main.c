/*
 * certctl-worker: parse, load the configuration, wire, run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/weak.h"
#include "common/bus/bus.h"
#include "common/daemon/daemon.h"
#include "common/daemon/parts.h"
#include "common/log/log.h"
#include "common/pki/key/envelope.h"
#include "common/pki/key/seal.h"
#include "worker/behind.h"
#include "worker/issuers/acme_memory.h"
#include "worker/issuers/token_memory.h"
#include "worker/issuers/issuer_http.h"
#include "worker/issuers/local_ca.h"
#include "worker/issuers/responders.h"
#include "worker/issuers/stepca_key.h"
#include "worker/issuers/vault_token.h"
#include "worker/kinds/host_try.h"
#include "worker/kinds/kind.h"
#include "worker/lease.h"
#include "worker/notifiers/settings.h"
#include "worker/reseal.h"
#include "worker/slots.h"
#include "worker/warm.h"

#define STATEMENT_TIMEOUT_MS 30000
/* For what somebody else holds; the batch goes on without it. */
#define LOCK_TIMEOUT_MS 500
#define FINISH_MS 5000
/* An order that is under way is worth waiting for: cut off, it is to be looked
 * up, or parks until a person has. */
#define FINISH_OUTSIDE_MS 60000

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "worker/cfg_keys.def"
#undef KEY
};

struct worker {
	struct daemon *d;
	struct sealer *sealer;
	struct envelope_keys *secrets;
	struct db_pool *pool;
	struct db_pool *lease_pool;
	struct lease *lease;
	struct bus_client *bus;
	struct local_cas *cas;
	struct responders *responders;
	struct slots *slots;
	struct host_faults *host;
	struct host_try *host_try;
	struct notifier_outs *notifiers;
	struct http_out *issuer_http;
	struct acme_cas *acme;
	struct token_memory *tokens;
	struct stepca_keys *stepca;
	struct vault_tokens *vault;
	struct network network;
	struct watch watch;
	struct acme_validator validator;
	struct op *behind; /* the look at the journals; NULL: over */
	struct kind_env env;
};

/* --- callbacks --- */

static struct bus_cert
own_bus_cert(void *arg)
{
	const struct worker *w = arg;

	return bus_client_cert(w->bus);
}

static struct op *
on_grant(void *arg, const struct grant *g, const struct slot_end *end)
{
	struct worker *w = arg;

	return g->is_tasks ? task_start(&w->env, g, end)
			   : issue_start(&w->env, g, end);
}

static void
on_trusted(void *arg)
{
	struct worker *w = arg;

	slots_open(w->slots);
}

static void
on_lost(void *arg)
{
	struct worker *w = arg;

	slots_drop(w->slots);
}

static void
on_leader(void *arg, uint64_t term)
{
	struct worker *w = arg;

	/* The first beat may come before all is wired. */
	if (w->slots)
		slots_leader_changed(w->slots);
}

static void
on_host_change(void *arg)
{
	struct worker *w = arg;

	lease_host_changed(w->lease);
	slots_host_changed(w->slots);
}

/* --- stopping --- */

static void
on_left(void *arg)
{
	struct worker *w = arg;

	loop_stop(w->d->loop);
}

static void
on_finished(void *arg)
{
	struct worker *w = arg;

	lease_leave(w->lease, on_left, w);
}

static void
stop(void *self, struct daemon *d)
{
	struct worker *w = self;
	int limit_ms = FINISH_MS;

	if (slots_waiting(w->slots) > 0)
		limit_ms = FINISH_OUTSIDE_MS;
	log_info("FINISHING", "%zu leases, at most %d s", slots_busy(w->slots),
	    limit_ms / 1000);
	slots_finish(w->slots, limit_ms, on_finished, w);
}

/* --- wiring --- */

static rc
check_journal_dir(const char *path)
{
	struct stat st;

	errno = 0;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode) ||
	    access(path, W_OK | X_OK) < 0) {
		log_error("CONFIG",
		    "CERTCTL_ISSUANCE_JOURNAL_DIR: %s is not a directory this "
		    "user can write to (%s)",
		    path, errno ? strerror(errno) : "not a directory");
		return RC_INVALID;
	}
	return RC_OK;
}

/* The CAs' keys rest on this one passphrase.  A weak one may be what they were
 * sealed under before it was asked for a better one. */
static rc
make_sealer(struct worker *w)
{
	rc ret =
	    sealer_new(cfg_str(w->d->cfg, "ca_encryption_key"), &w->sealer);

	if (ret != RC_OK)
		log_error("CONFIG", "CERTCTL_CA_ENCRYPTION_KEY: %s",
		    rc_name(ret));
	else if (sealer_is_weak(w->sealer))
		log_warn("CA-PASSPHRASE",
		    "CERTCTL_CA_ENCRYPTION_KEY opens the keys that were sealed "
		    "under it, and no new CA is made: %s",
		    WEAK_WHY);
	return ret;
}

/* Else each would be made anew as soon as it is there. */
static rc
check_responders(const struct cfg *cfg)
{
	if (cfg_int(cfg, "ocsp_responder_rotation_grace") <
	    cfg_int(cfg, "ocsp_responder_validity"))
		return RC_OK;
	log_error("CONFIG",
	    "CERTCTL_OCSP_RESPONDER_ROTATION_GRACE: is to be less than "
	    "CERTCTL_OCSP_RESPONDER_VALIDITY");
	return RC_INVALID;
}

static void
make_parts(struct worker *w)
{
	struct local_cas_opts cas = {
	    .loop = w->d->loop,
	    .pool = w->pool,
	    .sealer = w->sealer,
	    .journal_dir = cfg_str(w->d->cfg, "issuance_journal_dir"),
	    .journal =
		{
		    .bytes = cfg_int(w->d->cfg, "issuance_journal_size"),
		    .age_s = cfg_int(w->d->cfg, "issuance_journal_age") / 1000,
		    .keep_s =
			cfg_int(w->d->cfg, "issuance_journal_keep") / 1000,
		},
	};
	struct lease_opts lease = {
	    .loop = w->d->loop,
	    .pool = w->lease_pool,
	    .incarnation = w->d->incarnation,
	    .name = w->d->name,
	    .host = w->d->host,
	    .pid = (int)getpid(),
	    .version = CERTCTL_VERSION,
	    .slots = (size_t)cfg_int(w->d->cfg, "worker_slots"),
	    .clock_limit_ms = cfg_int(w->d->cfg, "worker_clock_limit"),
	    .bus_cert = own_bus_cert,
	    .on_trusted = on_trusted,
	    .on_lost = on_lost,
	    .arg = w,
	};
	struct host_faults_opts host = {
	    .loop = w->d->loop,
	    .is_over = host_try_is_over,
	    .on_change = on_host_change,
	    .arg = w,
	};

	w->cas = local_cas_new(&cas);
	w->responders = responders_new(&(struct responders_opts){
	    .loop = w->d->loop,
	    .pool = w->pool,
	    .sealer = w->sealer,
	    .cas = w->cas,
	    .validity_s = cfg_int(w->d->cfg, "ocsp_responder_validity") / 1000,
	    .grace_s =
		cfg_int(w->d->cfg, "ocsp_responder_rotation_grace") / 1000,
	});
	w->acme = acme_cas_new(w->d->loop);
	w->tokens = token_memory_new(w->d->loop);
	w->stepca = stepca_keys_new(w->d->loop);
	w->vault = vault_tokens_new(w->d->loop, w->issuer_http, w->pool);
	host.try_arg = w->host_try = host_try_new(&w->env);
	lease.host_faults = w->host = host_faults_new(&host);
	w->lease = lease_new(&lease);
	w->env = (struct kind_env){
	    .loop = w->d->loop,
	    .pool = w->pool,
	    .lease = w->lease,
	    .bus = w->bus,
	    .cas = w->cas,
	    .responders = w->responders,
	    .host = w->host,
	    .journal_dir = cfg_str(w->d->cfg, "issuance_journal_dir"),
	    .sealer = w->sealer,
	    .issuer =
		{
		    .loop = w->d->loop,
		    .script_dir = cfg_str(w->d->cfg, "script_issuer_dir"),
		    .secrets = w->secrets,
		    .cfg = w->d->cfg,
		    .http = w->issuer_http,
		    .client_dir = cfg_str(w->d->cfg, "issuer_client_dir"),
		    .base_urls = cfg_list(w->d->cfg, "issuer_base_urls"),
		    .tokens = w->tokens,
		    .acme = w->acme,
		    .acme_webroots = cfg_list(w->d->cfg, "acme_webroots"),
		    .zerossl_eab_url = cfg_str(w->d->cfg, "zerossl_eab_url"),
		    .stepca = w->stepca,
		    .vault = w->vault,
		},
	    .issuers = issuers_outside,
	    .notifier = notifier_outs_env(w->notifiers),
	    .network = &w->network,
	    .watch = &w->watch,
	    .validator = &w->validator,
	};
	issuer_max_waits_read(w->d->cfg, &w->env.issuer.max_waits);
}

static rc
make_slots(struct worker *w)
{
	struct slots_opts opts = {
	    .loop = w->d->loop,
	    .bus = w->bus,
	    .home = w->d->home,
	    .host = w->host,
	    .incarnation = w->d->incarnation,
	    .cap = (size_t)cfg_int(w->d->cfg, "worker_slots"),
	    .waits_max = (size_t)cfg_int(w->d->cfg, "worker_outside_slots"),
	    .start = on_grant,
	    .arg = w,
	};

	return slots_new(&opts, &w->slots);
}

/* --- the process --- */

static rc
prepare(void *self, struct daemon *d)
{
	const struct bus_tls tls = part_bus_tls(d->cfg);
	struct worker *w = self;
	rc ret;

	w->d = d;
	/* All of them: one start tells every mistake. */
	ret = check_journal_dir(cfg_str(d->cfg, "issuance_journal_dir"));
	ret = rc_first(ret, make_sealer(w));
	ret = rc_first(ret,
	    envelope_keys_new(cfg_list(d->cfg, "issuer_secrets_keys"),
		&w->secrets));
	ret = rc_first(ret, check_responders(d->cfg));
	ret = rc_first(ret, notifier_outs_new(d->loop, d->cfg, &w->notifiers));
	ret = rc_first(ret, issuer_http_new(d->loop, d->cfg, &w->issuer_http));
	ret = rc_first(ret, network_init(&w->network, d->loop, d->cfg));
	ret = rc_first(ret,
	    watch_init(&w->watch, d->loop, d->cfg, &w->network.outbound));
	ret =
	    rc_first(ret, acme_validator_init(&w->validator, d->loop, d->cfg));
	ret =
	    rc_first(ret, bus_client_check(cfg_list(d->cfg, "bus_urls"), &tls));
	return rc_first(ret,
	    part_work_pools(d, STATEMENT_TIMEOUT_MS, LOCK_TIMEOUT_MS,
		db_walk_ids, "lease", &w->pool, &w->lease_pool));
}

static void
on_looked(void *arg)
{
	struct worker *w = arg;

	w->behind = NULL;
	if (!w->d->is_stopping)
		lease_start(w->lease);
}

static void
on_warm(void *arg)
{
	struct worker *w = arg;

	if (w->d->is_stopping)
		return;
	w->behind = behind_start(&(struct behind_opts){
	    .loop = w->d->loop,
	    .pool = w->pool,
	    .journal_dir = cfg_str(w->d->cfg, "issuance_journal_dir"),
	    .host = w->d->host,
	    .done = on_looked,
	    .arg = w,
	});
}

static rc
start(void *self, struct daemon *d)
{
	/* What others did is nothing to a worker: the leader hands it out. */
	static const struct bus_client_ops bus_ops = {.on_leader = on_leader};
	struct worker *w = self;
	rc ret;

	ret = part_bus_client(d, &bus_ops, w, &w->bus);
	if (ret != RC_OK)
		return ret;
	make_parts(w);
	ret = make_slots(w);
	if (ret != RC_OK)
		return ret;
	log_info("STARTED", "%s %s, %d slots", d->name, CERTCTL_VERSION,
	    (int)cfg_int(d->cfg, "worker_slots"));
	warm_start(&(struct warm_opts){
	    .loop = d->loop,
	    .pool = w->pool,
	    .sealer = w->sealer,
	    .done = on_warm,
	    .arg = w,
	});
	return RC_OK;
}

/* Ops end before what they use; the bus is gone before slots and CAs are. */
static void
finish(void *self, struct daemon *d)
{
	struct worker *w = self;
	struct bus_client *bus = w->bus;

	if (w->behind)
		op_abort(w->behind, RC_CANCELLED);
	w->env.bus = NULL;
	bus_client_free(bus);
	slots_free(w->slots);
	host_try_free(w->host_try);
	loop_settle(d->loop); /* an order under way knows its call */
	host_faults_free(w->host);
	responders_free(w->responders);
	local_cas_free(w->cas);
	lease_free(w->lease);
	notifier_outs_free(w->notifiers);
	acme_cas_free(w->acme);
	token_memory_free(w->tokens);
	vault_tokens_free(w->vault);
	stepca_keys_free(w->stepca);
	loop_settle(d->loop);
	http_out_free(w->issuer_http);
	network_fini(&w->network);
	watch_fini(&w->watch);
	acme_validator_fini(&w->validator);
	db_pool_free(w->lease_pool);
	db_pool_free(w->pool);
	envelope_keys_free(w->secrets);
	sealer_free(w->sealer);
}

/* What reseal_main takes stands alone. */
static bool
refuse_options(int argc, char **argv, const struct cfg *cfg, int *out_exit)
{
	if (argc < 2)
		return false;
	(void)fprintf(stderr,
	    "certctl-worker: \"%s\" stands alone; see --help\n", argv[1]);
	*out_exit = EXIT_FAILURE;
	return true;
}

int
main(int argc, char **argv)
{
	static const struct daemon_program program = {
	    .process = "worker",
	    .purpose = "runs the jobs: signs certificates with the local CA",
	    .keys = keys,
	    .nkeys = ARRAY_LEN(keys),
	    .extra_help = RESEAL_HELP,
	    .command = refuse_options,
	    .name_key = "process_name",
	    .prepare = prepare,
	    .wait = part_wait_for_schema,
	    .open = start,
	    .stop = stop,
	    .close = finish,
	};
	struct worker w = {0};
	int status;

	if (reseal_main(argc, argv, &status))
		return status;
	return daemon_main(argc, argv, &program, &w);
}
