#include "scheduler/duty_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/log/log.h"

/* Requests to run now are looked for this often, and a failed look at the
 * table is repeated after it. */
#define REQUESTS_MS 1000
/* A duty that is due while DUTY_RUNNING_MAX others run waits so long. */
#define CROWDED_MS 50
/* Past its bound a run may still say how far it came. */
#define GRACE_MS 10000
/* A run that failed is repeated after so long, and twice as long each time, but
 * no later than its next tick. */
#define RETRY_MS 5000
#define RETRY_DOUBLINGS_MAX 12

static void on_due(void *arg);
static void on_requests(void *arg);

struct duties *
duties_new(const struct duty_opts *opts)
{
	struct duties *ds = mem_zalloc(sizeof(*ds));

	ds->o = *opts;
	ds->items = mem_zalloc(opts->n * sizeof(ds->items[0]));
	ds->requests = timer_new(opts->loop, on_requests, ds);
	for (size_t i = 0; i < opts->n; i++) {
		struct duty *d = &ds->items[i];

		d->all = ds;
		d->def = &opts->table[i];
		if (d->def->needs &&
		    opts->setting(opts->arg, d->def->needs) == 0)
			d->off = d->def->why_off;
		d->interval_ms = opts->setting(opts->arg, d->def->interval);
		if (d->interval_ms == 0 && !d->off)
			d->off = "its interval is 0, which switches it off";
		d->timer = timer_new(opts->loop, on_due, d);
	}
	return ds;
}

void
duties_free(struct duties *ds)
{
	if (!ds)
		return;
	duties_stop(ds);
	timer_free(ds->requests);
	for (size_t i = 0; i < ds->o.n; i++)
		timer_free(ds->items[i].timer);
	free(ds->items);
	free(ds);
}

size_t
duties_running(const struct duties *ds)
{
	return ds->running;
}

static int64_t
jittered(const struct duty *d)
{
	return rand_jitter(d->interval_ms, DUTY_JITTER_PERCENT);
}

static void
arm(struct duty *d, int64_t wait_ms)
{
	wait_ms = wait_ms > 0 ? wait_ms : 0;
	d->due_ms = loop_now_ms(d->all->o.loop) + wait_ms;
	timer_arm(d->timer, wait_ms);
}

static int64_t
due_in_ms(const struct duty *d)
{
	int64_t ms = d->due_ms - loop_now_ms(d->all->o.loop);

	return ms > 0 ? ms : 0;
}

/* --- one run --- */

static op_step run_begun;

static enum op_next
run_begin(struct op *op)
{
	const struct duty *d = op_owner(op);

	return OP_QUERY(op, Q_DUTY_BEGIN, run_begun, duty_incarnation(op),
	    duty_term(op), d->def->name,
	    op_printf(op, "%" PRId64, due_in_ms(d)));
}

static enum op_next
run_begun(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	return op_goto(op, ((const struct duty *)op_owner(op))->def->first);
}

static void
on_end_written(void *arg, struct db_outcome *o)
{
	if (o->code != RC_OK)
		log_warn("DUTY-END", "%s %s, the row keeps saying running",
		    rc_name(o->code), o->error.message);
}

static void
write_end(struct duty *d, rc code, const char *message, int64_t ms)
{
	struct arena *a = arena_new();
	const char *params[] = {d->all->o.incarnation, d->term, d->def->name,
	    rc_name(code), arena_printf(a, "%" PRId64, d->rows),
	    arena_printf(a, "%" PRId64, ms),
	    arena_printf(a, "%" PRId64, due_in_ms(d)),
	    arena_printf(a, "%" PRId64, d->skipped), message};
	struct db_stmt stmt = {Q_DUTY_END, ARRAY_LEN(params), params};

	(void)db_submit(d->all->o.pool, &stmt, 1, on_end_written, NULL);
	arena_free(a);
}

/* An hour is long to wait for what a restart of the database cut off. */
static void
try_again_soon(struct duty *d)
{
	int64_t wait_ms;

	if (d->failures < RETRY_DOUBLINGS_MAX)
		d->failures++;
	wait_ms = rand_jitter((int64_t)RETRY_MS << (d->failures - 1),
	    DUTY_JITTER_PERCENT);
	if (wait_ms < due_in_ms(d))
		arm(d, wait_ms);
}

static void
on_end(struct op *op, rc code, const char *message)
{
	struct duty *d = op_owner(op);
	struct duties *ds = d->all;
	int64_t ms = loop_now_ms(ds->o.loop) - d->started_ms;

	d->op = NULL;
	ds->running--;
	if (code == RC_OK) {
		log_debug("DUTY", "%s: %" PRId64 " rows in %" PRId64 " ms",
		    d->def->name, d->rows, ms);
		d->failures = 0;
	} else if (ds->is_on) {
		try_again_soon(d);
		log_warn("DUTY-FAILED",
		    "%s: %s %s after %" PRId64 " ms, again in %" PRId64 " ms",
		    d->def->name, rc_name(code), message, ms, due_in_ms(d));
	}
	if (!ds->is_on)
		return;
	if (code == RC_LEASE_LOST)
		leader_distrust(ds->o.leader, ds->term,
		    "a duty found the term over");
	else
		write_end(d, code, message, ms);
}

static void
run(struct duty *d, bool is_woken)
{
	struct duties *ds = d->all;
	struct op_env env = {
	    .loop = ds->o.loop,
	    .pool = ds->o.pool,
	    .deadline_ms = duty_bound_ms(d) + GRACE_MS,
	    .name = d->def->name,
	    .owner = d,
	    .on_end = on_end,
	};

	d->is_woken = is_woken;
	d->rows = 0;
	d->skipped = 0;
	d->started_ms = loop_now_ms(ds->o.loop);
	snprintf(d->term, sizeof(d->term), "%" PRIu64, ds->term);
	ds->running++;
	d->op = op_start(&env, run_begin);
}

static void
on_due(void *arg)
{
	struct duty *d = arg;
	struct duties *ds = d->all;

	if (!ds->is_on || !leader_is_trusted(ds->o.leader))
		return;
	if (!d->op && ds->running >= DUTY_RUNNING_MAX) {
		/* It stays due: what is shown as late is late. */
		timer_arm(d->timer, CROWDED_MS);
		return;
	}
	arm(d, jittered(d));
	if (d->op) {
		d->skipped++;
		log_warn("DUTY-SKIPPED", "%s: the last run still goes on",
		    d->def->name);
	} else {
		run(d, false);
	}
}

/* The next look does, where others run; one that failed is repeated anyway. */
static void
wake(struct duty *d)
{
	if (d->failures == 0 && d->all->running < DUTY_RUNNING_MAX)
		run(d, true);
}

/* --- when each is due --- */

static struct duty *
find(struct duties *ds, const char *name)
{
	for (size_t i = 0; i < ds->o.n; i++)
		if (strcmp(ds->items[i].def->name, name) == 0)
			return &ds->items[i];
	return NULL;
}

/*
 * The first look of a term: each duty is due when the last leader would have
 * run it, or an interval after its last run; at once when it never ran or
 * when its run was cut off.
 */
static void
plan(struct duties *ds, const struct db_result *r)
{
	int name = db_col(r, "name"), age = db_col(r, "age_ms"),
	    next = db_col(r, "next_ms");

	for (size_t i = 0; i < ds->o.n; i++)
		if (!ds->items[i].off)
			arm(&ds->items[i], 0);
	for (size_t i = 0; i < db_nrows(r); i++) {
		struct duty *d = find(ds, db_text(r, i, name));
		int64_t age_ms = db_i64(r, i, age);

		if (!d || d->off || age_ms < 0)
			continue;
		if (db_is_null(r, i, next))
			arm(d, jittered(d) - age_ms);
		else
			arm(d, db_i64(r, i, next));
	}
}

static void
run_requested(struct duties *ds, const struct db_result *r)
{
	int name = db_col(r, "name"), requested = db_col(r, "is_requested"),
	    urgent = db_col(r, "is_urgent");

	for (size_t i = 0; i < db_nrows(r); i++) {
		struct duty *d = find(ds, db_text(r, i, name));

		if (!d || d->off || d->op)
			continue;
		if (db_bool(r, i, requested))
			arm(d, 0);
		else if (db_bool(r, i, urgent))
			wake(d);
	}
}

static void
on_load(void *arg, struct db_outcome *o)
{
	struct duties *ds = arg;
	const struct db_result *r;

	ds->load = NULL;
	timer_arm(ds->requests, REQUESTS_MS);
	if (o->code != RC_OK) {
		log_warn("DUTY-LOAD", "%s %s, trying again in a second",
		    rc_name(o->code), o->error.message);
		return;
	}
	r = o->results[o->nresults - 1];
	if (!ds->has_loaded)
		plan(ds, r);
	ds->has_loaded = true;
	run_requested(ds, r);
}

/* The table as this leader has it, for those who look at the rows. */
static struct db_req *
register_and_load(struct duties *ds)
{
	struct arena *a = arena_new();
	size_t n = ds->o.n;
	const char **names = arena_alloc(a, n * sizeof(*names));
	const char **offs = arena_alloc(a, n * sizeof(*offs));
	int64_t *intervals = arena_alloc(a, n * sizeof(*intervals));
	int64_t *bounds = arena_alloc(a, n * sizeof(*bounds));
	const char *params[6] = {ds->o.incarnation,
	    arena_printf(a, "%" PRIu64, ds->term)};
	struct db_stmt stmts[] = {{Q_DUTIES_REGISTER, 6, params},
	    {Q_DUTY_ROWS, 0, NULL}};
	struct db_req *req;

	for (size_t i = 0; i < n; i++) {
		const struct duty *d = &ds->items[i];

		names[i] = d->def->name;
		offs[i] = d->off ? d->off : "";
		intervals[i] = d->interval_ms;
		bounds[i] = duty_bound_ms(d);
	}
	params[2] = db_text_array(a, names, n);
	params[3] = db_i64_array(a, intervals, n);
	params[4] = db_i64_array(a, bounds, n);
	params[5] = db_text_array(a, offs, n);
	req = db_submit(ds->o.pool, stmts, ARRAY_LEN(stmts), on_load, ds);
	arena_free(a);
	return req;
}

static void
on_requests(void *arg)
{
	struct duties *ds = arg;
	struct db_stmt stmt = {Q_DUTY_ROWS, 0, NULL};

	if (!ds->is_on || ds->load)
		return;
	if (ds->has_loaded)
		ds->load = db_submit(ds->o.pool, &stmt, 1, on_load, ds);
	else
		ds->load = register_and_load(ds);
}

void
duties_start(struct duties *ds, uint64_t term)
{
	duties_stop(ds);
	ds->is_on = true;
	ds->has_loaded = false;
	ds->term = term;
	timer_arm(ds->requests, 0);
}

void
duties_stop(struct duties *ds)
{
	if (!ds->is_on)
		return;
	ds->is_on = false;
	timer_disarm(ds->requests);
	if (ds->load)
		db_forget(ds->load);
	ds->load = NULL;
	for (size_t i = 0; i < ds->o.n; i++) {
		timer_disarm(ds->items[i].timer);
		if (ds->items[i].op)
			op_abort(ds->items[i].op, RC_CANCELLED);
	}
}
