#include "common/lease/tenure.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/log/log.h"

#define FAILURE_LOG_EVERY_MS 10000

struct tenure {
	struct tenure_opts o;
	struct timer *tick;  /* the next renewal; while stopping, the limit */
	struct timer *trust; /* the end of trust */
	struct db_req *req;  /* a renewal or the return, under way */
	int64_t sent_ms;     /* when the renewal was sent */
	int64_t trusted_until_ms;
	int64_t failure_logged_ms;
	bool is_held; /* on_held was told, on_lost was not */
	bool is_stopping;
	loop_fn *done;
	void *done_arg;
};

static void on_tick(void *arg);
static void on_trust_end(void *arg);

struct tenure *
tenure_new(const struct tenure_opts *opts)
{
	struct tenure *t = mem_zalloc(sizeof(*t));

	t->o = *opts;
	t->tick = timer_new(opts->loop, on_tick, t);
	t->trust = timer_new(opts->loop, on_trust_end, t);
	t->failure_logged_ms = loop_now_ms(opts->loop) - FAILURE_LOG_EVERY_MS;
	return t;
}

void
tenure_free(struct tenure *t)
{
	if (!t)
		return;
	db_forget(t->req);
	timer_free(t->tick);
	timer_free(t->trust);
	free(t);
}

void
tenure_start(struct tenure *t)
{
	timer_arm(t->tick, 0);
}

/* --- trust --- */

bool
tenure_is_held(const struct tenure *t)
{
	return t->is_held;
}

int64_t
tenure_sent_ms(const struct tenure *t)
{
	return t->sent_ms;
}

bool
tenure_is_trusted(const struct tenure *t)
{
	return t->is_held && loop_now_ms(t->o.loop) < t->trusted_until_ms;
}

void
tenure_distrust(struct tenure *t, const char *why)
{
	if (!t->is_held)
		return;
	t->is_held = false;
	timer_disarm(t->trust);
	t->o.on_lost(t->o.arg, why, t->is_stopping);
}

bool
tenure_check(struct tenure *t)
{
	if (tenure_is_trusted(t))
		return true;
	tenure_distrust(t, "no renewal was answered in time");
	return false;
}

static void
on_trust_end(void *arg)
{
	struct tenure *t = arg;

	if (tenure_check(t))
		timer_arm(t->trust,
		    t->trusted_until_ms - loop_now_ms(t->o.loop));
}

static void
renewed(struct tenure *t, bool is_anew)
{
	int64_t now_ms = loop_now_ms(t->o.loop);
	int64_t until_ms = t->sent_ms + t->o.trust_ms;

	/* The row is ours, but the answer took so long that nothing may be
	 * built on it; the next renewal decides. */
	if (now_ms >= until_ms)
		return;
	/* Lost and taken again between two renewals: somebody may have held
	 * it in between, so everything starts anew. */
	if (is_anew)
		tenure_distrust(t, "it was lost and taken again");
	t->trusted_until_ms = until_ms;
	timer_arm(t->trust, until_ms - now_ms);
	if (t->is_held)
		return;
	t->is_held = true;
	t->o.on_held(t->o.arg);
}

/* --- renewing --- */

static void
log_failure(struct tenure *t, const struct db_outcome *o)
{
	int64_t now_ms = loop_now_ms(t->o.loop);

	if (now_ms - t->failure_logged_ms < FAILURE_LOG_EVERY_MS)
		return;
	t->failure_logged_ms = now_ms;
	log_warn(t->o.code, "%s %s %s, trying again every %d ms",
	    rc_name(o->code), o->error.sqlstate, o->error.message,
	    (int)t->o.retry_ms);
}

static void
arm_tick(struct tenure *t, bool has_failed, int64_t retry_ms)
{
	int64_t wait_ms = t->sent_ms + t->o.renew_ms - loop_now_ms(t->o.loop);

	if (!t->is_held)
		wait_ms = retry_ms;
	else if (has_failed && t->o.retry_ms < wait_ms)
		wait_ms = t->o.retry_ms;
	timer_arm(t->tick, wait_ms > 0 ? wait_ms : 0);
}

static void
on_renewed(void *arg, struct db_outcome *o)
{
	struct tenure *t = arg;
	struct tenure_answer answer = {
	    .retry_ms = rand_jitter(t->o.retry_ms, t->o.jitter_pct),
	};

	t->req = NULL;
	/* Trust that has run out ends before anything else is believed: its
	 * timer may be behind the answer in the same turn of the loop. */
	(void)tenure_check(t);
	if (o->code != RC_OK) {
		log_failure(t, o);
	} else {
		t->o.read(t->o.arg, o->results[0], &answer);
		if (answer.is_ours)
			renewed(t, answer.is_anew);
		else
			tenure_distrust(t, answer.why);
	}
	if (!t->is_stopping)
		arm_tick(t, o->code != RC_OK, answer.retry_ms);
}

/* --- giving back --- */

static void
end(struct tenure *t)
{
	db_forget(t->req);
	t->req = NULL;
	timer_disarm(t->tick);
	t->done(t->done_arg);
}

static void
on_given_back(void *arg, struct db_outcome *o)
{
	struct tenure *t = arg;

	t->req = NULL;
	if (o->code != RC_OK)
		log_warn(t->o.code,
		    "it was not given back, and ends by itself:"
		    " %s %s %s",
		    rc_name(o->code), o->error.sqlstate, o->error.message);
	end(t);
}

void
tenure_give_back(struct tenure *t, int64_t limit_ms, loop_fn *done, void *arg)
{
	t->is_stopping = true;
	t->done = done;
	t->done_arg = arg;
	/* A renewal that was sent is answered before the return is served:
	 * there is one connection. */
	db_forget(t->req);
	tenure_distrust(t, "this process stops");
	timer_arm(t->tick, limit_ms);
	t->req = db_submit(t->o.pool, &t->o.give_back, 1, on_given_back, t);
}

static void
on_tick(void *arg)
{
	struct tenure *t = arg;

	if (t->is_stopping) {
		log_warn(t->o.code,
		    "the database did not answer; it ends by itself");
		end(t);
		return;
	}
	(void)tenure_check(t);
	if (t->req)
		return;
	t->sent_ms = loop_now_ms(t->o.loop);
	t->req = db_submit(t->o.pool, &t->o.renew, 1, on_renewed, t);
}
