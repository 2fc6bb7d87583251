/*
 * certctl-scheduler: leads, or stands by to lead.  The leader hands due work
 * to workers and runs the duties.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/rand.h"
#include "common/bus/bus.h"
#include "common/cfg/cfg.h"
#include "common/db/db.h"
#include "common/log/log.h"
#include "common/loop/loop.h"
#include "common/migrate/migrate.h"
#include "scheduler/beat.h"
#include "scheduler/dispatch.h"
#include "scheduler/duties/duties.h"
#include "scheduler/duty.h"
#include "scheduler/leader.h"

/* An orderly stop waits so long for the database to take the leadership
 * back; after that the lease runs out by itself. */
#define STOP_LIMIT_MS 1000
#define QUEUE_DEADLINE_MS 5000
#define STATEMENT_TIMEOUT_MS 60000
#define DB_WAIT_MS 30000
/* A renewal that takes longer is worth nothing. */
#define RENEWAL_TIMEOUT_MS 1000

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "scheduler/cfg_keys.def"
#undef KEY
};

struct scheduler {
	struct cfg *cfg;
	struct loop *loop;
	struct db_pool *pool;        /* work */
	struct db_pool *leader_pool; /* the leadership row, nothing else */
	struct bus_server *bus;
	struct leader *leader;
	struct dispatch *dispatch;
	struct duties *duties;
	struct beat *beat;
	struct timer *stop_limit;
	bool is_stopping;
	char incarnation[64];
	char nonce[37];
	char host[256];
	char name[300];
};

/* --- leadership --- */

static void
on_lead(void *arg, uint64_t term)
{
	struct scheduler *s = arg;

	beat_now(s->beat);
	dispatch_start(s->dispatch, term);
	duties_start(s->duties, term);
}

static void
on_lost(void *arg)
{
	struct scheduler *s = arg;

	dispatch_stop(s->dispatch);
	duties_stop(s->duties);
	beat_now(s->beat);
}

/* --- the bus --- */

static void
on_hint(void *arg, const struct frame *f)
{
	struct scheduler *s = arg;

	if (beat_hint(s->beat, f))
		dispatch_poke(s->dispatch);
}

static void
on_request(void *arg, uint64_t reply_to, uint32_t pipe, const struct frame *f)
{
	struct scheduler *s = arg;

	dispatch_on_request(s->dispatch, reply_to, pipe, f);
}

static void
on_pipe_closed(void *arg, uint32_t pipe)
{
	struct scheduler *s = arg;

	dispatch_on_pipe_closed(s->dispatch, pipe);
}

static const struct bus_server_ops bus_ops = {
    .on_hint = on_hint,
    .on_request = on_request,
    .on_pipe_closed = on_pipe_closed,
};

/* --- what duties ask for --- */

static int64_t
interval_ms(void *arg, const char *key)
{
	const struct scheduler *s = arg;

	return cfg_int(s->cfg, key);
}

static void
publish(void *arg, const char *body, size_t len)
{
	struct scheduler *s = arg;

	beat_publish(s->beat, body, len);
}

static void
full_look(void *arg)
{
	struct scheduler *s = arg;

	dispatch_full_look(s->dispatch);
}

static size_t
running(void *arg)
{
	const struct scheduler *s = arg;

	return dispatch_running(s->dispatch);
}

/* --- stopping --- */

static void
stop_now(void *arg)
{
	struct scheduler *s = arg;

	loop_stop(s->loop);
}

static void
on_signal(void *arg)
{
	struct scheduler *s = arg;

	if (s->is_stopping)
		return;
	s->is_stopping = true;
	log_info("STOPPING", "asked to stop");
	timer_arm(s->stop_limit, STOP_LIMIT_MS);
	leader_release(s->leader, stop_now, s);
}

/* --- wiring --- */

static enum log_level
log_level_of(const char *text)
{
	if (strcmp(text, "debug") == 0)
		return LOG_DEBUG;
	if (strcmp(text, "warn") == 0)
		return LOG_WARN;
	if (strcmp(text, "error") == 0)
		return LOG_ERROR;
	return LOG_INFO;
}

/* Who this start of this process is. */
static void
set_names(struct scheduler *s)
{
	const char *name = cfg_str(s->cfg, "process_name");

	if (gethostname(s->host, sizeof(s->host) - 1) != 0)
		snprintf(s->host, sizeof(s->host), "localhost");
	if (name[0])
		snprintf(s->name, sizeof(s->name), "%s", name);
	else
		snprintf(s->name, sizeof(s->name), "%s-%ld", s->host,
		    (long)getpid());
	rand_id("scheduler", s->incarnation);
	rand_uuid(s->nonce);
}

static rc
open_pools(struct scheduler *s)
{
	struct db_opts opts = {
	    .url = cfg_str(s->cfg, "database_url"),
	    .application_name = "certctl-scheduler",
	    .max_conns = (size_t)cfg_int(s->cfg, "database_max_conns"),
	    .queue_deadline_ms = QUEUE_DEADLINE_MS,
	    .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
	    .ignore_env = true,
	};
	rc code;

	code = db_pool_new(s->loop, &opts, &s->pool);
	if (code == RC_OK) {
		opts.application_name = "certctl-scheduler leadership";
		opts.max_conns = 1;
		opts.queue_deadline_ms = RENEWAL_TIMEOUT_MS;
		opts.statement_timeout_ms = RENEWAL_TIMEOUT_MS;
		code = db_pool_new(s->loop, &opts, &s->leader_pool);
	}
	if (code != RC_OK)
		log_error("CONFIG", "CERTCTL_DATABASE_URL cannot be used: %s",
		    rc_name(code));
	return code;
}

static const char *
path_or_null(const struct cfg *c, const char *key)
{
	const char *path = cfg_str(c, key);

	return path[0] ? path : NULL;
}

static rc
open_bus(struct scheduler *s)
{
	const char *url = cfg_str(s->cfg, "bus_listen_url");
	struct bus_tls tls = {
	    .ca_file = path_or_null(s->cfg, "bus_ca"),
	    .cert_file = path_or_null(s->cfg, "bus_cert"),
	    .key_file = path_or_null(s->cfg, "bus_key"),
	};
	rc code;

	code = bus_server_new(s->loop, url, &tls, &bus_ops, s, &s->bus);
	if (code != RC_OK)
		log_error("BUS-LISTEN", "CERTCTL_BUS_LISTEN_URL \"%s\": %s",
		    url, rc_name(code));
	return code;
}

static void
make_leader(struct scheduler *s)
{
	struct leader_opts leader = {
	    .loop = s->loop,
	    .pool = s->leader_pool,
	    .incarnation = s->incarnation,
	    .nonce = s->nonce,
	    .on_lead = on_lead,
	    .on_lost = on_lost,
	    .arg = s,
	};
	struct beat_opts beat = {
	    .loop = s->loop,
	    .pool = s->pool,
	    .bus = s->bus,
	    .incarnation = s->incarnation,
	    .name = s->name,
	    .host = s->host,
	    .url = cfg_str(s->cfg, "bus_listen_url"),
	};

	s->leader = leader_new(&leader);
	beat.leader = s->leader;
	s->beat = beat_new(&beat);
}

static void
make_dispatch(struct scheduler *s)
{
	size_t batch = (size_t)cfg_int(s->cfg, "batch_size");
	size_t limit = (size_t)cfg_int(s->cfg, "job_claim_limit");
	struct dispatch_opts opts = {
	    .loop = s->loop,
	    .pool = s->pool,
	    .leader = s->leader,
	    .bus = s->bus,
	    .incarnation = s->incarnation,
	    .permits = (size_t)cfg_int(s->cfg, "renewal_concurrency"),
	    .batch = batch < limit ? batch : limit,
	};

	s->dispatch = dispatch_new(&opts);
}

static void
make_duties(struct scheduler *s)
{
	struct cfg *c = s->cfg;
	struct duty_opts opts = {
	    .loop = s->loop,
	    .pool = s->pool,
	    .leader = s->leader,
	    .incarnation = s->incarnation,
	    .table = duty_table,
	    .n = duty_table_n,
	    .settings =
		{
		    .csr_timeout_ms = cfg_int(c, "job_awaiting_csr_timeout"),
		    .approval_timeout_ms =
			cfg_int(c, "job_awaiting_approval_timeout"),
		    .agent_offline_ms = cfg_int(c, "agent_offline_after"),
		    .agent_rescue_ms = cfg_int(c, "agent_rescue_after"),
		    .job_retention_ms = cfg_int(c, "job_retention"),
		    .version_retention_ms = cfg_int(c, "version_retention"),
		    .audit_retention_ms = cfg_int(c, "audit_retention"),
		},
	    .interval_ms = interval_ms,
	    .publish = publish,
	    .full_look = full_look,
	    .running = running,
	    .arg = s,
	};

	/* With the threshold equal to the interval, one heartbeat that is
	 * late would make an agent flap. */
	if (!cfg_is_set(c, "agent_offline_after"))
		opts.settings.agent_offline_ms =
		    cfg_int(c, "agent_health_check_interval") * 3 / 2;
	s->duties = duties_new(&opts);
}

/* The audit trail tells of what the others removed: it is kept longest. */
static rc
check_retention(const struct cfg *c)
{
	static const char *const shorter[][2] = {
	    {"job_retention", "CERTCTL_JOB_RETENTION"},
	    {"version_retention", "CERTCTL_VERSION_RETENTION"},
	};
	int64_t audit_ms = cfg_int(c, "audit_retention");

	for (size_t i = 0; audit_ms > 0 && i < ARRAY_LEN(shorter); i++) {
		if (cfg_int(c, shorter[i][0]) <= audit_ms)
			continue;
		log_error("CONFIG",
		    "CERTCTL_AUDIT_RETENTION is shorter than %s; the audit "
		    "trail is kept longest: raise it, or lower the other",
		    shorter[i][1]);
		return RC_INVALID;
	}
	return RC_OK;
}

static rc
scheduler_init(struct scheduler *s)
{
	rc code = check_retention(s->cfg);

	set_names(s);
	if (code == RC_OK)
		code = loop_new(&s->loop);
	if (code == RC_OK)
		code = loop_on_signal(s->loop, SIGTERM, on_signal, s);
	if (code == RC_OK)
		code = loop_on_signal(s->loop, SIGINT, on_signal, s);
	if (code == RC_OK)
		code = open_pools(s);
	if (code == RC_OK)
		code = open_bus(s);
	if (code != RC_OK)
		return code;
	s->stop_limit = timer_new(s->loop, stop_now, s);
	make_leader(s);
	make_dispatch(s);
	make_duties(s);
	return RC_OK;
}

/* Copes with what scheduler_init did not get to. */
static void
scheduler_fini(struct scheduler *s)
{
	duties_free(s->duties);
	dispatch_free(s->dispatch);
	beat_free(s->beat);
	leader_free(s->leader);
	timer_free(s->stop_limit);
	bus_server_free(s->bus);
	db_pool_free(s->leader_pool);
	db_pool_free(s->pool);
	loop_free(s->loop);
	cfg_free(s->cfg);
}

int
main(int argc, char **argv)
{
	struct scheduler s = {0};
	int status;
	rc code;

	if (cfg_main(argc, argv, "certctl-scheduler",
		"Hands due work to workers and runs the periodic duties.", keys,
		ARRAY_LEN(keys), NULL, &s.cfg, &status))
		return status;
	log_init("scheduler", log_level_of(cfg_str(s.cfg, "log_level")),
	    strcmp(cfg_str(s.cfg, "log_format"), "json") == 0);
	/* Before signals are taken: until then a signal just ends us. */
	code = migrate_check(cfg_str(s.cfg, "database_url"), DB_WAIT_MS);
	if (code == RC_OK)
		code = scheduler_init(&s);
	if (code == RC_OK) {
		log_info("STARTED", "%s on %s", s.name,
		    cfg_str(s.cfg, "bus_listen_url"));
		beat_start(s.beat);
		leader_start(s.leader);
		code = loop_run(s.loop);
		log_info("STOPPED", "%s", rc_name(code));
	}
	scheduler_fini(&s);
	return code == RC_OK ? 0 : 1;
}
