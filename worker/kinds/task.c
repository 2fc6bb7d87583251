/*
 * A lease of tasks: each runs as an op of its own, by the table of kinds, and
 * the lease ends when all have.  A task that ends well has deleted its row,
 * unless its kind leaves that to the end of the lease, where one statement
 * deletes all; a failure is written here: back-off, and Failed when attempts
 * are used up.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/rand.h"
#include "common/log/log.h"
#include "worker/kinds/kind.h"

#define BUSY_TRIES 5
#define RETRY_MS 100
#define STUCK_MS 2000

/* What tasks_claim() of the database lets share a lease should
 * be ended together. */
static const struct kind {
	const char *name;
	op_step *begin; /* NULL: there is nothing to do */
	bool ends_together;
} kinds[] = {
    {"acme_validate", acme_validate_begin, false},
    {"ca_init", ca_init_begin, false},
    {"ca_next", ca_next_begin, true},
    {"ca_revoke", ca_revoke_begin, false},
    {"crl_build", crl_build_begin, false},
    {"crl_fetch", crl_fetch_begin, false},
    {"digest", digest_begin, false},
    {"health_check", health_check_begin, false},
    {"ica_create", ica_create_begin, false},
    /* Passes through scheduler, bus and worker and does nothing: to measure
     * them, and to try a deployment. */
    {"noop", NULL, true},
    {"network_scan", network_scan_begin, false},
    {"notify", notify_begin, false},
    {"ocsp_refresh", ocsp_refresh_begin, true},
    {"ocsp_sign", ocsp_sign_begin, false},
    {"renewal_windows", renewal_windows_begin, false},
    {"scep_probe", scep_probe_begin, false},
};

struct tasks { /* state of the lease's op */
	const struct kind_env *env;
	const char *lease_text;
	const char *worker;
	struct slot_end end;
	struct op *op;              /* itself; NULL once it is ending */
	size_t n, running, waiting; /* waiting: of those that run */
	struct task *tasks;
	const char **done; /* ids of those that end together */
	size_t ndone;
	size_t at; /* whose failure is being written */
	unsigned tries;
};

static op_step tasks_loaded;
static op_step tasks_wait;
static op_step tasks_end;
static op_step tasks_ended;
static op_step tasks_not_ended;
static op_step tasks_write_failure;
static op_step tasks_written;
static op_step tasks_not_written;
static op_step tasks_give_up;

/* --- one task --- */

static bool
do_all_wait(const struct tasks *ts)
{
	return ts->waiting > 0 && ts->waiting == ts->running;
}

static void
tell_slot(struct tasks *ts, bool did_all_wait)
{
	if (do_all_wait(ts) != did_all_wait && ts->end.on_wait)
		ts->end.on_wait(ts->end.owner, !did_all_wait);
}

static void
child_waits(struct task *t, bool is_waiting)
{
	struct tasks *ts = t->lease;
	bool did_all_wait = do_all_wait(ts);

	if (t->is_waiting == is_waiting)
		return;
	t->is_waiting = is_waiting;
	ts->waiting = is_waiting ? ts->waiting + 1 : ts->waiting - 1;
	tell_slot(ts, did_all_wait);
}

static void
child_ended(struct op *op, rc code, const char *message)
{
	struct task *t = op_owner(op);
	struct tasks *ts = t->lease;
	bool did_all_wait;

	t->op = NULL;
	t->code = code;
	if (!ts->op)
		return; /* the lease's op is being freed */
	t->message = arena_strdup(op_arena(ts->op), message);
	did_all_wait = do_all_wait(ts);
	ts->waiting -= t->is_waiting;
	t->is_waiting = false;
	ts->running--;
	tell_slot(ts, did_all_wait);
	if (ts->running == 0)
		op_wake(ts->op);
}

static const struct kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static void
child_start(struct tasks *ts, struct task *t)
{
	struct op_env env = {
	    .loop = ts->env->loop,
	    .pool = ts->env->pool,
	    .deadline_ms = op_left_ms(ts->op),
	    .name = t->kind,
	    .owner = t,
	    .on_end = child_ended,
	};
	const struct kind *kind = find_kind(t->kind);

	if (!kind) {
		t->code = RC_NOT_IMPLEMENTED;
		t->message = op_printf(ts->op,
		    "this worker knows no tasks of kind %s", t->kind);
		return;
	}
	t->ends_together = kind->ends_together;
	if (!kind->begin)
		return;
	ts->running++;
	t->op = op_start(&env, kind->begin);
}

/* --- all of the lease --- */

static bool
is_worth_another_try(struct tasks *ts, rc code)
{
	return code == RC_UNAVAILABLE || code == RC_TIMEOUT ||
	       (code == RC_BUSY && ++ts->tries <= BUSY_TRIES);
}

static void
abort_children(void *arg)
{
	struct tasks *ts = arg;

	ts->op = NULL;
	for (size_t i = 0; i < ts->n; i++)
		if (ts->tasks[i].op)
			op_abort(ts->tasks[i].op, RC_CANCELLED);
}

static enum op_next
tasks_begin(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));

	arena_defer(op_arena(op), abort_children, ts);
	return OP_QUERY(op, Q_TASKS_LOAD, tasks_loaded, ts->worker,
	    ts->lease_text);
}

static enum op_next
tasks_loaded(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));

	ts->n = op_rows(op);
	ts->tasks =
	    arena_alloc(op_arena(op), (ts->n + 1) * sizeof(struct task));
	for (size_t i = 0; i < ts->n; i++)
		ts->tasks[i] = (struct task){
		    .env = ts->env,
		    .lease = ts,
		    .lease_text = ts->lease_text,
		    .id = op_text(op, i, "id"),
		    .kind = op_text(op, i, "kind"),
		    .subject = op_text(op, i, "subject"),
		    .issuer_id = op_text(op, i, "issuer_id"),
		    .payload = op_text(op, i, "payload"),
		    .on_wait = child_waits,
		};
	for (size_t i = 0; i < ts->n; i++)
		child_start(ts, &ts->tasks[i]);
	return op_goto(op, tasks_wait);
}

static enum op_next
tasks_wait(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));

	if (ts->running > 0)
		return op_park(op, op_left_ms(op), tasks_wait);
	return op_goto(op, tasks_end);
}

/* --- those that ended well --- */

static enum op_next
tasks_end(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));

	ts->done = arena_alloc(op_arena(op), (ts->n + 1) * sizeof(char *));
	ts->ndone = 0;
	for (size_t i = 0; i < ts->n; i++)
		if (ts->tasks[i].ends_together && ts->tasks[i].code == RC_OK)
			ts->done[ts->ndone++] = ts->tasks[i].id;
	if (ts->ndone == 0)
		return op_goto(op, tasks_write_failure);
	if (!lease_is_trusted(ts->env->lease))
		return lease_refuse(op);
	op_catch(op, tasks_not_ended);
	return OP_QUERY(op, Q_TASKS_DONE, tasks_ended, ts->worker,
	    ts->lease_text, db_text_array(op_arena(op), ts->done, ts->ndone));
}

static enum op_next
tasks_ended(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));

	ts->tries = 0;
	return op_goto(op, tasks_write_failure);
}

/* Made again after any doubt: what is gone already is not found. */
static enum op_next
tasks_not_ended(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if (is_worth_another_try(ts, ret))
		return op_sleep(op, rand_jitter(RETRY_MS, 25), tasks_end);
	log_error("TASK-STUCK", "lease %s: its end can't be stored: %s %s",
	    ts->lease_text, e->sqlstate, e->message);
	return op_sleep(op, STUCK_MS, tasks_give_up);
}

/* --- those that failed --- */

/* How many attempts it cost: all where the worker does not know how, none where
 * it is its host that cannot, or where somebody holds a row that it needs. */
static const char *
cost(const struct task *t)
{
	if (t->code == RC_NOT_IMPLEMENTED)
		return "1000000";
	return t->code == RC_IO || t->code == RC_BUSY ? "0" : "1";
}

static enum op_next
tasks_write_failure(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));
	const struct task *t;

	while (ts->at < ts->n && ts->tasks[ts->at].code == RC_OK)
		ts->at++;
	if (ts->at == ts->n)
		return op_done(op);
	if (!lease_is_trusted(ts->env->lease))
		return lease_refuse(op);
	t = &ts->tasks[ts->at];
	op_catch(op, tasks_not_written);
	return OP_QUERY(op, Q_TASK_FAILED, tasks_written, ts->worker,
	    ts->lease_text, t->id, t->message, cost(t));
}

static enum op_next
tasks_written(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));
	const struct task *t = &ts->tasks[ts->at++];

	ts->tries = 0;
	log_warn("TASK-FAILED", "%s (%s of %s), %s: %s", t->id, t->kind,
	    t->subject, op_rows(op) > 0 ? op_text(op, 0, "status") : "lost",
	    t->message);
	return op_goto(op, tasks_write_failure);
}

static enum op_next
tasks_not_written(struct op *op)
{
	struct tasks *ts = op_state(op, sizeof(*ts));
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if (is_worth_another_try(ts, ret))
		return op_sleep(op, rand_jitter(RETRY_MS, 25),
		    tasks_write_failure);
	log_error("TASK-STUCK", "%s: its failure can't be stored: %s %s",
	    ts->tasks[ts->at].id, e->sqlstate, e->message);
	/* It is handed out again when this ends: not in a tight loop. */
	return op_sleep(op, STUCK_MS, tasks_give_up);
}

static enum op_next
tasks_give_up(struct op *op)
{
	return op_fail(op, RC_INTERNAL,
	    "the end of a task could not be stored");
}

struct op *
task_start(const struct kind_env *env, const struct grant *g,
    const struct slot_end *end)
{
	struct op_env op_env = {
	    .loop = env->loop,
	    .pool = env->pool,
	    .deadline_ms = KIND_DEADLINE_MS,
	    .name = "tasks",
	    .owner = end->owner,
	    .on_end = end->on_end,
	};
	struct op *op = op_start(&op_env, tasks_begin);
	struct tasks *ts = op_state(op, sizeof(*ts));

	ts->env = env;
	ts->end = *end;
	ts->op = op;
	ts->lease_text = op_printf(op, "%" PRId64, g->lease_id);
	ts->worker = lease_incarnation(env->lease);
	return op;
}
