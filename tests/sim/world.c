#include "tests/sim/world.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/loop/loop_int.h"
#include "tests/support/db_script.h"

#define REQUEST_TIMEOUT_MS 2000
#define BEAT_TRUST_MS 500
#define WORKER_LEASE_MS 1700

struct world *
world_new(void)
{
	struct world *w = mem_zalloc(sizeof(*w));

	w->now_ms = 100000;
	w->permits = 25;
	w->batch = 64;
	w->seed = 1;
	for (int i = 0; i < SCHEDS; i++)
		w->scheds[i].back_ms = -1;
	return w;
}

uint32_t
world_rand(struct world *w, uint32_t bound)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (w->seed >> 8) % bound;
}

size_t
world_issuer(struct world *w, const char *id, const char *type, size_t cap,
    int64_t lease_ms)
{
	w->issuers[w->nissuers] = (struct sim_issuer){.id = id,
	    .type = type,
	    .cap = cap,
	    .lease_ms = lease_ms};
	return w->nissuers++;
}

void
world_parked(struct world *w, size_t issuer, size_t n, int64_t wait_ms)
{
	for (size_t i = 0; i < n && w->njobs < JOBS_MAX; i++)
		w->jobs[w->njobs++] = (struct sim_job){
		    .issuer = issuer,
		    .run_after = w->now_ms + wait_ms,
		};
}

void
world_jobs(struct world *w, size_t issuer, size_t n)
{
	world_parked(w, issuer, n, 0);
}

/* --- schedulers --- */

static void
on_lead(void *arg, uint64_t term)
{
	struct sim_sched *s = arg;

	beat_now(s->beat);
	dispatch_start(s->dispatch, term);
}

static void
on_lost(void *arg)
{
	struct sim_sched *s = arg;

	dispatch_stop(s->dispatch);
	beat_now(s->beat);
}

void
world_sched_start(struct world *w, int index)
{
	struct sim_sched *s = &w->scheds[index];
	int generation = s->generation + 1;
	struct leader_opts lead = {.on_lead = on_lead, .on_lost = on_lost};
	struct beat_opts beat = {.name = "s", .host = "h", .url = "u"};
	struct dispatch_opts disp = {.permits = w->permits, .batch = w->batch};

	*s = (struct sim_sched){.world = w, .index = index};
	s->is_alive = true;
	s->generation = generation;
	s->back_ms = -1;
	snprintf(s->incarnation, sizeof(s->incarnation), "s%d-%d", index,
	    generation);
	s->loop = loop_new_sim(w->now_ms);
	s->pool = db_script_new(s->loop);
	s->leader_pool = db_script_new(s->loop);
	world_db_rules(s);
	s->bus = (struct bus_server){w, index};
	lead.loop = beat.loop = disp.loop = s->loop;
	lead.pool = s->leader_pool;
	beat.pool = disp.pool = s->pool;
	lead.incarnation = beat.incarnation = disp.incarnation = s->incarnation;
	lead.nonce = s->incarnation;
	lead.arg = s;
	beat.bus = disp.bus = &s->bus;
	s->leader = beat.leader = disp.leader = leader_new(&lead);
	s->beat = beat_new(&beat);
	s->dispatch = dispatch_new(&disp);
	beat_start(s->beat);
	leader_start(s->leader);
	for (size_t i = 0; i < w->nworkers; i++)
		w->workers[i].pipe[index] = ++w->last_pipe;
}

/* kill -9 says nothing to anybody: its last words are cut off. */
static void
sched_end(struct sim_sched *s)
{
	s->is_alive = false;
	dispatch_free(s->dispatch);
	beat_free(s->beat);
	leader_free(s->leader);
	db_pool_free(s->pool);
	db_pool_free(s->leader_pool);
	loop_free(s->loop);
}

void
world_sched_kill(struct world *w, int index, int64_t back_ms)
{
	struct sim_sched *s = &w->scheds[index];

	if (!s->is_alive)
		return;
	sched_end(s);
	s->beat_term = 0;
	s->back_ms = back_ms < 0 ? -1 : w->now_ms + back_ms;
	for (size_t i = 0; i < w->nworkers; i++)
		if (w->workers[i].sched == index)
			w->workers[i].is_asking = false;
}

static void
deliver(struct sim_sched *s, const struct inbox_item *in)
{
	struct frame f = {.body = in->body, .body_len = strlen(in->body)};
	const struct cJSON *body;
	struct arena *a;

	switch (in->what) {
	case IN_REQUEST:
		f.kind = FRAME_WORK;
		dispatch_on_request(s->dispatch, in->reply_to, in->pipe, &f);
		break;
	case IN_CLOSED:
		dispatch_on_pipe_closed(s->dispatch, in->pipe);
		break;
	case IN_HINT:
		f.kind = FRAME_HINT;
		a = arena_new();
		if (beat_hint(s->beat, 0, &f, a, &body))
			dispatch_on_hint(s->dispatch, body);
		arena_free(a);
		break;
	}
}

static void
send_to(struct world *w, int index, const struct inbox_item *in)
{
	struct sim_sched *s = &w->scheds[index];

	if (!s->is_alive)
		return;
	if (!s->is_frozen)
		deliver(s, in);
	else if (s->ninbox < INBOX_MAX)
		s->inbox[s->ninbox++] = *in;
}

void
world_hint(struct world *w, size_t issuer, int64_t run_after)
{
	struct inbox_item in = {.what = IN_HINT};
	int leader = world_leader(w);

	snprintf(in.body, sizeof(in.body),
	    "{\"jobs\":1,\"issuers\":[\"%s\"],\"due_after\":\"%" PRId64 "\"}",
	    w->issuers[issuer].id, run_after);
	if (leader >= 0)
		send_to(w, leader, &in);
}

void
world_sched_freeze(struct world *w, int index)
{
	w->scheds[index].is_frozen = true;
}

void
world_sched_thaw(struct world *w, int index)
{
	struct sim_sched *s = &w->scheds[index];

	if (!s->is_alive || !s->is_frozen)
		return;
	s->is_frozen = false;
	/* The clock went on; what lies on the sockets comes first. */
	s->loop->sim_now_ms = w->now_ms;
	for (size_t i = 0; i < s->ninbox; i++)
		deliver(s, &s->inbox[i]);
	s->ninbox = 0;
}

int
world_leader(const struct world *w)
{
	if (w->now_ms >= w->expires_ms)
		return -1;
	for (int i = 0; i < SCHEDS; i++)
		if (w->scheds[i].is_alive &&
		    strcmp(w->scheds[i].incarnation, w->holder) == 0)
			return i;
	return -1;
}

/* --- the bus --- */

struct bus_cert
bus_server_cert(const struct bus_server *s)
{
	return (struct bus_cert){0};
}

void
bus_server_publish(struct bus_server *b, const struct frame *f)
{
	struct sim_sched *s = &b->world->scheds[b->sched];

	if (f->kind != FRAME_BEAT || !s->is_alive)
		return;
	s->beat_ms = b->world->now_ms;
	s->beat_term = strstr(f->body, "\"leader\":true") ? f->term : 0;
}

static void
take_lease(struct world *w, struct sim_worker *o, const cJSON *lease)
{
	int64_t id = (int64_t)cJSON_GetObjectItem(lease, "id")->valuedouble;
	const cJSON *issuer = cJSON_GetObjectItem(lease, "issuer_id");
	const char *name = issuer ? issuer->valuestring : "";
	int64_t ms = 0;

	for (size_t i = 0; i < w->nissuers; i++)
		if (strcmp(w->issuers[i].id, name) == 0)
			ms = w->issuers[i].lease_ms;
	if (!world_db_is_live(w, id))
		w->dead_grants++;
	if (o->nheld == HELD_MAX)
		log_fatal("SIM", "more leases than room");
	o->held[o->nheld++] = (struct sim_held){id, w->now_ms + ms};
}

void
bus_server_reply(struct bus_server *b, uint64_t reply_to, const struct frame *f)
{
	struct world *w = b->world;
	cJSON *body;
	const cJSON *lease;

	if (!w->scheds[b->sched].is_alive)
		return;
	body = cJSON_ParseWithLength(f->body, f->body_len);
	if (cJSON_GetArraySize(cJSON_GetObjectItem(body, "leases")) > 0 &&
	    (w->drop_replies > 0 || world_rand(w, 100) < w->fault_percent)) {
		if (w->drop_replies > 0)
			w->drop_replies--;
		cJSON_Delete(body);
		return;
	}
	for (size_t i = 0; i < w->nworkers; i++) {
		struct sim_worker *o = &w->workers[i];

		if (!o->is_alive || !o->is_asking || o->reply_to != reply_to)
			continue;
		o->is_asking = false;
		cJSON_ArrayForEach(lease, cJSON_GetObjectItem(body, "leases"))
		    take_lease(w, o, lease);
	}
	cJSON_Delete(body);
}

/* --- workers --- */

static void
worker_start(struct world *w, struct sim_worker *o)
{
	int generation = o->generation + 1;
	size_t slots = o->slots;

	*o = (struct sim_worker){.slots = slots, .generation = generation};
	o->is_alive = true;
	o->back_ms = -1;
	snprintf(o->name, sizeof(o->name), "w%td-%d", o - w->workers,
	    generation);
	for (int i = 0; i < SCHEDS; i++)
		o->pipe[i] = ++w->last_pipe;
}

void
world_worker(struct world *w, size_t slots)
{
	struct sim_worker *o = &w->workers[w->nworkers++];

	o->slots = slots;
	worker_start(w, o);
}

void
world_worker_kill(struct world *w, size_t index, int64_t back_ms)
{
	struct sim_worker *o = &w->workers[index];

	if (!o->is_alive)
		return;
	o->is_alive = o->is_frozen = o->is_asking = false;
	o->nheld = 0;
	o->back_ms = back_ms < 0 ? -1 : w->now_ms + back_ms;
	for (int i = 0; i < SCHEDS; i++) {
		struct inbox_item in = {.what = IN_CLOSED, .pipe = o->pipe[i]};

		send_to(w, i, &in);
	}
}

void
world_worker_freeze(struct world *w, size_t index)
{
	w->workers[index].is_frozen = w->workers[index].is_alive;
}

void
world_worker_thaw(struct world *w, size_t index)
{
	w->workers[index].is_frozen = false;
}

static int
followed(const struct world *w)
{
	int best = -1;

	for (int i = 0; i < SCHEDS; i++) {
		const struct sim_sched *s = &w->scheds[i];

		if (!s->is_alive || s->beat_term == 0 ||
		    w->now_ms - s->beat_ms > BEAT_TRUST_MS)
			continue;
		if (best < 0 || s->beat_term > w->scheds[best].beat_term)
			best = i;
	}
	return best;
}

static void
worker_ask(struct world *w, struct sim_worker *o, int sched)
{
	struct inbox_item in = {.what = IN_REQUEST};
	size_t at;

	o->is_asking = true;
	o->asked_ms = w->now_ms;
	o->reply_to = in.reply_to = ++w->last_reply_to;
	o->sched = sched;
	in.pipe = o->pipe[sched];
	at = (size_t)snprintf(in.body, sizeof(in.body),
	    "{\"worker\":\"%s\",\"room\":%zu,\"holding\":[", o->name,
	    o->slots - o->nheld);
	for (size_t i = 0; i < o->nheld; i++)
		at += (size_t)snprintf(in.body + at, sizeof(in.body) - at,
		    "%s%" PRId64, i > 0 ? "," : "", o->held[i].lease);
	snprintf(in.body + at, sizeof(in.body) - at, "]}");
	send_to(w, sched, &in);
}

static void
worker_finish(struct world *w, struct sim_worker *o, int leader)
{
	struct inbox_item in = {.what = IN_HINT,
	    .body = "{\"finished\":[\"job\"]}"};

	for (size_t i = o->nheld; i-- > 0;) {
		if (o->held[i].until_ms > w->now_ms)
			continue;
		/* Who was stopped finds its own lease over and drops it. */
		if (o->lease_until_ms > w->now_ms)
			world_db_complete(w, o, o->held[i].lease);
		o->held[i] = o->held[--o->nheld];
		if (leader >= 0)
			send_to(w, leader, &in);
	}
}

static void
worker_step(struct world *w, struct sim_worker *o)
{
	int leader = followed(w);

	if (!o->is_alive) {
		if (o->back_ms >= 0 && w->now_ms >= o->back_ms)
			worker_start(w, o);
		return;
	}
	if (o->is_frozen)
		return;
	worker_finish(w, o, leader);
	o->lease_until_ms = w->now_ms + WORKER_LEASE_MS;
	if (o->is_asking && o->sched != leader)
		o->is_asking = false;
	if (o->is_asking && w->now_ms - o->asked_ms > REQUEST_TIMEOUT_MS) {
		o->is_asking = false;
		w->timeouts++;
	}
	if (!o->is_asking && leader >= 0 && o->nheld < o->slots)
		worker_ask(w, o, leader);
}

/* --- time --- */

static void
check(struct world *w)
{
	int64_t leases[256];
	size_t n = 0, per_issuer[ISSUERS_MAX] = {0};
	int trusted = 0;

	for (size_t i = 0; i < w->njobs; i++) {
		const struct sim_job *j = &w->jobs[i];
		size_t k = 0;

		if (j->times_done > 1)
			log_fatal("SIM", "job %zu was done twice", i);
		if (j->state != JOB_RUNNING)
			continue;
		while (k < n && leases[k] != j->lease)
			k++;
		if (k < n)
			continue;
		leases[n++] = j->lease;
		per_issuer[j->issuer]++;
	}
	if (n > w->permits)
		log_fatal("SIM", "%zu leases, %zu permits", n, w->permits);
	for (size_t i = 0; i < w->nissuers; i++)
		if (per_issuer[i] > w->issuers[i].cap)
			log_fatal("SIM", "lane %s: %zu leases",
			    w->issuers[i].id, per_issuer[i]);
	if (n > w->most_running)
		w->most_running = n;
	for (int i = 0; i < SCHEDS; i++)
		trusted += w->scheds[i].is_alive && !w->scheds[i].is_frozen &&
			   leader_is_trusted(w->scheds[i].leader);
	if (trusted > 1)
		log_fatal("SIM", "two leaders trust themselves");
}

void
world_run(struct world *w, int64_t ms)
{
	for (int64_t t = 0; t < ms; t++) {
		w->now_ms++;
		for (int i = 0; i < SCHEDS; i++) {
			struct sim_sched *s = &w->scheds[i];

			if (s->is_alive && !s->is_frozen)
				loop_sim_advance(s->loop, 1);
			else if (!s->is_alive && s->back_ms >= 0 &&
				 w->now_ms >= s->back_ms)
				world_sched_start(w, i);
		}
		for (size_t i = 0; i < w->nworkers; i++)
			worker_step(w, &w->workers[i]);
		check(w);
	}
}

size_t
world_left(const struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->njobs; i++)
		n += w->jobs[i].state != JOB_DONE;
	return n;
}

bool
world_drain(struct world *w, int64_t max_ms)
{
	int64_t until = w->now_ms + max_ms;

	while (world_left(w) > 0 && w->now_ms < until)
		world_run(w, 1);
	return world_left(w) == 0;
}

void
world_free(struct world *w)
{
	for (int i = 0; i < SCHEDS; i++)
		if (w->scheds[i].is_alive)
			sched_end(&w->scheds[i]);
	free(w);
}
