#include "scheduler/dispatch_int.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/log/log.h"

static const char *
text_or_null(struct db_result *r, const char *name)
{
	int col = db_col(r, name);

	return db_is_null(r, 0, col) ? NULL : db_text(r, 0, col);
}

/* Tasks have no lane row, and no cap but the permits. */
static size_t
tasks_row(struct dispatch *d, struct db_result *r)
{
	size_t running;

	if (db_nrows(r) == 0)
		return 0;
	running = (size_t)db_i64(r, 0, db_col(r, "running"));
	lanes_look_row(d->lanes, &(struct lane_row){
				     .issuer_id = LANE_TASKS,
				     .issuer_type = "",
				     .cap = d->o.permits,
				     .running = running,
				     .is_due = db_bool(r, 0, db_col(r, "due")),
				     .allows = LANE_ALLOWS_ALL,
				 });
	if (d->is_looking_full)
		lanes_look_first(d->lanes, LANE_TASKS,
		    text_or_null(r, "first_after"),
		    text_or_null(r, "first_id"));
	/* Claims of tasks come one after the other: with none running, all
	 * that will run is younger than the last when this was sent. */
	d->low_lease = text_or_null(r, "low_lease")
			   ? db_i64(r, 0, db_col(r, "low_lease"))
			   : d->look_lease;
	return running;
}

/* Said once: when a look first sees that the breaker moved. */
static void
log_breaker(const struct lane *before, const struct lane_row *row,
    const char *last_error)
{
	bool was_open = before && before->is_open;

	if (row->is_open && !was_open)
		log_warn("LANE-OPEN",
		    "issuer %s: its breaker is open, its jobs wait and one is "
		    "tried now and then; the last error: %s",
		    row->issuer_id, last_error);
	else if (!row->is_open && was_open)
		log_info("LANE-CLOSED", "issuer %s: answers again",
		    row->issuer_id);
}

static size_t
lane_rows(struct dispatch *d, struct db_result *r)
{
	int issuer_id = db_col(r, "issuer_id"), type = db_col(r, "issuer_type");
	int cap = db_col(r, "cap"), running = db_col(r, "running");
	int due = db_col(r, "due"), allows = db_col(r, "allows");
	int open = db_col(r, "is_open"), error = db_col(r, "last_error");
	size_t sum = 0;

	for (size_t i = 0; i < db_nrows(r); i++) {
		struct lane_row row = {
		    .issuer_id = db_text(r, i, issuer_id),
		    .issuer_type = db_text(r, i, type),
		    .cap = (size_t)db_i64(r, i, cap),
		    .running = (size_t)db_i64(r, i, running),
		    .is_due = db_bool(r, i, due),
		    .is_open = db_bool(r, i, open),
		    .allows = db_i64(r, i, allows),
		};

		sum += row.running;
		log_breaker(lanes_find(d->lanes, row.issuer_id), &row,
		    db_text(r, i, error));
		lanes_look_row(d->lanes, &row);
	}
	return sum;
}

static void
on_look(void *arg, struct db_outcome *o)
{
	struct dispatch *d = arg;
	size_t running;

	d->look = NULL;
	if (o->code != RC_OK) {
		d->must_look_full = true;
		d->look_not_before_ms =
		    loop_now_ms(d->o.loop) + DISPATCH_TICK_MS;
		dispatch_failed(d, "look", o);
		return;
	}
	if (d->is_looking_full)
		d->look_every_ms = dispatch_full_every(
		    loop_now_ms(d->o.loop) - d->looked_full_ms);
	running = lane_rows(d, o->results[0]);
	running += tasks_row(d, o->results[1]);
	lanes_look_end(d->lanes);
	permits_recount(&d->permits, running);
	d->turn(d);
}

void
dispatch_look_start(struct dispatch *d)
{
	int64_t now = loop_now_ms(d->o.loop);
	bool is_full =
	    d->must_look_full || now - d->looked_full_ms >= d->look_every_ms;
	struct arena *a = arena_new();
	struct lane_keys keys;
	const struct lane *tasks = lanes_find(d->lanes, LANE_TASKS);
	bool has_key = !is_full && tasks && tasks->low_after;
	const char *params[3];
	const char *tasks_params[] = {has_key ? tasks->low_after : "-infinity",
	    has_key ? tasks->low_id : "",
	    arena_printf(a, "%" PRId64, is_full ? 0 : d->low_lease)};
	struct db_stmt stmts[] = {
	    {Q_SCHED_LANES_DUE, ARRAY_LEN(params), params},
	    {Q_SCHED_TASKS_DUE, ARRAY_LEN(tasks_params), tasks_params},
	};

	d->is_looking_full = is_full;
	d->look_lease = d->task_lease;
	d->looked_ms = now;
	if (is_full)
		d->looked_full_ms = now;
	d->must_look = d->must_look_full = false;
	lanes_look_begin(d->lanes, is_full, a, &keys);
	permits_mark(&d->permits);
	params[0] = db_text_array(a, keys.issuer_ids, keys.n);
	params[1] = db_text_array(a, keys.low_afters, keys.n);
	params[2] = db_text_array(a, keys.low_ids, keys.n);
	d->look = db_submit(d->o.pool, stmts, ARRAY_LEN(stmts), on_look, d);
	arena_free(a); /* parameters are copied */
}
