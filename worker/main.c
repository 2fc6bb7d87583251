/*
 * certctl-worker: parse, load the configuration, wire, run.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/rand.h"
#include "common/bus/bus.h"
#include "common/cfg/cfg.h"
#include "common/db/db.h"
#include "common/log/log.h"
#include "common/loop/loop.h"
#include "common/migrate/migrate.h"
#include "common/pki/key/seal.h"
#include "worker/issuers/local_ca.h"
#include "worker/kinds/kind.h"
#include "worker/lease.h"
#include "worker/slots.h"
#include "worker/warm.h"

#define QUEUE_DEADLINE_MS 5000
#define STATEMENT_TIMEOUT_MS 30000
#define DB_WAIT_MS 30000
#define RENEW_DEADLINE_MS 1000
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
	struct cfg *cfg;
	struct loop *loop;
	struct sealer *sealer;
	struct db_pool *pool;
	struct db_pool *lease_pool;
	struct lease *lease;
	struct bus_client *bus;
	struct local_cas *cas;
	struct slots *slots;
	struct kind_env env;
	char host[256];
	char name[320];
	char incarnation[64];
	bool is_stopping;
};

/* --- callbacks --- */

static struct op *
on_grant(void *arg, const struct grant *g, const struct slot_end *end)
{
	struct worker *w = arg;

	return g->is_tasks ? task_start(&w->env, g, end)
			   : issue_local_start(&w->env, g, end);
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
on_event(void *arg, const struct frame *f)
{
	/* What others did is nothing to a worker: the leader hands it out. */
}

static void
on_leader(void *arg, uint64_t term)
{
	struct worker *w = arg;

	/* The first beat may come before all is wired. */
	if (w->slots)
		slots_leader_changed(w->slots);
}

/* --- stopping --- */

static void
on_left(void *arg)
{
	struct worker *w = arg;

	loop_stop(w->loop);
}

static void
on_finished(void *arg)
{
	struct worker *w = arg;

	lease_leave(w->lease, on_left, w);
}

static void
on_stop_signal(void *arg)
{
	struct worker *w = arg;
	int limit_ms = FINISH_MS;

	if (w->is_stopping) {
		log_warn("STOP", "asked twice: stopping at once");
		loop_stop(w->loop);
		return;
	}
	w->is_stopping = true;
	if (slots_waiting(w->slots) > 0)
		limit_ms = FINISH_OUTSIDE_MS;
	log_info("STOP", "finishing %zu leases, at most %d s",
	    slots_busy(w->slots), limit_ms / 1000);
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

static void
make_names(struct worker *w)
{
	const char *name = cfg_str(w->cfg, "process_name");
	char uuid[37];

	if (gethostname(w->host, sizeof(w->host) - 1) < 0)
		snprintf(w->host, sizeof(w->host), "unknown");
	if (name[0] != '\0')
		snprintf(w->name, sizeof(w->name), "%s", name);
	else
		snprintf(w->name, sizeof(w->name), "%s-%d", w->host,
		    (int)getpid());
	rand_uuid(uuid);
	snprintf(w->incarnation, sizeof(w->incarnation), "worker-%s", uuid);
}

static rc
open_pools(struct worker *w)
{
	struct db_opts opts = {
	    .url = cfg_str(w->cfg, "database_url"),
	    .application_name = "certctl-worker",
	    .max_conns = (size_t)cfg_int(w->cfg, "database_max_conns"),
	    .queue_deadline_ms = QUEUE_DEADLINE_MS,
	    .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
	    .ignore_env = true,
	};
	rc code;

	code = db_pool_new(w->loop, &opts, &w->pool);
	if (code == RC_OK) {
		opts.application_name = "certctl-worker lease";
		opts.max_conns = 1;
		opts.queue_deadline_ms = RENEW_DEADLINE_MS;
		opts.statement_timeout_ms = RENEW_DEADLINE_MS;
		code = db_pool_new(w->loop, &opts, &w->lease_pool);
	}
	if (code != RC_OK)
		log_error("CONFIG", "CERTCTL_DATABASE_URL is no libpq URL");
	return code;
}

static const char *
path_or_null(const struct cfg *cfg, const char *name)
{
	const char *path = cfg_str(cfg, name);

	return path[0] != '\0' ? path : NULL;
}

static rc
open_bus(struct worker *w)
{
	static const struct bus_client_ops ops = {
	    .on_event = on_event,
	    .on_leader = on_leader,
	};
	struct bus_tls tls = {
	    .ca_file = path_or_null(w->cfg, "bus_ca"),
	    .cert_file = path_or_null(w->cfg, "bus_cert"),
	    .key_file = path_or_null(w->cfg, "bus_key"),
	};

	return bus_client_new(w->loop, cfg_list(w->cfg, "bus_urls"), &tls, &ops,
	    w, &w->bus);
}

static void
make_parts(struct worker *w)
{
	struct local_cas_opts cas = {
	    .loop = w->loop,
	    .pool = w->pool,
	    .sealer = w->sealer,
	    .journal_dir = cfg_str(w->cfg, "issuance_journal_dir"),
	};
	struct lease_opts lease = {
	    .loop = w->loop,
	    .pool = w->lease_pool,
	    .incarnation = w->incarnation,
	    .name = w->name,
	    .host = w->host,
	    .pid = (int)getpid(),
	    .version = CERTCTL_VERSION,
	    .slots = (size_t)cfg_int(w->cfg, "worker_slots"),
	    .on_trusted = on_trusted,
	    .on_lost = on_lost,
	    .arg = w,
	};

	w->cas = local_cas_new(&cas);
	w->lease = lease_new(&lease);
	w->env = (struct kind_env){
	    .loop = w->loop,
	    .pool = w->pool,
	    .lease = w->lease,
	    .bus = w->bus,
	    .cas = w->cas,
	    .issuer =
		{
		    .loop = w->loop,
		    .script_dir = cfg_str(w->cfg, "script_issuer_dir"),
		},
	    .issuers = issuers_outside,
	};
}

static rc
make_slots(struct worker *w)
{
	struct slots_opts opts = {
	    .loop = w->loop,
	    .bus = w->bus,
	    .incarnation = w->incarnation,
	    .cap = (size_t)cfg_int(w->cfg, "worker_slots"),
	    .waits_max = (size_t)cfg_int(w->cfg, "worker_outside_slots"),
	    .start = on_grant,
	    .arg = w,
	};

	return slots_new(&opts, &w->slots);
}

static rc
wire(struct worker *w)
{
	rc code;

	code = check_journal_dir(cfg_str(w->cfg, "issuance_journal_dir"));
	if (code == RC_OK)
		code = sealer_new(cfg_str(w->cfg, "ca_encryption_key"),
		    &w->sealer);
	if (code == RC_OK)
		code = loop_new(&w->loop);
	if (code == RC_OK)
		code = open_pools(w);
	if (code == RC_OK)
		code = open_bus(w);
	if (code != RC_OK)
		return code;
	make_parts(w);
	code = make_slots(w);
	if (code == RC_OK)
		code = loop_on_signal(w->loop, SIGTERM, on_stop_signal, w);
	if (code == RC_OK)
		code = loop_on_signal(w->loop, SIGINT, on_stop_signal, w);
	return code;
}

static void
on_warm(void *arg)
{
	struct worker *w = arg;

	if (!w->is_stopping)
		lease_start(w->lease);
}

/* Ops end before what they use; the bus is gone before slots and CAs are. */
static void
unwire(struct worker *w)
{
	struct bus_client *bus = w->bus;

	w->env.bus = NULL;
	bus_client_free(bus);
	slots_free(w->slots);
	local_cas_free(w->cas);
	lease_free(w->lease);
	if (w->lease_pool)
		db_pool_free(w->lease_pool);
	if (w->pool)
		db_pool_free(w->pool);
	loop_free(w->loop);
	sealer_free(w->sealer);
	cfg_free(w->cfg);
}

int
main(int argc, char **argv)
{
	static const enum log_level levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN,
	    LOG_ERROR};
	static const char *const names[] = {"debug", "info", "warn", "error"};
	struct worker w = {0};
	enum log_level least = LOG_INFO;
	int exit_code = EXIT_FAILURE;
	rc code;

	if (cfg_main(argc, argv, "certctl-worker",
		"runs the jobs: signs certificates with the local CA", keys,
		ARRAY_LEN(keys), NULL, &w.cfg, &exit_code))
		return exit_code;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(cfg_str(w.cfg, "log_level"), names[i]) == 0)
			least = levels[i];
	log_init("worker", least,
	    strcmp(cfg_str(w.cfg, "log_format"), "json") == 0);
	make_names(&w);
	/* Before signals are taken: until then a signal just ends us. */
	code = migrate_check(cfg_str(w.cfg, "database_url"), DB_WAIT_MS);
	if (code == RC_OK)
		code = wire(&w);
	if (code == RC_OK) {
		log_info("START", "%s %s, %d slots", w.name, CERTCTL_VERSION,
		    (int)cfg_int(w.cfg, "worker_slots"));
		warm_start(&(struct warm_opts){
		    .loop = w.loop,
		    .pool = w.pool,
		    .sealer = w.sealer,
		    .done = on_warm,
		    .arg = &w,
		});
		code = loop_run(w.loop);
		log_info("END", "%s", w.name);
	}
	unwire(&w);
	return code == RC_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
