#include "scheduler/duty.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/bus/frame.h"
#include "common/log/log.h"

/* Requests to run now are looked for this often, and a failed look at the
 * table is repeated after it. */
#define REQUESTS_MS 1000
/* A duty that is due while DUTY_RUNNING_MAX others run waits so long. */
#define CROWDED_MS 50
/* Past its bound a run may still say how far it came. */
#define GRACE_MS 10000

struct duty {
	struct duties *all;
	const struct duty_def *def;
	int64_t interval_ms;
	struct timer *timer;
	struct op *op; /* the run, or NULL */
	int64_t started_ms;
	int64_t rows;
	char term[24]; /* of the run */
};

struct duties {
	struct duty_opts o;
	bool is_on;
	uint64_t term;
	bool has_loaded; /* the table's ages, in this term */
	struct timer *requests;
	struct db_req *load;
	size_t running;
	struct duty *items; /* o.n of them */
};

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
		d->interval_ms = opts->interval_ms(opts->arg, d->def->interval);
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

/* --- one run --- */

static op_step run_begun;

static const struct duty *
duty_of(const struct op *op)
{
	return op_owner(op);
}

const struct duty_opts *
duty_opts(const struct op *op)
{
	return &duty_of(op)->all->o;
}

const char *
duty_incarnation(const struct op *op)
{
	return duty_opts(op)->incarnation;
}

const char *
duty_term(const struct op *op)
{
	return duty_of(op)->term;
}

void
duty_add_rows(struct op *op, int64_t rows)
{
	struct duty *d = op_owner(op);

	d->rows += rows;
}

int64_t
duty_rows(const struct op *op)
{
	return duty_of(op)->rows;
}

int64_t
duty_elapsed_ms(const struct op *op)
{
	return loop_now_ms(op_loop(op)) - duty_of(op)->started_ms;
}

static int64_t
budget_ms(const struct duty *d)
{
	return d->def->timeout_ms > 0 ? d->def->timeout_ms : d->interval_ms;
}

int64_t
duty_budget_ms(const struct op *op)
{
	return budget_ms(duty_of(op));
}

bool
duty_is_over(const struct op *op)
{
	return duty_elapsed_ms(op) >= duty_budget_ms(op);
}

enum op_next
duty_term_over(struct op *op)
{
	return op_fail(op, RC_LEASE_LOST, "the term is over");
}

enum op_next
duty_next_chunk(struct op *op, int64_t chunk, op_step *again)
{
	int64_t n;

	if (op_rows(op) == 0)
		return duty_term_over(op);
	n = op_i64(op, 0, "rows");
	duty_add_rows(op, n);
	if (n < chunk || duty_is_over(op))
		return op_done(op);
	return op_goto(op, again);
}

void
duty_wake_agents(struct op *op, const char *agents)
{
	const struct duty_opts *o = duty_opts(op);
	struct buf body;

	if (strcmp(agents, "[]") == 0 || agents[0] == '\0')
		return;
	buf_init(&body, FRAME_BODY_MAX);
	buf_printf(&body, "{\"agents\":%s}", agents);
	/* Too many for one frame: agents look by themselves every second. */
	if (buf_ok(&body))
		o->publish(o->arg, buf_cstr(&body), body.len);
	buf_fini(&body);
}

static enum op_next
run_begin(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_BEGIN, run_begun, duty_incarnation(op),
	    duty_term(op), duty_of(op)->def->name);
}

static enum op_next
run_begun(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	return op_goto(op, duty_of(op)->def->first);
}

static void
on_end_written(void *arg, struct db_outcome *o)
{
	if (o->code != RC_OK)
		log_warn("DUTY-END", "%s %s, the row keeps saying running",
		    rc_name(o->code), o->error.message);
}

static void
write_end(struct duty *d, rc code)
{
	char rows[24];
	const char *params[] = {d->all->o.incarnation, d->term, d->def->name,
	    rc_name(code), rows};
	struct db_stmt stmt = {Q_DUTY_END, ARRAY_LEN(params), params};

	snprintf(rows, sizeof(rows), "%" PRId64, d->rows);
	(void)db_submit(d->all->o.pool, &stmt, 1, on_end_written, NULL);
}

static void
on_end(struct op *op, rc code, const char *message)
{
	struct duty *d = op_owner(op);
	struct duties *ds = d->all;
	int64_t ms = loop_now_ms(ds->o.loop) - d->started_ms;

	d->op = NULL;
	ds->running--;
	if (code == RC_OK)
		log_debug("DUTY", "%s: %" PRId64 " rows in %" PRId64 " ms",
		    d->def->name, d->rows, ms);
	else
		log_warn("DUTY-FAILED",
		    "%s: %s %s after %" PRId64 " ms, next at its next tick",
		    d->def->name, rc_name(code), message, ms);
	if (!ds->is_on)
		return;
	if (code == RC_LEASE_LOST)
		leader_distrust(ds->o.leader, ds->term,
		    "a duty found the term over");
	else
		write_end(d, code);
}

static void
run(struct duty *d)
{
	struct duties *ds = d->all;
	struct op_env env = {
	    .loop = ds->o.loop,
	    .pool = ds->o.pool,
	    .deadline_ms = budget_ms(d) + GRACE_MS,
	    .name = d->def->name,
	    .owner = d,
	    .on_end = on_end,
	};

	d->rows = 0;
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
	if (d->op) {
		log_warn("DUTY-SKIPPED", "%s: the last run still goes on",
		    d->def->name);
	} else if (ds->running >= DUTY_RUNNING_MAX) {
		timer_arm(d->timer, CROWDED_MS);
		return;
	} else {
		run(d);
	}
	timer_arm(d->timer, jittered(d));
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

/* The first look of a term: when each duty is due, from when it last ran. */
static void
plan(struct duties *ds, struct db_result *r)
{
	int name = db_col(r, "name"), age = db_col(r, "age_ms");

	for (size_t i = 0; i < ds->o.n; i++)
		timer_arm(ds->items[i].timer, 0);
	for (size_t i = 0; i < db_nrows(r); i++) {
		struct duty *d = find(ds, db_text(r, i, name));
		int64_t age_ms = db_i64(r, i, age), wait_ms;

		if (!d || age_ms < 0)
			continue;
		wait_ms = jittered(d) - age_ms;
		timer_arm(d->timer, wait_ms > 0 ? wait_ms : 0);
	}
}

static void
run_requested(struct duties *ds, struct db_result *r)
{
	int name = db_col(r, "name"), requested = db_col(r, "is_requested");

	for (size_t i = 0; i < db_nrows(r); i++) {
		struct duty *d = find(ds, db_text(r, i, name));

		if (d && !d->op && db_bool(r, i, requested))
			timer_arm(d->timer, 0);
	}
}

static void
on_load(void *arg, struct db_outcome *o)
{
	struct duties *ds = arg;

	ds->load = NULL;
	timer_arm(ds->requests, REQUESTS_MS);
	if (o->code != RC_OK) {
		log_warn("DUTY-LOAD", "%s %s, trying again in a second",
		    rc_name(o->code), o->error.message);
		return;
	}
	if (!ds->has_loaded)
		plan(ds, o->results[0]);
	ds->has_loaded = true;
	run_requested(ds, o->results[0]);
}

static void
on_requests(void *arg)
{
	struct duties *ds = arg;
	struct db_stmt stmt = {Q_DUTY_ROWS, 0, NULL};

	if (ds->is_on && !ds->load)
		ds->load = db_submit(ds->o.pool, &stmt, 1, on_load, ds);
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
