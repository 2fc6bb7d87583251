#include "scheduler/beat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/bus/origin.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"

struct beat {
	struct beat_opts o;
	struct timer *tick;
	struct timer *seen_tick;
	struct db_req *seen; /* under way, or NULL */
	bool has_failed;     /* the last renewal of our row */
};

static void on_tick(void *arg);
static void on_seen_tick(void *arg);

struct beat *
beat_new(const struct beat_opts *opts)
{
	struct beat *b = mem_zalloc(sizeof(*b));

	b->o = *opts;
	b->tick = timer_new(opts->loop, on_tick, b);
	b->seen_tick = timer_new(opts->loop, on_seen_tick, b);
	return b;
}

void
beat_free(struct beat *b)
{
	if (!b)
		return;
	if (b->seen)
		db_forget(b->seen);
	timer_free(b->tick);
	timer_free(b->seen_tick);
	free(b);
}

void
beat_start(struct beat *b)
{
	timer_arm(b->tick, 0);
	timer_arm(b->seen_tick, 0);
}

/* What is true at this moment; its body lies in body. */
static struct frame
make_beat(const struct beat *b, struct buf *body)
{
	bool is_leading = leader_is_trusted(b->o.leader);
	struct bus_cert cert = bus_server_cert(b->o.bus);
	struct json_w w;

	buf_init(body, FRAME_BODY_MAX);
	json_w_init(&w, body);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "leader", is_leading);
	json_w_kv(&w, "name", b->o.name);
	origin_write(&w, b->o.home);
	if (cert.ends_unix != 0) {
		json_w_kv_int(&w, "cert_ends", cert.ends_unix);
		json_w_kv_int(&w, "cert_near", cert.near_unix);
	}
	json_w_close(&w, '}');
	return (struct frame){
	    .kind = FRAME_BEAT,
	    .term = is_leading ? leader_term(b->o.leader) : 0,
	    .body = buf_cstr(body),
	    .body_len = body->len,
	};
}

void
beat_now(struct beat *b)
{
	struct buf body;
	struct frame f = make_beat(b, &body);

	bus_server_publish(b->o.bus, &f);
	buf_fini(&body);
}

/* With whom it is; the hello of an older release says nothing. */
static void
look_at_hello(struct beat *b, uint32_t pipe, const struct frame *f)
{
	char peer[BUS_PEER_TEXT_MAX], why[ORIGIN_WHY_MAX];
	const struct cJSON *body;
	struct arena *a;
	const char *what;
	rc ret;

	if (f->body_len == 0)
		return;
	a = arena_new();
	bus_peer_text(pipe, peer);
	ret = json_parse(a, f->body, f->body_len, &body, &what);
	if (ret != RC_OK)
		log_peer(LOG_WARN, "HELLO", peer, "%s: %s", peer, what);
	else if (!origin_is_ours(b->o.home, body, peer, why))
		log_peer(LOG_WARN, "BUS-OTHER-SERVER", peer, "%s", why);
	arena_free(a);
}

void
beat_hello(struct beat *b, uint64_t reply_to, uint32_t pipe,
    const struct frame *hello)
{
	struct buf body;
	struct frame f;

	look_at_hello(b, pipe, hello);
	/* After a stop this may be the first thing that runs. */
	(void)leader_check(b->o.leader); /* the beat says what came of it */
	f = make_beat(b, &body);
	bus_server_reply(b->o.bus, reply_to, &f);
	buf_fini(&body);
}

static void
on_tick(void *arg)
{
	struct beat *b = arg;

	timer_arm(b->tick, BEAT_MS);
	/* After a stop this may be the first thing that runs. */
	(void)leader_check(b->o.leader); /* beat_now says what came of it */
	beat_now(b);
}

static void
on_seen(void *arg, struct db_outcome *o)
{
	struct beat *b = arg;
	bool has_failed = o->code != RC_OK;

	b->seen = NULL;
	if (has_failed && !b->has_failed)
		log_warn("SCHEDULER-SEEN", "%s %s, trying again every second",
		    rc_name(o->code), o->error.message);
	b->has_failed = has_failed;
}

static void
on_seen_tick(void *arg)
{
	struct beat *b = arg;
	char pid[16];
	const char *params[] = {b->o.incarnation, b->o.name, b->o.host, pid,
	    b->o.url, CERTCTL_VERSION};
	struct db_stmt stmt = {Q_SCHED_SEEN, ARRAY_LEN(params), params};

	timer_arm(b->seen_tick, BEAT_SEEN_MS);
	if (b->seen)
		return;
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	b->seen = db_submit(b->o.pool, &stmt, 1, on_seen, b);
}

void
beat_publish(struct beat *b, const char *body, size_t len)
{
	struct frame f = {
	    .kind = FRAME_EVENT,
	    .term = leader_term(b->o.leader),
	    .body = body,
	    .body_len = len,
	};

	if (leader_is_trusted(b->o.leader))
		bus_server_publish(b->o.bus, &f);
}

bool
beat_hint(struct beat *b, uint32_t pipe, const struct frame *f, struct arena *a,
    const struct cJSON **out_body)
{
	char peer[BUS_PEER_TEXT_MAX];
	const struct cJSON *body;
	const char *why;
	bool is_object, is_work = false;
	rc ret;

	if (!leader_check(b->o.leader))
		return false;
	ret = json_parse(a, f->body, f->body_len, &body, &why);
	is_object = ret == RC_OK && cJSON_IsObject(body);
	/* Jobs that became due, or jobs that made room. */
	if (is_object)
		is_work = json_get(body, "jobs") || json_get(body, "issuers") ||
			  json_get(body, "finished") ||
			  json_get(body, "tables");
	if (!is_object) {
		bus_peer_text(pipe, peer);
		log_peer(LOG_WARN, "HINT", peer,
		    "%s: not a JSON object, dropped", peer);
		return false;
	}
	beat_publish(b, f->body, f->body_len);
	if (is_work)
		*out_body = body;
	return is_work;
}
