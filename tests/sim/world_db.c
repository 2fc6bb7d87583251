#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/policy/policy.h"
#include "tests/sim/world.h"
#include "tests/support/db_script.h"

static bool
is_term_over(struct sim_sched *s, struct db_pool *p, const struct db_stmt *st)
{
	struct world *w = s->world;

	if (strtoull(st->params[1], NULL, 10) == w->term &&
	    strcmp(st->params[0], w->holder) == 0 && w->now_ms < w->expires_ms)
		return false;
	w->refused++;
	db_script_error(p, "CT001", "the term is over", NULL);
	return true;
}

/* Most answers take a moment, some are lost with their connection. */
static void
trouble(struct world *w, struct db_pool *p)
{
	db_script_after(p, world_rand(w, 3));
	if (world_rand(w, 1000) < w->fault_percent * 2)
		db_script_code(p, RC_UNAVAILABLE);
}

static void
rule_hold(void *arg, struct db_pool *p, const struct db_stmt *st)
{
	struct sim_sched *s = arg;
	struct world *w = s->world;
	int64_t left = w->expires_ms - w->now_ms;
	char row[64];

	if (left < 0)
		left = 0;
	if (strcmp(w->holder, st->params[0]) == 0 && left > 0) {
		w->expires_ms = w->now_ms + 1000;
		snprintf(row, sizeof(row), "%" PRId64 "|%" PRIu64 "|f|f", left,
		    w->term);
	} else if (left == 0) {
		w->term++;
		w->leaders++;
		w->led_ms = w->now_ms;
		snprintf(w->holder, sizeof(w->holder), "%s", st->params[0]);
		w->expires_ms = w->now_ms + 1000;
		snprintf(row, sizeof(row), "0|%" PRIu64 "|t|f", w->term);
	} else {
		snprintf(row, sizeof(row), "%" PRId64 "|\\N|\\N|f", left);
	}
	db_script_rows(p, "left_ms|term|is_new|is_behind", row);
	db_script_after(p, w->late_holds_ms + world_rand(w, 3));
}

/* --- handing out --- */

static bool
is_worker_alive(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->nworkers; i++)
		if (strcmp(w->workers[i].name, name) == 0)
			return w->workers[i].lease_until_ms > w->now_ms;
	return false;
}

static size_t
running_leases(const struct world *w, size_t issuer)
{
	int64_t seen[256];
	size_t n = 0;

	for (size_t i = 0; i < w->njobs; i++) {
		const struct sim_job *j = &w->jobs[i];
		size_t k = 0;

		if (j->state != JOB_RUNNING || j->issuer != issuer)
			continue;
		while (k < n && seen[k] != j->lease)
			k++;
		if (k == n && n < 256)
			seen[n++] = j->lease;
	}
	return n;
}

/* Position of a low-water key: jobs are sorted by (run_after, index). */
static bool
is_behind(const struct sim_job *j, size_t index, const char *after,
    const char *id)
{
	int64_t run_after;

	if (strcmp(after, "-infinity") == 0)
		return false;
	run_after = strtoll(after, NULL, 10);
	if (j->run_after != run_after)
		return j->run_after < run_after;
	return index < (size_t)strtoull(id, NULL, 10);
}

/* Cuts the text of a small array such as {"a","b"}; false past its end. */
static bool
array_item(const char *text, size_t index, char *out, size_t size)
{
	char *copy = strdup(text), *save = NULL, *t;
	bool found = false;

	t = strtok_r(copy, "{},\"", &save);
	for (size_t i = 0; t && i < index; i++)
		t = strtok_r(NULL, "{},\"", &save);
	if (t) {
		snprintf(out, size, "%s", t);
		found = true;
	}
	free(copy);
	return found;
}

static bool
lane_has_due(const struct world *w, size_t issuer, const struct db_stmt *st)
{
	char id[32], after[32] = "-infinity", low_id[32] = "";

	for (size_t i = 0; st && array_item(st->params[0], i, id, sizeof(id));
	     i++) {
		if (strcmp(id, w->issuers[issuer].id) != 0)
			continue;
		array_item(st->params[1], i, after, sizeof(after));
		array_item(st->params[2], i, low_id, sizeof(low_id));
	}
	for (size_t i = 0; i < w->njobs; i++) {
		const struct sim_job *j = &w->jobs[i];

		if (j->state == JOB_PENDING && j->issuer == issuer &&
		    j->run_after <= w->now_ms &&
		    !is_behind(j, i, after, low_id))
			return true;
	}
	return false;
}

static bool
is_running(const struct world *w, int64_t lease)
{
	for (size_t i = 0; i < w->njobs; i++)
		if (w->jobs[i].state == JOB_RUNNING &&
		    w->jobs[i].lease == lease)
			return true;
	return false;
}

/* lane_allows; -1: any number. */
static int
lane_allows(const struct world *w, const struct sim_issuer *is)
{
	if (is->breaker == LANE_CLOSED)
		return -1;
	if (is->breaker == LANE_OPEN && w->now_ms < is->opened_until_ms)
		return 0;
	return is_running(w, is->trial_lease) ? 0 : 1;
}

/* lane_failed */
static void
lane_failed(struct world *w, struct sim_issuer *is, int64_t lease)
{
	const int64_t most = POLICY_BREAKER_MOST * 1000;
	int64_t wait = POLICY_BREAKER_FIRST * 1000;

	is->failures++;
	if (is->breaker == LANE_CLOSED ? is->failures < 5
				       : is->trial_lease != lease)
		return;
	for (int i = 0; i < is->opens && wait < most; i++)
		wait *= 2;
	is->breaker = LANE_OPEN;
	is->opens++;
	is->opened_until_ms = w->now_ms + (wait < most ? wait : most);
	is->trial_lease = 0;
}

/* lane_succeeded */
static void
lane_succeeded(struct sim_issuer *is)
{
	is->breaker = LANE_CLOSED;
	is->failures = is->opens = 0;
	is->trial_lease = 0;
}

static void
rule_lanes(void *arg, struct db_pool *p, const struct db_stmt *st)
{
	struct sim_sched *s = arg;
	struct world *w = s->world;
	struct buf rows;

	w->looks++;
	buf_init(&rows, 0);
	for (size_t i = 0; i < w->nissuers; i++) {
		const struct sim_issuer *is = &w->issuers[i];

		if (is->id[0] == '\0')
			continue;
		buf_printf(&rows, "%s%s|%s|%zu|%zu|%s|%d|%s|",
		    rows.len > 0 ? "\n" : "", is->id, is->type, is->cap,
		    running_leases(w, i), lane_has_due(w, i, st) ? "t" : "f",
		    lane_allows(w, is), is->breaker == LANE_CLOSED ? "f" : "t");
	}
	db_script_rows(p,
	    "issuer_id|issuer_type|cap|running|due|allows|is_open|last_error",
	    buf_cstr(&rows));
	buf_fini(&rows);
}

static void
rule_tasks(void *arg, struct db_pool *p, const struct db_stmt *st)
{
	struct sim_sched *s = arg;
	struct world *w = s->world;
	char row[64] = "f|0|\\N|\\N|\\N";

	for (size_t i = 0; i < w->nissuers; i++)
		if (w->issuers[i].id[0] == '\0')
			snprintf(row, sizeof(row), "%s|%zu|\\N|\\N|\\N",
			    lane_has_due(w, i, NULL) ? "t" : "f",
			    running_leases(w, i));
	db_script_rows(p, "due|running|first_after|first_id|low_lease", row);
	trouble(w, p);
}

static size_t
find_issuer(const struct world *w, const char *id)
{
	for (size_t i = 0; i < w->nissuers; i++)
		if (strcmp(w->issuers[i].id, id) == 0)
			return i;
	abort();
}

static size_t
claim(struct world *w, size_t issuer, const char *worker, size_t limit,
    const char *after, const char *id, size_t *last)
{
	struct sim_issuer *is = &w->issuers[issuer];
	size_t n = 0;

	if (!is_worker_alive(w, worker) || lane_allows(w, is) == 0)
		return 0;
	if (is->breaker != LANE_CLOSED)
		limit = 1;
	w->last_lease++;
	for (size_t i = 0; i < w->njobs && n < limit; i++) {
		struct sim_job *j = &w->jobs[i];

		if (j->state != JOB_PENDING || j->issuer != issuer ||
		    j->run_after > w->now_ms || is_behind(j, i, after, id))
			continue;
		j->state = JOB_RUNNING;
		j->lease = w->last_lease;
		snprintf(j->worker, sizeof(j->worker), "%s", worker);
		*last = i;
		n++;
	}
	if (n > 0 && is->breaker != LANE_CLOSED) {
		is->breaker = LANE_HALF_OPEN;
		is->trial_lease = w->last_lease;
	}
	return n;
}

static void
late_claim(struct world *w, struct db_pool *p)
{
	w->claims++;
	trouble(w, p);
	if (w->late_claim_ms > 0)
		db_script_after(p, w->late_claim_ms);
	w->late_claim_ms = 0;
	if (w->lose_claims > 0) {
		w->lose_claims--;
		db_script_code(p, RC_UNAVAILABLE);
	}
}

static void
rule_claim(void *arg, struct db_pool *p, const struct db_stmt *st)
{
	struct sim_sched *s = arg;
	struct world *w = s->world;
	char row[128] = "";
	size_t n, last = 0;

	if (is_term_over(s, p, st))
		return;
	n = claim(w, find_issuer(w, st->params[3]), st->params[2],
	    (size_t)strtoull(st->params[4], NULL, 10), st->params[5],
	    st->params[6], &last);
	if (n > 0)
		snprintf(row, sizeof(row), "%" PRId64 "|%zu|%" PRId64 "|%zu",
		    w->last_lease, n, w->jobs[last].run_after, last);
	else if (is_worker_alive(w, st->params[2]))
		snprintf(row, sizeof(row), "0|0|-infinity|");
	db_script_rows(p, "lease_id|claimed|last_after|last_id", row);
	late_claim(w, p);
}

static void
rule_claim_tasks(void *arg, struct db_pool *p, const struct db_stmt *st)
{
	struct sim_sched *s = arg;
	struct world *w = s->world;
	char row[128] = "";
	size_t n, last = 0;

	if (is_term_over(s, p, st))
		return;
	/* Its kinds go one a lease. */
	n = claim(w, find_issuer(w, ""), st->params[2], 1, st->params[4],
	    st->params[5], &last);
	if (n > 0)
		snprintf(row, sizeof(row), "%" PRId64 "|%zu|%" PRId64 "|%zu|t",
		    w->last_lease, n, w->jobs[last].run_after, last);
	else if (is_worker_alive(w, st->params[2]))
		snprintf(row, sizeof(row), "0|0|-infinity||f");
	db_script_rows(p, "lease_id|claimed|last_after|last_id|is_full", row);
	late_claim(w, p);
}

/* --- freeing --- */

static bool
is_held(const struct world *w, const struct sim_job *j)
{
	for (size_t i = 0; i < w->nworkers; i++) {
		const struct sim_worker *o = &w->workers[i];

		if (!o->is_alive || strcmp(o->name, j->worker) != 0)
			continue;
		for (size_t k = 0; k < o->nheld; k++)
			if (o->held[k].lease == j->lease)
				return true;
	}
	return false;
}

static bool
lists(const char *holding, int64_t lease)
{
	char item[32];

	for (size_t i = 0; array_item(holding, i, item, sizeof(item)); i++)
		if (strtoll(item, NULL, 10) == lease)
			return true;
	return false;
}

static size_t
free_jobs(struct world *w, const char *worker, const char *holding)
{
	int64_t last = 0;
	size_t n = 0;

	for (size_t i = 0; i < w->njobs; i++) {
		struct sim_job *j = &w->jobs[i];

		if (j->state != JOB_RUNNING)
			continue;
		if (!worker ? is_worker_alive(w, j->worker)
			    : strcmp(j->worker, worker) != 0)
			continue;
		if (worker && holding && lists(holding, j->lease))
			continue;
		if (j->lease != last) {
			w->freed++;
			if (is_held(w, j))
				w->freed_held++;
		}
		last = j->lease;
		j->state = JOB_PENDING;
		j->lease = 0;
		n++;
	}
	return n;
}

static void
rule_free(void *arg, struct db_pool *p, const struct db_stmt *st)
{
	struct sim_sched *s = arg;
	char row[32];

	if (is_term_over(s, p, st))
		return;
	snprintf(row, sizeof(row), "%zu|0",
	    free_jobs(s->world, st->params[2], st->params[3]));
	db_script_rows(p, "freed|failed", row);
	trouble(s->world, p);
}

static void
rule_sweep(void *arg, struct db_pool *p, const struct db_stmt *st)
{
	struct sim_sched *s = arg;
	char row[32];

	if (is_term_over(s, p, st))
		return;
	snprintf(row, sizeof(row), "%zu|0", free_jobs(s->world, NULL, NULL));
	db_script_rows(p, "freed|failed", row);
	trouble(s->world, p);
}

void
world_db_complete(struct world *w, struct sim_worker *worker, int64_t lease)
{
	struct sim_issuer *is = NULL;
	bool is_away = false;

	for (size_t i = 0; i < w->njobs; i++) {
		struct sim_job *j = &w->jobs[i];

		if (j->state != JOB_RUNNING || j->lease != lease ||
		    strcmp(j->worker, worker->name) != 0)
			continue;
		is = &w->issuers[j->issuer];
		is_away = w->now_ms < is->away_until_ms;
		j->state = is_away ? JOB_PENDING : JOB_DONE;
		if (is_away) {
			j->run_after = w->now_ms + 1000;
			continue;
		}
		j->times_done++;
		j->done_ms = w->now_ms;
	}
	if (!is) {
		w->lost_commits++;
		return;
	}
	is->calls++;
	if (is_away)
		lane_failed(w, is, lease);
	else
		lane_succeeded(is);
}

bool
world_db_is_live(const struct world *w, int64_t lease)
{
	return is_running(w, lease);
}

static void
rule_nothing(void *arg, struct db_pool *p, const struct db_stmt *st)
{
}

void
world_db_rules(struct sim_sched *s)
{
	db_script_on(s->leader_pool, Q_LEADER_HOLD, rule_hold, s);
	db_script_on(s->pool, Q_SCHED_SEEN, rule_nothing, s);
	db_script_on(s->pool, Q_SCHED_LANES_DUE, rule_lanes, s);
	db_script_on(s->pool, Q_SCHED_TASKS_DUE, rule_tasks, s);
	db_script_on(s->pool, Q_SCHED_JOBS_CLAIM, rule_claim, s);
	db_script_on(s->pool, Q_SCHED_TASKS_CLAIM, rule_claim_tasks, s);
	db_script_on(s->pool, Q_SCHED_LEASES_FREE, rule_free, s);
	db_script_on(s->pool, Q_SCHED_LEASES_SWEEP, rule_sweep, s);
}
