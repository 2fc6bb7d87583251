#include "common/op/op.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/log/log.h"

enum op_wait {
	OP_WAIT_NONE, /* a step runs, or the op has ended */
	OP_WAIT_TURN, /* next runs on the next turn */
	OP_WAIT_DB,
	OP_WAIT_SLEEP,
	OP_WAIT_PARK,
};

/* Lives in its own arena, so one free ends all of it. */
struct op {
	struct op_env env;
	uint64_t id;
	struct arena *arena;
	int64_t deadline_at_ms;
	struct timer *deadline;
	struct timer *alarm; /* of sleep and park, made when first needed */

	enum op_wait wait;
	op_step *next;
	op_step *handler; /* op_catch, for the next wait only */
	bool has_ended;   /* no step runs any more, on_end comes or came */
	bool is_told;     /* on_end was called */
	rc code;
	const char *message;

	void *state;
	size_t state_size;
	struct arena_mark mark; /* of op_mark */
	bool woken;
	struct db_req *req; /* in flight */
	struct db_result **results;
	size_t nresults;
	rc caught;
	const struct db_error *error;
};

static void op_resume(struct op *op, op_step *step);

/* --- the end --- */

static void
op_free(void *arg)
{
	struct op *op = arg;

	arena_free(op->arena);
}

/* The first end counts; it is told once the running step has returned. */
static void
set_end(struct op *op, rc code, const char *message)
{
	if (op->has_ended)
		return;
	op->has_ended = true;
	op->code = code;
	op->message = message;
}

static void
finish(struct op *op)
{
	if (op->is_told)
		return;
	op->is_told = true;
	op->wait = OP_WAIT_NONE;
	timer_free(op->deadline);
	timer_free(op->alarm);
	op->deadline = op->alarm = NULL;
	db_forget(op->req);
	op->req = NULL;
	if (op->env.on_end)
		op->env.on_end(op, op->code, op->message);
	/* A call that the op deferred is before this one in the queue. */
	loop_defer(op->env.loop, op_free, op);
}

void
op_abort(struct op *op, rc code)
{
	/* Not later, even when called from inside a step: the caller's own
	 * objects may be gone by then. */
	if (op->has_ended)
		return;
	set_end(op, code, "");
	finish(op);
}

static void
on_deadline(void *arg)
{
	struct op *op = arg;

	set_end(op, RC_TIMEOUT, "this took too long");
	finish(op);
}

/* --- the driver --- */

/* The only caller of steps. */
static void
op_resume(struct op *op, op_step *step)
{
	op->wait = OP_WAIT_NONE;
	op->next = NULL;
	(void)step(op); /* what it says is what it did to op */
	if (op->has_ended)
		finish(op);
	else if (op->wait == OP_WAIT_NONE)
		log_fatal("OP-STEP", "a step of %s ended in no op_*()",
		    op->env.name);
}

static void
on_turn(void *arg)
{
	struct op *op = arg;

	if (op->has_ended)
		return; /* since; its op_free comes after this call */
	op_resume(op, op->next);
}

/* The catch was for the wait that is over now. */
static void
next_without_error(struct op *op)
{
	op->handler = NULL;
	op_resume(op, op->next);
}

static void
on_alarm(void *arg)
{
	next_without_error(arg);
}

/* Marks the wait; false when the op has ended meanwhile. */
static bool
wait_begin(struct op *op, enum op_wait wait, op_step *next)
{
	if (op->has_ended)
		return false;
	if (op->wait != OP_WAIT_NONE)
		log_fatal("OP-STEP", "a step of %s waits twice", op->env.name);
	op->wait = wait;
	op->next = next;
	return true;
}

static void
alarm_arm(struct op *op, int64_t ms)
{
	if (!op->alarm)
		op->alarm = timer_new(op->env.loop, on_alarm, op);
	timer_arm(op->alarm, ms);
}

struct op *
op_start(const struct op_env *env, op_step *first)
{
	static uint64_t last_id; /* one loop, one thread a process */
	struct arena *a = arena_new();
	struct op *op = arena_alloc(a, sizeof(*op));

	op->env = *env;
	op->arena = a;
	op->id = ++last_id;
	op->message = "";
	op->deadline_at_ms = loop_now_ms(env->loop) + env->deadline_ms;
	op->deadline = timer_new(env->loop, on_deadline, op);
	timer_arm(op->deadline, env->deadline_ms);
	op->wait = OP_WAIT_TURN;
	op->next = first;
	loop_defer(env->loop, on_turn, op);
	return op;
}

/* --- how a step ends --- */

enum op_next
op_done(struct op *op)
{
	set_end(op, RC_OK, "");
	return OP_ENDED;
}

enum op_next
op_fail(struct op *op, rc code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!op->has_ended)
		set_end(op, code, arena_vprintf(op->arena, fmt, ap));
	va_end(ap);
	return OP_ENDED;
}

enum op_next
op_goto(struct op *op, op_step *next)
{
	if (!wait_begin(op, OP_WAIT_TURN, next))
		return OP_ENDED;
	/* The next turn is no wait in op_catch's sense: the catch stays. */
	loop_defer(op->env.loop, on_turn, op);
	return OP_WAITING;
}

enum op_next
op_sleep(struct op *op, int64_t ms, op_step *next)
{
	if (!wait_begin(op, OP_WAIT_SLEEP, next))
		return OP_ENDED;
	alarm_arm(op, ms);
	return OP_WAITING;
}

enum op_next
op_park(struct op *op, int64_t max_ms, op_step *next)
{
	if (!wait_begin(op, OP_WAIT_PARK, next))
		return OP_ENDED;
	op->woken = false;
	alarm_arm(op, max_ms);
	return OP_WAITING;
}

void
op_wake(struct op *op)
{
	if (op->has_ended || op->wait != OP_WAIT_PARK)
		return;
	/* Through the loop: the caller may be a step of another op. */
	op->woken = true;
	op->wait = OP_WAIT_TURN;
	op->handler = NULL;
	timer_disarm(op->alarm);
	loop_defer(op->env.loop, on_turn, op);
}

bool
op_woken(const struct op *op)
{
	return op->woken;
}

/* --- the database --- */

static const char *
message_for_client(rc code)
{
	switch (code) {
	case RC_CONFLICT:
		return "it exists already";
	case RC_INVALID:
		return "it refers to something that does not exist, "
		       "or is still referred to";
	case RC_DATA:
		return "a value was refused by the database";
	case RC_BUSY:
		return "the service is busy, try again";
	case RC_UNAVAILABLE:
		return "the database is not available, try again";
	default:
		return "internal error";
	}
}

/* Our bugs are worth a line each; overload and outages are the pool's to
 * tell, once, and conflicts are daily life. */
static void
log_db_error(const struct op *op, rc code, const struct db_error *e)
{
	if (code == RC_INTERNAL || code == RC_DATA)
		log_error("OP-DB", "%s (op %" PRIu64 "): statement %zu: %s %s",
		    op->env.name, op->id, e->statement, e->sqlstate,
		    e->message);
	else
		log_debug("OP-DB", "%s (op %" PRIu64 "): statement %zu: %s %s",
		    op->env.name, op->id, e->statement, e->sqlstate,
		    e->message);
}

static void
on_db_error(struct op *op, const struct db_outcome *o)
{
	struct db_error *kept;
	op_step *handler = op->handler;

	op->handler = NULL;
	if (handler) {
		kept = arena_alloc(op->arena, sizeof(*kept));
		*kept = o->error;
		op->caught = o->code;
		op->error = kept;
		op_resume(op, handler);
		return;
	}
	log_db_error(op, o->code, &o->error);
	set_end(op, o->code, message_for_client(o->code));
	finish(op);
}

static void
on_db(void *arg, struct db_outcome *o)
{
	struct op *op = arg;

	op->req = NULL;
	if (o->code != RC_OK) {
		on_db_error(op, o);
		return;
	}
	db_results_keep(o, op->arena);
	op->results = o->results;
	op->nresults = o->nresults;
	next_without_error(op);
}

enum op_next
op_batch(struct op *op, op_step *next, size_t n, const struct db_stmt *stmts)
{
	if (!wait_begin(op, OP_WAIT_DB, next))
		return OP_ENDED;
	if (!op->env.pool)
		log_fatal("OP-STEP", "%s has no database", op->env.name);
	op->results = NULL;
	op->nresults = 0;
	op->req = db_submit(op->env.pool, stmts, n, on_db, op);
	return OP_WAITING;
}

enum op_next
op_query(struct op *op, enum query q, op_step *next, size_t nparams,
    const char *const *params)
{
	struct db_stmt stmt = {.q = q, .nparams = nparams, .params = params};

	return op_batch(op, next, 1, &stmt);
}

void
op_catch(struct op *op, op_step *handler)
{
	op->handler = handler;
	op->caught = RC_OK;
	op->error = NULL;
}

rc
op_caught(const struct op *op, const struct db_error **out_error)
{
	static const struct db_error none;

	if (out_error)
		*out_error = op->error ? op->error : &none;
	return op->caught;
}

/* --- results --- */

struct db_result *
op_result(const struct op *op, size_t i)
{
	if (i >= op->nresults)
		log_fatal("OP-RESULT", "%s: no result %zu", op->env.name, i);
	return op->results[i];
}

/* Of a batch: the last statement's. */
static struct db_result *
last_result(const struct op *op)
{
	if (op->nresults == 0)
		log_fatal("OP-RESULT", "%s: no result", op->env.name);
	return op->results[op->nresults - 1];
}

size_t
op_rows(const struct op *op)
{
	return db_nrows(last_result(op));
}

const char *
op_text(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_text(r, row, db_col(r, col));
}

int64_t
op_i64(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_i64(r, row, db_col(r, col));
}

bool
op_bool(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_bool(r, row, db_col(r, col));
}

bool
op_is_null(const struct op *op, size_t row, const char *col)
{
	const struct db_result *r = last_result(op);

	return db_is_null(r, row, db_col(r, col));
}

/* --- what an op has --- */

void *
op_owner(const struct op *op)
{
	return op->env.owner;
}

const char *
op_name(const struct op *op)
{
	return op->env.name;
}

uint64_t
op_id(const struct op *op)
{
	return op->id;
}

struct arena *
op_arena(struct op *op)
{
	return op->arena;
}

struct loop *
op_loop(const struct op *op)
{
	return op->env.loop;
}

void *
op_state(struct op *op, size_t size)
{
	if (!op->state) {
		op->state = arena_alloc(op->arena, size);
		op->state_size = size;
	} else if (size != op->state_size) {
		log_fatal("OP-STATE", "%s: state of %zu bytes, not %zu",
		    op->env.name, op->state_size, size);
	}
	return op->state;
}

void
op_mark(struct op *op)
{
	op->mark = arena_mark(op->arena);
}

void
op_rewind(struct op *op)
{
	if (!op->mark.cur)
		log_fatal("OP-STEP", "%s: no mark", op->env.name);
	op->results = NULL;
	op->nresults = 0;
	op->error = NULL;
	arena_rewind(op->arena, &op->mark);
}

int64_t
op_left_ms(const struct op *op)
{
	int64_t left_ms = op->deadline_at_ms - loop_now_ms(op->env.loop);

	return left_ms > 0 ? left_ms : 0;
}

void
op_extend(struct op *op, int64_t ms)
{
	if (op->has_ended)
		return;
	op->deadline_at_ms = loop_now_ms(op->env.loop) + ms;
	timer_arm(op->deadline, ms);
}

char *
op_printf(struct op *op, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = arena_vprintf(op->arena, fmt, ap);
	va_end(ap);
	return text;
}
