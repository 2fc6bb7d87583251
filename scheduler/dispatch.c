#include "scheduler/dispatch.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/bus/origin.h"
#include "common/log/log_peer.h"
#include "scheduler/dispatch_int.h"

static void on_tick(void *arg);
static void turn(struct dispatch *d);

struct dispatch *
dispatch_new(const struct dispatch_opts *opts)
{
	struct dispatch *d = mem_zalloc(sizeof(*d));

	d->o = *opts;
	d->turn = turn;
	permits_init(&d->permits, opts->permits);
	d->lanes = lanes_new(opts->batch);
	workers_init(&d->workers);
	d->tick = timer_new(opts->loop, on_tick, d);
	d->failure_logged_ms = loop_now_ms(opts->loop) - DISPATCH_LOG_EVERY_MS;
	for (size_t i = 0; i < DISPATCH_CLAIMS_MAX; i++)
		d->claims[i].dispatch = d;
	return d;
}

void
dispatch_free(struct dispatch *d)
{
	if (!d)
		return;
	dispatch_stop(d);
	timer_free(d->tick);
	lanes_free(d->lanes);
	workers_fini(&d->workers);
	free(d);
}

void
dispatch_start(struct dispatch *d, uint64_t term)
{
	int64_t now = loop_now_ms(d->o.loop);

	dispatch_stop(d);
	d->is_on = true;
	d->term = term;
	permits_init(&d->permits, d->o.permits);
	d->must_look_full = true;
	d->task_lease = d->low_lease = 0;
	d->look_not_before_ms = now;
	d->swept_full_ms = now - DISPATCH_FULL_MS;
	d->look_every_ms = d->sweep_every_ms = DISPATCH_FULL_MS;
	timer_arm(d->tick, 0);
}

void
dispatch_stop(struct dispatch *d)
{
	struct worker *w, *tmp;

	if (!d->is_on)
		return;
	d->is_on = false;
	timer_disarm(d->tick);
	dispatch_claims_forget(d);
	dispatch_frees_forget(d);
	if (d->look)
		db_forget(d->look);
	d->look = NULL;
	/* What the statements that were forgotten did is in the rows: the
	 * next leader frees what no worker lists in its first request. */
	HASH_ITER (hh, d->workers.by_name, w, tmp) {
		if (w->is_asking)
			dispatch_reply(d, w->reply_to, 0, NULL, 0);
	}
	workers_fini(&d->workers);
	lanes_reset(d->lanes);
}

/* --- requests --- */

/* why: words, if it is refused for what the worker is. */
static rc
take_request(struct dispatch *d, struct arena *a, uint64_t reply_to,
    uint32_t pipe, const struct frame *f, char why[ORIGIN_WHY_MAX])
{
	char peer[BUS_PEER_TEXT_MAX];
	const struct cJSON *body;
	struct worker_request req = {
	    .pipe = pipe,
	    .reply_to = reply_to,
	    .now_ms = loop_now_ms(d->o.loop),
	};
	struct worker *w;
	rc ret;

	ret = dispatch_read_request(a, f, &req, &body);
	if (ret != RC_OK)
		return ret;
	bus_peer_text(pipe, peer);
	if (!origin_is_ours(d->o.home, body, peer, why))
		return RC_FORBIDDEN;
	ret = workers_ask(&d->workers, &req, &w);
	if (ret != RC_OK)
		return ret;
	w->owner = d;
	return RC_OK;
}

void
dispatch_on_request(struct dispatch *d, uint64_t reply_to, uint32_t pipe,
    const struct frame *f)
{
	char peer[BUS_PEER_TEXT_MAX], why[ORIGIN_WHY_MAX] = "";
	struct arena *a;
	rc ret;

	/* Also a leader that just woke up after a stop. */
	if (!leader_check(d->o.leader) || !d->is_on) {
		dispatch_reply(d, reply_to, 0, NULL, 0);
		return;
	}
	a = arena_new();
	ret = take_request(d, a, reply_to, pipe, f, why);
	arena_free(a);
	if (ret != RC_OK) {
		bus_peer_text(pipe, peer);
		log_peer(LOG_WARN, "DISPATCH-REQUEST", peer, "%s: refused: %s",
		    peer, why[0] ? why : rc_name(ret));
		dispatch_refuse(d, reply_to, why[0] ? why : rc_name(ret));
		return;
	}
	d->must_look = true;
	turn(d);
}

void
dispatch_on_pipe_closed(struct dispatch *d, uint32_t pipe)
{
	struct worker *w;

	if (!d->is_on)
		return;
	w = workers_gone(&d->workers, pipe);
	if (!w)
		return;
	log_peer(LOG_INFO, "WORKER-GONE", w->incarnation,
	    "%s closed its connection, freeing its leases", w->incarnation);
	turn(d);
}

/* --- turns --- */

/* To the one that has waited longest for what there is.  False: nothing was. */
static bool
hand_out_one(struct dispatch *d, int64_t now)
{
	struct claim *c = dispatch_claim_slot(d);
	struct worker *w = c ? workers_next(&d->workers, now, NULL) : NULL;
	struct lane *lane;

	for (; w; w = workers_next(&d->workers, now, w)) {
		lane = lanes_next(d->lanes, w->without, w->nwithout);
		if (lane) {
			dispatch_claim_start(d, c, w, lane);
			return true;
		}
		/* Who does all finds nothing: nor does anybody else. */
		if (w->nwithout == 0)
			return false;
	}
	return false;
}

static void
hand_out(struct dispatch *d, int64_t now)
{
	bool is_more = true;

	while (is_more && permits_left(&d->permits) > 0)
		is_more = hand_out_one(d, now);
}

/*
 * A look costs a walk over all that runs, so it is made for somebody: what is
 * due can't be handed to nobody.  With a backlog, the next claim needs none.
 */
static bool
wants_look(struct dispatch *d, int64_t now)
{
	if (d->look || now < d->look_not_before_ms)
		return false;
	if (d->must_look_full || now - d->looked_full_ms >= d->look_every_ms)
		return true;
	if (!d->must_look || !workers_next(&d->workers, now, NULL))
		return false;
	return !lanes_have_due(d->lanes) || permits_left(&d->permits) == 0 ||
	       now - d->looked_ms >= DISPATCH_BUSY_LOOK_MS;
}

/* Does all that can be done now; safe to call at any time. */
static void
turn(struct dispatch *d)
{
	int64_t now = loop_now_ms(d->o.loop);
	struct worker *w, *tmp;

	if (!d->is_on || !leader_is_trusted(d->o.leader))
		return;
	HASH_ITER (hh, d->workers.by_name, w, tmp) {
		if (w->must_free && !w->freeing && !w->is_claiming &&
		    now >= w->rest_until_ms)
			dispatch_free_start(d, w);
	}
	hand_out(d, now);
	if (wants_look(d, now))
		dispatch_look_start(d);
}

static void
answer_overdue(struct dispatch *d, int64_t now)
{
	struct worker *w, *tmp;

	HASH_ITER (hh, d->workers.by_name, w, tmp) {
		if (w->is_asking && !w->is_claiming &&
		    now - w->asked_ms >= DISPATCH_WAIT_MS)
			dispatch_answer(d, w, 0, NULL, 0);
	}
}

static void
on_tick(void *arg)
{
	struct dispatch *d = arg;
	int64_t now = loop_now_ms(d->o.loop);

	timer_arm(d->tick, DISPATCH_TICK_MS);
	if (!leader_check(d->o.leader))
		return;
	answer_overdue(d, now);
	if (!d->sweep)
		dispatch_sweep_start(d,
		    now - d->swept_full_ms >= d->sweep_every_ms);
	turn(d);
}

/* Where the lanes that it is about are known, no look is needed for it. */
static bool
take_hint(struct dispatch *d, const struct hint *h)
{
	for (size_t i = 0; i < h->n; i++) {
		struct lane *lane = lanes_find(d->lanes, h->lanes[i]);

		if (!lane)
			return false;
		lane_hint(lane, h->due_after);
	}
	return true;
}

void
dispatch_on_hint(struct dispatch *d, const struct cJSON *body)
{
	struct arena *a;
	struct hint hint;
	rc ret;

	if (!d->is_on)
		return;
	a = arena_new();
	ret = dispatch_read_hint(a, body, &hint);
	if (ret != RC_OK || !take_hint(d, &hint))
		d->must_look = true;
	arena_free(a);
	turn(d);
}

void
dispatch_full_look(struct dispatch *d)
{
	d->must_look_full = true;
	turn(d);
}

size_t
dispatch_running(const struct dispatch *d)
{
	return d->permits.used;
}
