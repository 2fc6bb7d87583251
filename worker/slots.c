#include "worker/slots.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#include <cjson/cJSON.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/bus/origin.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"

#define SLOTS_MAX 1024
#define ISSUER_ID_MAX 256
/* The leader answers within a second, with nothing if there is nothing. */
#define ASK_TIMEOUT_MS 2500
#define BACKOFF_MIN_MS 50
#define BACKOFF_SPREAD_MS 200
/* An empty answer this soon is no waiting leader: do not spin on it. */
#define SOON_MS 20

struct slot {
	struct slots *slots;
	struct op *op; /* NULL: free */
	int64_t lease_id;
	bool is_waiting; /* for somebody outside */
};

/* One request; freed when it is answered. */
struct ask {
	LIST_ENTRY(ask) entry;
	struct slots *slots;
	size_t room;
	int64_t sent_ms;
};

struct slots {
	struct slots_opts o;
	size_t n; /* slots: cap and waits_max */
	size_t busy;
	size_t waiting; /* of those */
	bool is_open;
	bool is_finishing;
	bool must_tell;  /* the leader knows nothing of us yet */
	struct ask *ask; /* the one whose answer counts */
	LIST_HEAD(, ask) asks;
	struct timer *retry;
	struct timer *limit;
	loop_fn *finished;
	void *finished_arg;
	struct slot slot[]; /* n of them */
};

static void ask_now(struct slots *s);
static void slot_ended(struct op *op, rc code, const char *message);
static void slot_wait(void *owner, bool is_waiting);

static void
on_retry(void *arg)
{
	ask_now(arg);
}

static void
back_off(struct slots *s)
{
	timer_arm(s->retry,
	    BACKOFF_MIN_MS + (int64_t)rand_below(BACKOFF_SPREAD_MS + 1));
}

/* --- asking --- */

/* Issuers whose jobs this host cannot do. */
static void
write_without(struct slots *s, struct json_w *w)
{
	const struct host_fault *f;

	if (!host_faults_at(s->o.host, 0))
		return;
	json_w_key(w, "without");
	json_w_open(w, '[');
	for (size_t i = 0; (f = host_faults_at(s->o.host, i)); i++)
		if (f->issuer_id[0])
			json_w_str(w, f->issuer_id);
	json_w_close(w, ']');
}

static void
write_request(struct slots *s, struct buf *b, size_t room)
{
	struct json_w w;

	json_w_init(&w, b);
	json_w_open(&w, '{');
	json_w_kv(&w, "worker", s->o.incarnation);
	json_w_kv_int(&w, "room", (int64_t)room);
	origin_write(&w, s->o.home);
	json_w_key(&w, "holding");
	json_w_open(&w, '[');
	for (size_t i = 0; i < s->n; i++)
		if (s->slot[i].op)
			json_w_int(&w, s->slot[i].lease_id);
	json_w_close(&w, ']');
	write_without(s, &w);
	json_w_close(&w, '}');
}

static void
grant_take(struct slots *s, const struct grant *g)
{
	struct slot_end end = {.on_end = slot_ended, .on_wait = slot_wait};

	for (size_t i = 0; i < s->n; i++) {
		struct slot *slot = &s->slot[i];

		if (slot->op)
			continue;
		end.owner = slot;
		slot->lease_id = g->lease_id;
		s->busy++;
		slot->op = s->o.start(s->o.arg, g, &end);
		return;
	}
	/* The next request does not list it, and so gives it back. */
	log_peer(LOG_WARN, "LEASE-SURPLUS", "",
	    "lease %" PRId64 " with no slot free", g->lease_id);
}

static rc
grant_read(const struct cJSON *item, struct grant *out)
{
	const char *kind = "", *issuer = "";
	int64_t id = 0;
	rc ret;

	ret = json_int(item, "id", 1, INT64_MAX, &id);
	if (ret == RC_OK)
		ret = json_str(item, "kind", 16, &kind);
	if (ret == RC_OK && kind[0] == 'j') {
		ret = json_str(item, "issuer_id", ISSUER_ID_MAX, &issuer);
		if (ret == RC_OK && issuer[0] == '\0')
			ret = RC_INVALID;
	}
	if (ret == RC_OK && kind[0] != 'j' && kind[0] != 't')
		ret = RC_NOT_IMPLEMENTED;
	if (ret != RC_OK)
		return ret;
	*out = (struct grant){
	    .lease_id = id,
	    .is_tasks = kind[0] == 't',
	    .issuer_id = issuer,
	};
	return RC_OK;
}

static void
drop_revoked(struct slots *s, const struct cJSON *list)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, list)
	{
		double id = cJSON_IsNumber(item) ? item->valuedouble : 0;

		for (size_t i = 0; i < s->n; i++)
			if (s->slot[i].op && (double)s->slot[i].lease_id == id)
				op_abort(s->slot[i].op, RC_LEASE_LOST);
	}
}

/* How many leases came; < 0: whoever answered is not the leader. */
static int
take_reply(struct slots *s, const struct frame *f)
{
	struct arena *a = arena_new();
	const struct cJSON *body, *item;
	struct grant g;
	const char *why = "";
	bool is_leader = false;
	int n = 0;
	rc ret;

	ret = json_parse(a, f->body, f->body_len, &body, &why);
	if (ret == RC_OK)
		ret = json_bool(body, "leader", &is_leader);
	if (ret != RC_OK) {
		log_peer(LOG_WARN, "WORK-REPLY", "",
		    "not understood: %s, asking again", why);
		arena_free(a);
		return -1;
	}
	if (json_str(body, "refused", ORIGIN_WHY_MAX, &why) == RC_OK)
		log_peer(LOG_WARN, "WORK-REFUSED", "",
		    "the leader refuses us: %s", why);
	drop_revoked(s, json_get(body, "revoked"));
	cJSON_ArrayForEach(item, json_get(body, "leases"))
	{
		ret = grant_read(item, &g);
		if (ret == RC_OK) {
			grant_take(s, &g);
			n++;
		} else {
			log_peer(LOG_WARN, "WORK-REPLY", "lease",
			    "a lease is not understood: %s", rc_name(ret));
		}
	}
	arena_free(a);
	return is_leader ? n : -1;
}

static void
answered(struct slots *s, rc code, const struct frame *f, int64_t took_ms)
{
	int n = 0;

	if (code == RC_OK && f->kind == FRAME_WORK_REPLY)
		n = take_reply(s, f);
	else if (code == RC_OK)
		n = -1; /* a scheduler of another version */
	if (n < 0 || (n == 0 && code == RC_OK && took_ms < SOON_MS))
		back_off(s);
	else
		ask_now(s);
}

static void
on_reply(void *arg, rc code, const struct frame *f)
{
	struct ask *ask = arg;
	struct slots *s = ask->slots;
	int64_t took_ms = loop_now_ms(s->o.loop) - ask->sent_ms;
	bool counts = s->ask == ask;

	LIST_REMOVE(ask, entry);
	free(ask);
	if (!counts)
		return;
	s->ask = NULL;
	answered(s, code, f, took_ms);
}

static rc
ask_send(struct slots *s, size_t room)
{
	struct frame f = {.kind = FRAME_WORK};
	struct ask *ask = mem_zalloc(sizeof(*ask));
	struct buf b;
	rc ret;

	buf_init(&b, FRAME_BODY_MAX);
	write_request(s, &b, room);
	f.term = bus_client_term(s->o.bus);
	f.body = buf_cstr(&b);
	f.body_len = b.len;
	ask->slots = s;
	ask->room = room;
	ask->sent_ms = loop_now_ms(s->o.loop);
	ret = bus_client_request(s->o.bus, &f, ASK_TIMEOUT_MS, on_reply, ask);
	buf_fini(&b);
	if (ret != RC_OK) {
		free(ask);
		return ret;
	}
	LIST_INSERT_HEAD(&s->asks, ask, entry);
	s->ask = ask;
	return RC_OK;
}

/* Leases that came back from waiting may be more than there are slots. */
static size_t
room_now(const struct slots *s)
{
	size_t working = s->busy - s->waiting, left = s->n - s->busy;
	size_t room = working < s->o.cap ? s->o.cap - working : 0;

	if (host_faults_stop_all(s->o.host))
		return 0;
	return room < left ? room : left;
}

static void
ask_now(struct slots *s)
{
	size_t room = room_now(s);
	rc ret;

	timer_disarm(s->retry);
	if (!s->is_open || s->is_finishing)
		return;
	if (room == 0 && !s->must_tell)
		return;
	if (s->ask) {
		/* One without room is never answered with a lease. */
		if (s->ask->room > 0 || room == 0)
			return;
		s->ask = NULL;
	}
	ret = ask_send(s, room);
	if (ret == RC_OK)
		s->must_tell = false;
	else
		back_off(s);
}

/* --- slots --- */

static void
finish_if_idle(struct slots *s)
{
	if (!s->is_finishing || s->busy > 0 || !s->finished)
		return;
	timer_disarm(s->limit);
	loop_defer(s->o.loop, s->finished, s->finished_arg);
	s->finished = NULL;
}

static void
set_waiting(struct slot *slot, bool is_waiting)
{
	struct slots *s = slot->slots;

	if (slot->is_waiting == is_waiting)
		return;
	slot->is_waiting = is_waiting;
	s->waiting = is_waiting ? s->waiting + 1 : s->waiting - 1;
}

static void
slot_wait(void *owner, bool is_waiting)
{
	struct slot *slot = owner;

	set_waiting(slot, is_waiting);
	if (is_waiting)
		ask_now(slot->slots);
}

static void
slot_ended(struct op *op, rc code, const char *message)
{
	struct slot *slot = op_owner(op);
	struct slots *s = slot->slots;

	if (code != RC_OK)
		log_peer(LOG_WARN, "WORK-DROPPED", op_name(op),
		    "%s, lease %" PRId64 ": %s %s", op_name(op), slot->lease_id,
		    rc_name(code), message);
	slot->op = NULL;
	slot->lease_id = 0;
	set_waiting(slot, false);
	s->busy--;
	finish_if_idle(s);
	ask_now(s);
}

rc
slots_new(const struct slots_opts *opts, struct slots **out)
{
	struct slots *s;
	size_t n = opts->cap + opts->waits_max;

	if (opts->cap < 1 || n > SLOTS_MAX)
		return RC_INVALID;
	s = mem_zalloc(sizeof(*s) + n * sizeof(s->slot[0]));
	s->o = *opts;
	s->n = n;
	s->must_tell = true;
	s->retry = timer_new(opts->loop, on_retry, s);
	for (size_t i = 0; i < s->n; i++)
		s->slot[i].slots = s;

	*out = s;
	return RC_OK;
}

static void
abort_all(struct slots *s, rc code)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->slot[i].op)
			op_abort(s->slot[i].op, code);
}

void
slots_free(struct slots *s)
{
	struct ask *ask;

	if (!s)
		return;
	s->is_open = false;
	s->finished = NULL;
	abort_all(s, RC_CANCELLED);
	while ((ask = LIST_FIRST(&s->asks))) {
		LIST_REMOVE(ask, entry);
		free(ask);
	}
	timer_free(s->retry);
	timer_free(s->limit);
	free(s);
}

void
slots_open(struct slots *s)
{
	s->is_open = true;
	s->must_tell = true;
	ask_now(s);
}

void
slots_drop(struct slots *s)
{
	s->is_open = false;
	timer_disarm(s->retry);
	/* What it may still bring was given to the worker we were. */
	s->ask = NULL;
	abort_all(s, RC_LEASE_LOST);
}

void
slots_leader_changed(struct slots *s)
{
	s->must_tell = true;
	ask_now(s);
}

void
slots_host_changed(struct slots *s)
{
	/* The answer to what was asked before is not listened to. */
	s->ask = NULL;
	s->must_tell = true;
	ask_now(s);
}

size_t
slots_busy(const struct slots *s)
{
	return s->busy;
}

size_t
slots_waiting(const struct slots *s)
{
	return s->waiting;
}

static void
on_limit(void *arg)
{
	struct slots *s = arg;

	log_warn("STOP-DROPS", "%zu leases still in hand are given back",
	    s->busy);
	abort_all(s, RC_CANCELLED);
}

void
slots_finish(struct slots *s, int64_t limit_ms, loop_fn *done, void *arg)
{
	if (s->is_finishing)
		return;
	s->is_finishing = true;
	s->finished = done;
	s->finished_arg = arg;
	timer_disarm(s->retry);
	s->limit = timer_new(s->o.loop, on_limit, s);
	timer_arm(s->limit, limit_ms);
	finish_if_idle(s);
}
