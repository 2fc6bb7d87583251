/*
 * certctl-scheduler: leads, or stands by to lead.  The leader hands due work
 * to workers and runs the duties.
 */
#include <string.h>

#include "common/base/arena.h"
#include "common/base/rand.h"
#include "common/base/text.h"
#include "common/bus/bus.h"
#include "common/daemon/daemon.h"
#include "common/daemon/parts.h"
#include "common/log/log.h"
#include "scheduler/beat.h"
#include "scheduler/dispatch.h"
#include "scheduler/duties/duties.h"
#include "scheduler/duty.h"
#include "scheduler/leader.h"

#define STATEMENT_TIMEOUT_MS 60000
/* What duties and claims look for they pass over where somebody holds it; this
 * is for what they do not look for, as the rows that keys refer to. */
#define LOCK_TIMEOUT_MS 1000
#define DUTY_QUEUE_MS 5000
/* Beside those of the runs: how they ended, and the table's own look. */
#define DUTY_CONNS_MORE 2

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "scheduler/cfg_keys.def"
#undef KEY
#define DUTY DUTY_KEY_ROW
#include "scheduler/duties.def"
#undef DUTY
};

struct scheduler {
	struct daemon *d;
	struct db_pool *pool;        /* handing out, and what it commits */
	struct db_pool *duty_pool;   /* duties, which may take minutes */
	struct db_pool *leader_pool; /* the leadership row, nothing else */
	struct bus_server *bus;
	struct leader *leader;
	struct dispatch *dispatch;
	struct duties *duties;
	struct beat *beat;
	char nonce[37];
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
on_hint(void *arg, uint32_t pipe, const struct frame *f)
{
	struct scheduler *s = arg;
	struct arena *a = arena_new();
	const struct cJSON *body;

	if (beat_hint(s->beat, pipe, f, a, &body))
		dispatch_on_hint(s->dispatch, body);
	arena_free(a);
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

static void
on_hello(void *arg, uint64_t reply_to, uint32_t pipe, const struct frame *f)
{
	struct scheduler *s = arg;

	beat_hello(s->beat, reply_to, pipe, f);
}

static const struct bus_server_ops bus_ops = {
    .on_hint = on_hint,
    .on_request = on_request,
    .on_pipe_closed = on_pipe_closed,
    .on_hello = on_hello,
};

/* --- what duties ask for --- */

static int64_t
setting(void *arg, const char *key)
{
	const struct cfg *c = ((const struct scheduler *)arg)->d->cfg;

	/* With the threshold equal to the interval, one heartbeat that is
	 * late would make an agent flap. */
	if (strcmp(key, "agent_offline_after") == 0 && !cfg_is_set(c, key))
		return cfg_int(c, DUTY_INTERVAL_KEY(agent_health)) * 3 / 2;
	if (text_ends_with(key, "_enabled"))
		return cfg_bool(c, key);
	return cfg_int(c, key);
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

/* --- wiring --- */

static rc
open_bus(struct scheduler *s)
{
	const char *url = cfg_str(s->d->cfg, "bus_listen_url");
	const struct bus_tls tls = part_bus_tls(s->d->cfg);
	rc ret;

	ret = bus_server_new(s->d->loop, url, &tls, &bus_ops, s, &s->bus);
	if (ret != RC_OK)
		log_error("BUS-LISTEN", "CERTCTL_BUS_LISTEN_URL \"%s\": %s",
		    url, rc_name(ret));
	return ret;
}

static void
make_leader(struct scheduler *s)
{
	struct leader_opts leader = {
	    .loop = s->d->loop,
	    .pool = s->leader_pool,
	    .incarnation = s->d->incarnation,
	    .nonce = s->nonce,
	    .on_lead = on_lead,
	    .on_lost = on_lost,
	    .arg = s,
	};
	struct beat_opts beat = {
	    .loop = s->d->loop,
	    .pool = s->pool,
	    .bus = s->bus,
	    .incarnation = s->d->incarnation,
	    .name = s->d->name,
	    .host = s->d->host,
	    .url = cfg_str(s->d->cfg, "bus_listen_url"),
	    .home = s->d->home,
	};

	s->leader = leader_new(&leader);
	beat.leader = s->leader;
	s->beat = beat_new(&beat);
}

static void
make_dispatch(struct scheduler *s)
{
	size_t batch = (size_t)cfg_int(s->d->cfg, "batch_size");
	size_t limit = (size_t)cfg_int(s->d->cfg, "job_claim_limit");
	struct dispatch_opts opts = {
	    .loop = s->d->loop,
	    .pool = s->pool,
	    .leader = s->leader,
	    .bus = s->bus,
	    .incarnation = s->d->incarnation,
	    .permits = (size_t)cfg_int(s->d->cfg, "renewal_concurrency"),
	    .batch = batch < limit ? batch : limit,
	    .home = s->d->home,
	};

	s->dispatch = dispatch_new(&opts);
}

static void
make_duties(struct scheduler *s)
{
	struct duty_opts opts = {
	    .loop = s->d->loop,
	    .pool = s->duty_pool,
	    .leader = s->leader,
	    .incarnation = s->d->incarnation,
	    .table = duty_table,
	    .n = duty_table_n,
	    .setting = setting,
	    .publish = publish,
	    .full_look = full_look,
	    .running = running,
	    .arg = s,
	};

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
	rc ret = RC_OK;

	for (size_t i = 0; audit_ms > 0 && i < ARRAY_LEN(shorter); i++) {
		if (cfg_int(c, shorter[i][0]) <= audit_ms)
			continue;
		log_error("CONFIG",
		    "CERTCTL_AUDIT_RETENTION is shorter than %s; the audit "
		    "trail is kept longest: raise it, or lower the other",
		    shorter[i][1]);
		ret = RC_INVALID;
	}
	return ret;
}

/* --- the process --- */

/* Of their own: whatever duties do, handing out has its connections.  A run
 * that is given up is broken off in the database as well, so that those of
 * terms that are over never hold what the next needs. */
static rc
open_duty_pool(struct scheduler *s)
{
	const struct db_opts opts = {
	    .max_conns = DUTY_RUNNING_MAX + DUTY_CONNS_MORE,
	    .queue_deadline_ms = DUTY_QUEUE_MS,
	    .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
	    .lock_timeout_ms = LOCK_TIMEOUT_MS,
	    .ends_forgotten = true,
	};

	return part_pool(s->d, "duties", &opts, &s->duty_pool);
}

static rc
prepare(void *self, struct daemon *d)
{
	const struct bus_tls tls = part_bus_tls(d->cfg);
	struct scheduler *s = self;
	rc ret;

	s->d = d;
	rand_uuid(s->nonce);
	/* All of them: one start tells every mistake. */
	ret = check_retention(d->cfg);
	ret = rc_first(ret,
	    bus_server_check(cfg_str(d->cfg, "bus_listen_url"), &tls));
	ret = rc_first(ret,
	    part_work_pools(d, STATEMENT_TIMEOUT_MS, LOCK_TIMEOUT_MS, NULL,
		"leadership", &s->pool, &s->leader_pool));
	return rc_first(ret, open_duty_pool(s));
}

static rc
start(void *self, struct daemon *d)
{
	struct scheduler *s = self;
	rc ret;

	ret = open_bus(s);
	if (ret != RC_OK)
		return ret;
	make_leader(s);
	make_dispatch(s);
	make_duties(s);
	log_info("STARTED", "%s %s on %s", d->name, CERTCTL_VERSION,
	    cfg_str(d->cfg, "bus_listen_url"));
	beat_start(s->beat);
	leader_start(s->leader);
	return RC_OK;
}

static void
on_released(void *arg)
{
	struct scheduler *s = arg;

	loop_stop(s->d->loop);
}

static void
stop(void *self, struct daemon *d)
{
	struct scheduler *s = self;

	leader_release(s->leader, on_released, s);
}

static void
finish(void *self, struct daemon *d)
{
	struct scheduler *s = self;

	duties_free(s->duties);
	dispatch_free(s->dispatch);
	loop_settle(d->loop); /* their ops, before what those use */
	beat_free(s->beat);
	leader_free(s->leader);
	bus_server_free(s->bus);
	db_pool_free(s->leader_pool);
	db_pool_free(s->duty_pool);
	db_pool_free(s->pool);
}

int
main(int argc, char **argv)
{
	static const struct daemon_program program = {
	    .process = "scheduler",
	    .purpose = "Hands due work to workers and runs the periodic "
		       "duties.",
	    .keys = keys,
	    .nkeys = ARRAY_LEN(keys),
	    .name_key = "process_name",
	    .prepare = prepare,
	    .wait = part_wait_for_schema,
	    .open = start,
	    .stop = stop,
	    .close = finish,
	};
	struct scheduler s = {0};

	return daemon_main(argc, argv, &program, &s);
}
