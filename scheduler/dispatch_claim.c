#include "scheduler/dispatch_int.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/job/job_words.h"
#include "common/log/log.h"

struct claim *
dispatch_claim_slot(struct dispatch *d)
{
	for (size_t i = 0; i < DISPATCH_CLAIMS_MAX; i++)
		if (!d->claims[i].req)
			return &d->claims[i];
	return NULL;
}

static void
slot_clear(struct claim *c)
{
	mem_freep(&c->worker);
	mem_freep(&c->issuer_id);
	c->req = NULL;
}

void
dispatch_claims_forget(struct dispatch *d)
{
	for (size_t i = 0; i < DISPATCH_CLAIMS_MAX; i++) {
		struct claim *c = &d->claims[i];

		if (c->req)
			db_forget(c->req);
		slot_clear(c);
	}
}

/* It may be one whose own lease is over, and then every claim for it brings
 * nothing. */
static void
rest(struct dispatch *d, struct worker *w)
{
	d->must_look = true;
	if (w)
		w->rest_until_ms = loop_now_ms(d->o.loop) + DISPATCH_REST_MS;
}

static void
claim_empty(struct dispatch *d, struct worker *w, struct lane *lane)
{
	permits_give(&d->permits);
	lane_claim_empty(lane);
	rest(d, w);
}

/* Its connection may have ended behind the commit: the permit stays taken until
 * a look has counted the rows, and a lease that the worker does not list as its
 * own goes back. */
static void
claim_unknown(struct dispatch *d, struct worker *w, struct lane *lane)
{
	permits_keep(&d->permits);
	lane_claim_unknown(lane);
	rest(d, w);
	if (w)
		w->must_free = true;
}

/* What is stored of the lane's issuer or of a job of it can't be used: no fault
 * of the worker, nor of the other lanes. */
static void
claim_refused(struct dispatch *d, struct lane *lane, size_t limit)
{
	permits_give(&d->permits);
	lane_claim_refused(lane, limit);
}

static void
claim_full(struct dispatch *d, const struct claim *c, struct worker *w,
    struct lane *lane, struct db_result *r)
{
	int64_t lease_id = db_i64(r, 0, db_col(r, "lease_id"));
	int64_t claimed = db_i64(r, 0, db_col(r, "claimed"));
	bool is_full = (size_t)claimed >= c->limit;

	if (lane_is_tasks(lane)) {
		is_full = db_bool(r, 0, db_col(r, "is_full"));
		d->task_lease = lease_id;
	}
	permits_keep(&d->permits);
	lane_claimed(lane, claimed, is_full,
	    db_text(r, 0, db_col(r, "last_after")),
	    db_text(r, 0, db_col(r, "last_id")));
	/* One of many: it may be a job that must run alone, with others
	 * behind it. */
	if (claimed == 1)
		d->must_look = true;
	log_debug("LEASE", "%" PRId64 ": %" PRId64 " of %s for %s", lease_id,
	    claimed, lane_is_tasks(lane) ? "tasks" : lane->issuer_id,
	    c->worker);
	/* A worker that is gone, or asks no more, leaves the lease to the
	 * free that follows. */
	if (w && w->is_asking)
		dispatch_answer(d, w, lease_id, lane, claimed);
	else if (w)
		w->must_free = true;
}

static void
on_claim(void *arg, struct db_outcome *o)
{
	struct claim *c = arg, done = *c;
	struct dispatch *d = c->dispatch;
	struct worker *w = workers_find(&d->workers, done.worker);
	struct lane *lane = lanes_find(d->lanes, done.issuer_id);

	/* The slot is free again before anything is done with the answer. */
	c->req = NULL;
	c->worker = NULL;
	c->issuer_id = NULL;
	if (w)
		w->is_claiming = false;
	if (o->code == RC_DATA)
		claim_refused(d, lane, done.limit);
	else if (o->code != RC_OK)
		claim_unknown(d, w, lane);
	else if (db_nrows(o->results[0]) == 0)
		claim_empty(d, lane_is_careful(lane) ? NULL : w, lane);
	else if (db_i64(o->results[0], 0, db_col(o->results[0], "claimed")) ==
		 0)
		claim_empty(d, NULL, lane); /* for anybody */
	else
		claim_full(d, &done, w, lane, o->results[0]);
	slot_clear(&done);
	if (o->code != RC_OK)
		dispatch_failed(d, "claim", o);
	d->turn(d);
}

/* An attempt is over then, whatever its worker says.  An order at an outside CA
 * sets a later end before its request leaves. */
#define ATTEMPT_MS_TEXT "60000"

static struct db_req *
submit_claim(struct dispatch *d, struct claim *c, const struct lane *lane)
{
	char term[24], limit[24];
	const char *after = lane->low_after ? lane->low_after : "-infinity";
	const char *id = lane->low_id ? lane->low_id : "";
	const char *jobs[] = {d->o.incarnation, term, c->worker,
	    lane->issuer_id, limit, after, id, ATTEMPT_MS_TEXT};
	const char *tasks[] = {d->o.incarnation, term, c->worker, limit, after,
	    id, ATTEMPT_MS_TEXT};
	const char *alone[] = {d->o.incarnation, term, c->worker,
	    lane->issuer_id, after, id, ATTEMPT_MS_TEXT, JOB_WORDS_JSON};
	struct db_stmt stmt = {Q_SCHED_JOBS_CLAIM, ARRAY_LEN(jobs), jobs};

	if (lane_is_careful(lane))
		stmt = (struct db_stmt){Q_SCHED_JOBS_CLAIM_ALONE,
		    ARRAY_LEN(alone), alone};
	if (lane_is_tasks(lane))
		stmt = (struct db_stmt){Q_SCHED_TASKS_CLAIM, ARRAY_LEN(tasks),
		    tasks};
	snprintf(term, sizeof(term), "%" PRIu64, d->term);
	snprintf(limit, sizeof(limit), "%zu", c->limit);
	return db_submit(d->o.pool, &stmt, 1, on_claim, c);
}

void
dispatch_claim_start(struct dispatch *d, struct claim *c, struct worker *w,
    struct lane *lane)
{
	rc ret;

	/* The caller has seen that both are free. */
	ret = permits_take(&d->permits);
	if (ret == RC_OK)
		ret = lane_claim(lane);
	if (ret != RC_OK)
		log_fatal("DISPATCH-CLAIM", "lane %s has no room",
		    lane->issuer_id);
	w->is_claiming = true;
	c->worker = mem_strdup(w->incarnation);
	c->issuer_id = mem_strdup(lane->issuer_id);
	c->limit = lane_limit(lane);
	c->req = submit_claim(d, c, lane);
}
