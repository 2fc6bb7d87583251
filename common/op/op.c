#include "common/op/op.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "common/log/log.h"
#include "common/log/log_peer.h"
#include "common/op/op_int.h"

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
message_for_client(rc code, const struct db_error *e)
{
	if (strcmp(e->sqlstate, "55P03") == 0)
		return OP_HELD_WORDS;
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
		log_peer(LOG_ERROR, "OP-DB", op->env.name,
		    "%s (op %" PRIu64 "): statement %zu: %s %s", op->env.name,
		    op->id, e->statement, e->sqlstate, e->message);
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
	set_end(op, o->code, message_for_client(o->code, &o->error));
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
	op->shown = NULL;
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
