#include "scheduler/leader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/log/log.h"

#define TRUST_MS (LEADER_LEASE_MS - LEADER_MARGIN_MS)
#define RENEW_JITTER_PERCENT 10
/* A standby comes back this long after the lease it found has ended. */
#define TAKE_OVER_SPREAD_MS 10
#define FAILURE_LOG_EVERY_MS 10000

struct leader {
	struct leader_opts o;
	struct timer *tick;  /* the next renewal or try */
	struct timer *trust; /* the end of trust */
	struct db_req *hold; /* under way, or NULL */
	int64_t sent_ms;     /* when hold was sent */
	bool is_leading;
	bool is_stopping;
	uint64_t term;
	int64_t trusted_until_ms;
	int64_t failure_logged_ms;
	loop_fn *released;
	void *released_arg;
};

static void on_tick(void *arg);
static void on_trust_end(void *arg);

struct leader *
leader_new(const struct leader_opts *opts)
{
	struct leader *l = mem_zalloc(sizeof(*l));

	l->o = *opts;
	l->tick = timer_new(opts->loop, on_tick, l);
	l->trust = timer_new(opts->loop, on_trust_end, l);
	l->failure_logged_ms = loop_now_ms(opts->loop) - FAILURE_LOG_EVERY_MS;
	return l;
}

void
leader_free(struct leader *l)
{
	if (!l)
		return;
	if (l->hold)
		db_forget(l->hold);
	timer_free(l->tick);
	timer_free(l->trust);
	free(l);
}

void
leader_start(struct leader *l)
{
	timer_arm(l->tick, 0);
}

bool
leader_is_trusted(const struct leader *l)
{
	return l->is_leading && loop_now_ms(l->o.loop) < l->trusted_until_ms;
}

uint64_t
leader_term(const struct leader *l)
{
	return l->is_leading ? l->term : 0;
}

static void
step_down(struct leader *l, const char *why)
{
	if (!l->is_leading)
		return;
	log_write(l->is_stopping ? LOG_INFO : LOG_WARN, "LEADER-LOST",
	    "term %" PRIu64 ": %s", l->term, why);
	l->is_leading = false;
	timer_disarm(l->trust);
	l->o.on_lost(l->o.arg);
}

bool
leader_check(struct leader *l)
{
	if (!l->is_leading)
		return false;
	if (leader_is_trusted(l))
		return true;
	step_down(l, "no renewal was answered in time");
	return false;
}

void
leader_distrust(struct leader *l, uint64_t term, const char *why)
{
	if (l->is_leading && l->term == term)
		step_down(l, why);
}

static void
on_trust_end(void *arg)
{
	struct leader *l = arg;

	if (leader_check(l))
		timer_arm(l->trust,
		    l->trusted_until_ms - loop_now_ms(l->o.loop));
}

/* --- renewing --- */

static void
lead(struct leader *l, uint64_t term, bool is_new)
{
	int64_t now = loop_now_ms(l->o.loop);

	/* The row is ours, but the answer took so long that nothing may be
	 * built on it; the next renewal decides. */
	if (now >= l->sent_ms + TRUST_MS) {
		leader_check(l);
		return;
	}
	/* Lost and taken again between two renewals: somebody may have led
	 * in between, so everything starts anew. */
	if (l->is_leading && (is_new || l->term != term))
		step_down(l, "it was lost and taken again");
	l->trusted_until_ms = l->sent_ms + TRUST_MS;
	timer_arm(l->trust, l->trusted_until_ms - now);
	if (l->is_leading)
		return;
	l->is_leading = true;
	l->term = term;
	log_info("LEADER-TAKEN", "term %" PRIu64 "%s", term,
	    is_new ? "" : " goes on");
	l->o.on_lead(l->o.arg, term);
}

static void
log_failure(struct leader *l, const struct db_outcome *o)
{
	int64_t now = loop_now_ms(l->o.loop);

	if (now - l->failure_logged_ms < FAILURE_LOG_EVERY_MS)
		return;
	l->failure_logged_ms = now;
	log_warn("LEADER-RENEW", "%s %s %s, trying again every %d ms",
	    rc_name(o->code), o->error.sqlstate, o->error.message,
	    LEADER_RENEW_MS);
}

/* When to try next, from the answer of this try. */
static int64_t
next_try_ms(struct leader *l, int64_t left_ms)
{
	int64_t now = loop_now_ms(l->o.loop), due;

	if (l->is_leading) {
		due = l->sent_ms + LEADER_RENEW_MS - now;
		return due > 0 ? due : 0;
	}
	due = rand_jitter(LEADER_RENEW_MS, RENEW_JITTER_PERCENT);
	if (left_ms >= 0 && left_ms < due)
		due = left_ms + 1 + rand_below(TAKE_OVER_SPREAD_MS);
	return due;
}

/* How long somebody else's lease still lasts; -1: not known. */
static int64_t
take_answer(struct leader *l, struct db_result *r)
{
	if (db_nrows(r) == 0) {
		step_down(l, "the leadership row is missing");
		return -1;
	}
	if (db_is_null(r, 0, db_col(r, "term"))) {
		step_down(l, "somebody else leads");
		return db_i64(r, 0, db_col(r, "left_ms"));
	}
	lead(l, (uint64_t)db_i64(r, 0, db_col(r, "term")),
	    db_bool(r, 0, db_col(r, "is_new")));
	return -1;
}

static void
on_hold(void *arg, struct db_outcome *o)
{
	struct leader *l = arg;
	int64_t left_ms = -1;

	l->hold = NULL;
	if (o->code == RC_OK) {
		left_ms = take_answer(l, o->results[0]);
	} else {
		log_failure(l, o);
		leader_check(l);
	}
	if (!l->is_stopping)
		timer_arm(l->tick, next_try_ms(l, left_ms));
}

static void
on_tick(void *arg)
{
	struct leader *l = arg;
	char lease[16];
	const char *params[] = {l->o.incarnation, l->o.nonce, lease};
	struct db_stmt stmt = {Q_LEADER_HOLD, ARRAY_LEN(params), params};

	leader_check(l);
	if (l->hold || l->is_stopping)
		return;
	snprintf(lease, sizeof(lease), "%d", LEADER_LEASE_MS);
	l->sent_ms = loop_now_ms(l->o.loop);
	l->hold = db_submit(l->o.pool, &stmt, 1, on_hold, l);
}

/* --- stopping --- */

static void
on_released(void *arg, struct db_outcome *o)
{
	struct leader *l = arg;

	l->hold = NULL;
	if (o->code != RC_OK)
		log_failure(l, o);
	l->released(l->released_arg);
}

void
leader_release(struct leader *l, loop_fn *done, void *arg)
{
	const char *params[] = {l->o.incarnation, l->o.nonce};
	struct db_stmt stmt = {Q_LEADER_RELEASE, ARRAY_LEN(params), params};

	l->is_stopping = true;
	timer_disarm(l->tick);
	if (l->hold)
		db_forget(l->hold); /* what it takes, the release gives back */
	step_down(l, "this process stops");
	l->released = done;
	l->released_arg = arg;
	l->hold = db_submit(l->o.pool, &stmt, 1, on_released, l);
}
