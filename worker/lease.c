#include "worker/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"

#define RETRY_MS 100
#define LEAVE_MS 2000
#define FAILURE_LOG_EVERY_MS 10000

struct lease {
	struct lease_opts o;
	char pid[16];
	char slots[16];
	struct timer *tick;  /* the next renewal */
	struct timer *trust; /* the end of trust */
	struct db_req *req;  /* a renewal, or the leave, under way */
	int64_t sent_ms;     /* when req was sent */
	int64_t trusted_until_ms;
	bool is_held; /* on_trusted was told, on_lost was not */
	int64_t failure_logged_ms;
	char **cancelled; /* job ids */
	size_t ncancelled;
	loop_fn *left;
	void *left_arg;
};

static void on_tick(void *arg);
static void on_trust_end(void *arg);

struct lease *
lease_new(const struct lease_opts *opts)
{
	struct lease *l = mem_zalloc(sizeof(*l));

	l->o = *opts;
	l->o.incarnation = mem_strdup(opts->incarnation);
	l->o.name = mem_strdup(opts->name);
	l->o.host = mem_strdup(opts->host);
	l->o.version = mem_strdup(opts->version);
	snprintf(l->pid, sizeof(l->pid), "%d", opts->pid);
	snprintf(l->slots, sizeof(l->slots), "%zu", opts->slots);
	l->tick = timer_new(opts->loop, on_tick, l);
	l->trust = timer_new(opts->loop, on_trust_end, l);
	l->failure_logged_ms = loop_now_ms(opts->loop) - FAILURE_LOG_EVERY_MS;
	return l;
}

static void
forget_cancelled(struct lease *l)
{
	for (size_t i = 0; i < l->ncancelled; i++)
		free(l->cancelled[i]);
	free(l->cancelled);
	l->cancelled = NULL;
	l->ncancelled = 0;
}

void
lease_free(struct lease *l)
{
	if (!l)
		return;
	db_forget(l->req);
	timer_free(l->tick);
	timer_free(l->trust);
	forget_cancelled(l);
	free((char *)l->o.incarnation);
	free((char *)l->o.name);
	free((char *)l->o.host);
	free((char *)l->o.version);
	free(l);
}

bool
lease_is_trusted(const struct lease *l)
{
	return l->is_held && loop_now_ms(l->o.loop) < l->trusted_until_ms;
}

bool
lease_is_cancelled(const struct lease *l, const char *job_id)
{
	for (size_t i = 0; i < l->ncancelled; i++)
		if (strcmp(l->cancelled[i], job_id) == 0)
			return true;
	return false;
}

const char *
lease_incarnation(const struct lease *l)
{
	return l->o.incarnation;
}

/* --- trust --- */

static void
lose(struct lease *l)
{
	l->is_held = false;
	timer_disarm(l->trust);
	l->o.on_lost(l->o.arg);
}

/* Trust that has run out ends before anything else is believed: the timer may
 * be behind the answer in the same turn of the loop. */
static void
expire(struct lease *l)
{
	if (!l->is_held || loop_now_ms(l->o.loop) < l->trusted_until_ms)
		return;
	log_warn("LEASE-LOST",
	    "no renewal for %d ms, dropping all work and asking anew",
	    LEASE_TRUST_MS);
	lose(l);
}

static void
on_trust_end(void *arg)
{
	expire(arg);
}

static void
renewed(struct lease *l)
{
	int64_t now_ms = loop_now_ms(l->o.loop);
	int64_t until_ms = l->sent_ms + LEASE_TRUST_MS;

	if (now_ms >= until_ms)
		return; /* too late to build on */
	l->trusted_until_ms = until_ms;
	timer_arm(l->trust, until_ms - now_ms);
	if (l->is_held)
		return;
	l->is_held = true;
	log_info("LEASE-HELD", "worker %s (%s)", l->o.name, l->o.incarnation);
	l->o.on_trusted(l->o.arg);
}

/* --- renewing --- */

static void
remember_cancelled(struct lease *l, const struct db_result *r)
{
	int col = db_col(r, "cancel_job_id");
	size_t n = db_nrows(r);

	forget_cancelled(l);
	l->cancelled = mem_zalloc((n + 1) * sizeof(l->cancelled[0]));
	for (size_t i = 0; i < n; i++) {
		if (db_is_null(r, i, col))
			continue; /* none: the one row that there always is */
		l->cancelled[l->ncancelled++] = mem_strdup(db_text(r, i, col));
	}
}

static void
log_failure(struct lease *l, const struct db_outcome *o)
{
	int64_t now_ms = loop_now_ms(l->o.loop);

	if (now_ms - l->failure_logged_ms < FAILURE_LOG_EVERY_MS)
		return;
	l->failure_logged_ms = now_ms;
	log_warn("LEASE-RENEW", "%s %s %s, trying again every %d ms",
	    rc_name(o->code), o->error.sqlstate, o->error.message, RETRY_MS);
}

static void
on_renewed(void *arg, struct db_outcome *o)
{
	struct lease *l = arg;
	int64_t due_ms;

	l->req = NULL;
	expire(l);
	due_ms = l->sent_ms + LEASE_RENEW_MS - loop_now_ms(l->o.loop);
	if (o->code == RC_OK) {
		remember_cancelled(l, o->results[0]);
		renewed(l);
	} else {
		log_failure(l, o);
		due_ms = RETRY_MS;
	}
	timer_arm(l->tick, due_ms > 0 ? due_ms : 0);
}

static void
on_tick(void *arg)
{
	struct lease *l = arg;
	const char *params[] = {l->o.incarnation, l->o.name, l->o.host, l->pid,
	    l->o.version, l->slots};
	struct db_stmt stmt = {Q_WORKER_RENEW, ARRAY_LEN(params), params};

	expire(l);
	if (l->req)
		return;
	l->sent_ms = loop_now_ms(l->o.loop);
	l->req = db_submit(l->o.pool, &stmt, 1, on_renewed, l);
}

void
lease_start(struct lease *l)
{
	timer_arm(l->tick, 0);
}

/* --- leaving --- */

static void
gone(struct lease *l)
{
	db_forget(l->req);
	l->req = NULL;
	timer_disarm(l->tick);
	l->left(l->left_arg);
}

static void
on_leave_limit(void *arg)
{
	log_warn("LEASE-LEAVE",
	    "the database did not answer; the lease ends by itself");
	gone(arg);
}

static void
on_left(void *arg, struct db_outcome *o)
{
	struct lease *l = arg;

	l->req = NULL;
	if (o->code != RC_OK)
		log_warn("LEASE-LEAVE", "%s; the lease ends by itself",
		    rc_name(o->code));
	gone(l);
}

void
lease_leave(struct lease *l, loop_fn *done, void *arg)
{
	const char *params[] = {l->o.incarnation};
	struct db_stmt stmt = {Q_WORKER_LEAVE, ARRAY_LEN(params), params};

	l->left = done;
	l->left_arg = arg;
	/* A renewal that was sent is answered before the leave is served:
	 * there is one connection. */
	db_forget(l->req);
	if (l->is_held)
		lose(l);
	timer_free(l->tick);
	l->tick = timer_new(l->o.loop, on_leave_limit, l);
	timer_arm(l->tick, LEAVE_MS);
	l->req = db_submit(l->o.pool, &stmt, 1, on_left, l);
}
