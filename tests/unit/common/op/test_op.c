/*
 * The op driver on the simulated loop and the scripted pool.
 */
#include <stdlib.h>

#include "common/op/op.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

static struct loop *loop;
static struct db_pool *pool;
static char trace[256]; /* what the steps did */
static int ends;        /* calls of on_end */
static rc end_code;
static char end_message[256];

static void
mark(const char *what)
{
	size_t len = strlen(trace);

	(void)snprintf(trace + len, sizeof(trace) - len, "%s ", what);
}

static void
on_end(struct op *op, rc code, const char *message)
{
	ends++;
	end_code = code;
	(void)snprintf(end_message, sizeof(end_message), "%s", message);
	mark("end");
}

static void
begin(void)
{
	/* What a test before this one left when it failed. */
	db_pool_free(pool);
	loop_free(loop);
	loop = loop_new_sim(5000);
	pool = db_script_new(loop);
	trace[0] = '\0';
	ends = 0;
	end_code = RC_COUNT;
	end_message[0] = '\0';
}

static struct op *
start(op_step *first)
{
	struct op_env env = {
	    .loop = loop,
	    .pool = pool,
	    .deadline_ms = 1000,
	    .name = "test",
	    .owner = &ends,
	    .on_end = on_end,
	};

	return op_start(&env, first);
}

/* Nothing is left to happen, and the script was followed. */
static void
end(void)
{
	loop_sim_advance(loop, 100000);
	CHECK(db_script_is_done(pool));
	CHECK_INT(ends, 1);
	db_pool_free(pool);
	loop_free(loop);
	pool = NULL;
	loop = NULL;
}

/* --- steps in order --- */

struct three {
	int value;
	const char *text;
};

static op_step three_b, three_c;

static enum op_next
three_a(struct op *op)
{
	struct three *t = op_state(op, sizeof(*t));

	mark("a");
	CHECK_INT(t->value, 0); /* zeroed */
	t->value = 7;
	t->text = op_printf(op, "%d-%s", 7, "x");
	return OP_QUERY(op, Q_T_ECHO, three_b, "1", NULL);
}

static enum op_next
three_b(struct op *op)
{
	struct three *t = op_state(op, sizeof(*t));

	mark("b");
	CHECK_INT(t->value, 7);
	CHECK_STR(t->text, "7-x");
	CHECK_INT(op_rows(op), 2);
	CHECK_STR(op_text(op, 0, "name"), "first");
	CHECK_INT(op_i64(op, 1, "n"), 42);
	CHECK(op_bool(op, 0, "flag"));
	CHECK(!op_bool(op, 1, "flag"));
	CHECK(op_is_null(op, 1, "name"));
	CHECK_STR(op_text(op, 1, "name"), "");
	return OP_QUERY0(op, Q_PING, three_c);
}

static enum op_next
three_c(struct op *op)
{
	mark("c");
	CHECK_INT(op_i64(op, 0, "one"), 1);
	CHECK_INT(db_naffected(op_result(op, 0)), 1);
	return op_done(op);
}

static void
steps_run_in_order_and_never_at_once(void)
{
	struct op *op;

	begin();
	db_script_expect(pool, Q_T_ECHO, "1|\\N");
	db_script_rows(pool, "name|n|flag", "first|1|t\n\\N|42|f");
	db_script_expect(pool, Q_PING, "");
	db_script_rows(pool, "one", "1");
	op = start(three_a);
	CHECK_STR(trace, ""); /* starts on the next turn */
	CHECK_STR(op_name(op), "test");
	CHECK(op_owner(op) == &ends);
	CHECK(op_loop(op) == loop);
	CHECK(op_arena(op) != NULL);
	loop_sim_advance(loop, 0);
	CHECK_STR(trace, "a b c end ");
	CHECK_INT(end_code, RC_OK);
	CHECK_STR(end_message, "");
	end();
}

static enum op_next
fails(struct op *op)
{
	return op_fail(op, RC_NOT_FOUND, "no such %s", "thing");
}

static void
fail_ends_with_code_and_text(void)
{
	begin();
	start(fails);
	end();
	CHECK_INT(end_code, RC_NOT_FOUND);
	CHECK_STR(end_message, "no such thing");
}

static enum op_next
ids_end(struct op *op)
{
	return op_done(op);
}

static void
ids_are_unique(void)
{
	struct op *a, *b;

	begin();
	a = start(ids_end);
	b = start(ids_end);
	CHECK(op_id(a) != op_id(b));
	CHECK(op_id(a) != 0);
	loop_sim_advance(loop, 0);
	CHECK_INT(ends, 2);
	ends = 1;
	end();
}

/* --- going on without recursion --- */

struct count {
	int left;
	char *stack; /* where the first step's frame was */
};

static enum op_next
count_down(struct op *op)
{
	struct count *c = op_state(op, sizeof(*c));
	char here;

	if (!c->stack) {
		c->stack = &here;
		c->left = 5000;
	}
	CHECK(labs((long)(&here - c->stack)) < 4096);
	if (--c->left == 0)
		return op_done(op);
	return op_goto(op, count_down);
}

static void
goto_does_not_grow_the_stack(void)
{
	begin();
	start(count_down);
	end();
	CHECK_INT(end_code, RC_OK);
}

static enum op_next
query_down(struct op *op)
{
	struct count *c = op_state(op, sizeof(*c));
	char here;

	if (!c->stack) {
		c->stack = &here;
		c->left = 2000;
	}
	CHECK(labs((long)(&here - c->stack)) < 4096);
	if (--c->left == 0)
		return op_done(op);
	return OP_QUERY0(op, Q_PING, query_down);
}

static void
rule_pings(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	db_script_rows(p, "one", "1");
}

static void
results_at_once_do_not_grow_the_stack(void)
{
	begin();
	db_script_on(pool, Q_PING, rule_pings, NULL);
	start(query_down);
	end();
	CHECK_INT(end_code, RC_OK);
}

/* --- batches --- */

static op_step batch_done;

static enum op_next
batch_start(struct op *op)
{
	const char *const insert[] = {"1", "x", NULL};
	const struct db_stmt stmts[] = {
	    {Q_T_INSERT, 3, insert},
	    {Q_T_COUNT, 0, NULL},
	};

	return op_batch(op, batch_done, 2, stmts);
}

static enum op_next
batch_done(struct op *op)
{
	CHECK_INT(db_naffected(op_result(op, 0)), 1);
	CHECK_INT(db_nrows(op_result(op, 1)), 1);
	CHECK_INT(op_i64(op, 0, "n"), 9); /* the last statement's */
	return op_done(op);
}

static void
batch_has_a_result_a_statement(void)
{
	begin();
	db_script_expect(pool, Q_T_INSERT, "1|x|\\N");
	db_script_affected(pool, 1);
	db_script_also(pool, Q_T_COUNT, "");
	db_script_rows(pool, "n", "9");
	start(batch_start);
	end();
	CHECK_INT(end_code, RC_OK);
}

/* --- database errors --- */

static enum op_next
not_reached(struct op *op)
{
	mark("not-reached");
	return op_done(op);
}

static enum op_next
ask(struct op *op)
{
	mark("ask");
	return OP_QUERY0(op, Q_PING, not_reached);
}

static void
database_error_ends_the_op(void)
{
	static const struct {
		const char *state;
		rc code;
	} rows[] = {
	    {"23505", RC_CONFLICT},
	    {"23503", RC_INVALID},
	    {"22P02", RC_DATA},
	    {"40P01", RC_BUSY},
	    {"57P01", RC_UNAVAILABLE},
	    {"", RC_UNAVAILABLE},
	    {"42703", RC_INTERNAL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin();
		db_script_expect(pool, Q_PING, "");
		db_script_error(pool, rows[i].state, "secret detail", NULL);
		start(ask);
		end();
		CHECK_STR(trace, "ask end ");
		CHECK_INT(end_code, rows[i].code);
		/* The server's words are not for clients. */
		CHECK(strstr(end_message, "secret") == NULL);
		CHECK(end_message[0] != '\0');
	}
}

static enum op_next
caught_here(struct op *op)
{
	const struct db_error *e;

	mark("caught");
	CHECK_INT(op_caught(op, &e), RC_CONFLICT);
	CHECK_STR(e->sqlstate, "23505");
	CHECK_STR(e->constraint, "t_pkey");
	CHECK_STR(e->message, "duplicate");
	return OP_QUERY0(op, Q_T_COUNT, not_reached);
}

static enum op_next
ask_with_catch(struct op *op)
{
	op_catch(op, caught_here);
	return OP_QUERY0(op, Q_PING, not_reached);
}

static void
catch_gets_the_error_once(void)
{
	begin();
	db_script_expect(pool, Q_PING, "");
	db_script_error(pool, "23505", "duplicate", "t_pkey");
	db_script_expect(pool, Q_T_COUNT, "");
	db_script_error(pool, "23505", "again", NULL);
	start(ask_with_catch);
	end();
	CHECK_STR(trace, "caught end "); /* the second one ended the op */
	CHECK_INT(end_code, RC_CONFLICT);
}

static enum op_next
after_good_query(struct op *op)
{
	mark("good");
	CHECK_INT(op_caught(op, NULL), RC_OK);
	return OP_QUERY0(op, Q_T_COUNT, not_reached);
}

static enum op_next
catch_then_good(struct op *op)
{
	op_catch(op, caught_here);
	return OP_QUERY0(op, Q_PING, after_good_query);
}

static void
catch_is_for_the_next_wait_only(void)
{
	begin();
	db_script_expect(pool, Q_PING, "");
	db_script_expect(pool, Q_T_COUNT, "");
	db_script_error(pool, "23505", "late", NULL);
	start(catch_then_good);
	end();
	CHECK_STR(trace, "good end ");
	CHECK_INT(end_code, RC_CONFLICT);
}

static void
unexpected_query_is_seen_by_the_script(void)
{
	begin();
	start(ask);
	loop_sim_advance(loop, 0);
	CHECK_INT(end_code, RC_INTERNAL);
	CHECK(!db_script_is_done(pool));
	db_pool_free(pool);
	loop_free(loop);
	pool = NULL;
	loop = NULL;
}

/* --- time --- */

static enum op_next
slept(struct op *op)
{
	mark("slept");
	CHECK_INT(op_left_ms(op), 700);
	return op_done(op);
}

static enum op_next
sleeps(struct op *op)
{
	CHECK_INT(op_left_ms(op), 1000);
	return op_sleep(op, 300, slept);
}

static void
sleep_takes_its_time(void)
{
	begin();
	start(sleeps);
	loop_sim_advance(loop, 299);
	CHECK_STR(trace, "");
	loop_sim_advance(loop, 1);
	CHECK_STR(trace, "slept end ");
	end();
}

static void
deadline_ends_a_query(void)
{
	begin();
	db_script_expect(pool, Q_PING, "");
	db_script_after(pool, -1);
	start(ask);
	loop_sim_advance(loop, 999);
	CHECK_INT(ends, 0);
	loop_sim_advance(loop, 1);
	CHECK_INT(ends, 1);
	CHECK_INT(end_code, RC_TIMEOUT);
	CHECK_INT(db_script_forgotten(pool), 1);
	end();
	CHECK_STR(trace, "ask end ");
}

static void
late_answer_is_dropped(void)
{
	begin();
	db_script_expect(pool, Q_PING, "");
	db_script_rows(pool, "one", "1");
	db_script_after(pool, 5000);
	start(ask);
	loop_sim_advance(loop, 10000);
	CHECK_INT(end_code, RC_TIMEOUT);
	CHECK_INT(db_script_in_flight(pool), 0);
	end();
	CHECK_STR(trace, "ask end ");
}

static enum op_next
sleeps_too_long(struct op *op)
{
	return op_sleep(op, 5000, not_reached);
}

static void
deadline_ends_a_sleep(void)
{
	begin();
	start(sleeps_too_long);
	loop_sim_advance(loop, 1000);
	CHECK_INT(ends, 1);
	end();
	CHECK_INT(end_code, RC_TIMEOUT);
}

static enum op_next
extends(struct op *op)
{
	op_extend(op, 9000);
	CHECK_INT(op_left_ms(op), 9000);
	return op_sleep(op, 5000, not_reached);
}

static void
extend_moves_the_deadline(void)
{
	begin();
	start(extends);
	loop_sim_advance(loop, 4999);
	CHECK_INT(ends, 0);
	end();
	CHECK_STR(trace, "not-reached end ");
	CHECK_INT(end_code, RC_OK);
}

/* --- park and wake --- */

static enum op_next
unparked(struct op *op)
{
	mark(op_woken(op) ? "woken" : "not-woken");
	return op_done(op);
}

static enum op_next
parks(struct op *op)
{
	mark("parks");
	return op_park(op, 500, unparked);
}

static void
park_ends_by_wake(void)
{
	struct op *op;

	begin();
	op = start(parks);
	op_wake(op); /* not parked yet: nothing */
	loop_sim_advance(loop, 200);
	CHECK_STR(trace, "parks ");
	op_wake(op);
	op_wake(op);
	CHECK_STR(trace, "parks "); /* never from inside op_wake */
	loop_sim_advance(loop, 0);
	CHECK_STR(trace, "parks woken end ");
	end();
}

static void
park_ends_by_time(void)
{
	begin();
	start(parks);
	loop_sim_advance(loop, 500);
	CHECK_STR(trace, "parks not-woken end ");
	end();
}

static void
wake_does_not_end_other_waits(void)
{
	struct op *op;

	begin();
	op = start(sleeps);
	loop_sim_advance(loop, 100);
	op_wake(op);
	loop_sim_advance(loop, 100);
	CHECK_STR(trace, "");
	end();
	CHECK_STR(trace, "slept end ");
}

/* --- abort at each point --- */

static void
check_aborted(void)
{
	CHECK_INT(ends, 1);
	CHECK_INT(end_code, RC_PEER_GONE);
	CHECK_STR(end_message, "");
	end();
	CHECK(strstr(trace, "not-reached") == NULL);
}

static void
abort_before_the_first_step(void)
{
	struct op *op;

	begin();
	op = start(not_reached);
	op_abort(op, RC_PEER_GONE);
	op_abort(op, RC_CANCELLED); /* the first one counts */
	check_aborted();
	CHECK_STR(trace, "end ");
}

static void
abort_in_a_query(void)
{
	struct op *op;

	begin();
	db_script_expect(pool, Q_PING, "");
	db_script_rows(pool, "one", "1");
	db_script_after(pool, 100);
	op = start(ask);
	loop_sim_advance(loop, 50);
	op_abort(op, RC_PEER_GONE);
	CHECK_INT(db_script_forgotten(pool), 1);
	check_aborted();
	CHECK_STR(trace, "ask end ");
}

static void
abort_in_a_sleep(void)
{
	struct op *op;

	begin();
	op = start(sleeps_too_long);
	loop_sim_advance(loop, 50);
	op_abort(op, RC_PEER_GONE);
	check_aborted();
}

static void
abort_when_parked(void)
{
	struct op *op;

	begin();
	op = start(parks);
	loop_sim_advance(loop, 50);
	op_abort(op, RC_PEER_GONE);
	op_wake(op);
	check_aborted();
	CHECK_STR(trace, "parks end ");
}

static void
abort_after_wake(void)
{
	struct op *op;

	begin();
	op = start(parks);
	loop_sim_advance(loop, 50);
	op_wake(op);
	op_abort(op, RC_PEER_GONE);
	check_aborted();
	CHECK_STR(trace, "parks end ");
}

static enum op_next
goes_on(struct op *op)
{
	return op_goto(op, not_reached);
}

static struct op *victim;

static void
on_abort_victim(void *arg)
{
	op_abort(victim, RC_PEER_GONE);
}

static void
abort_between_goto_and_its_step(void)
{
	begin();
	victim = start(goes_on);
	/* Runs after the first step and before what it deferred. */
	loop_defer(loop, on_abort_victim, NULL);
	loop_sim_advance(loop, 0);
	check_aborted();
}

static enum op_next
aborts_itself(struct op *op)
{
	op_abort(op, RC_PEER_GONE);
	/* The step goes on: nothing it starts has an effect. */
	CHECK(op_printf(op, "%s", "memory is still there") != NULL);
	op_extend(op, 99999);
	return OP_QUERY0(op, Q_PING, not_reached);
}

static void
abort_from_inside_a_step(void)
{
	begin();
	start(aborts_itself);
	loop_sim_advance(loop, 0);
	check_aborted();
}

static enum op_next
aborts_then_fails(struct op *op)
{
	op_abort(op, RC_PEER_GONE);
	return op_fail(op, RC_INTERNAL, "too late");
}

static void
first_end_counts(void)
{
	begin();
	start(aborts_then_fails);
	loop_sim_advance(loop, 0);
	check_aborted();
}

static void
on_end_aborts(struct op *op, rc code, const char *message)
{
	on_end(op, code, message);
	op_abort(op, RC_PEER_GONE);
	op_wake(op);
}

static void
abort_from_on_end_is_nothing(void)
{
	struct op_env env = {
	    .loop = NULL,
	    .deadline_ms = 1000,
	    .name = "test",
	    .on_end = on_end_aborts,
	};

	begin();
	env.loop = loop;
	op_start(&env, ids_end);
	loop_sim_advance(loop, 0);
	CHECK_INT(ends, 1);
	CHECK_INT(end_code, RC_OK);
	end();
}

static void
pool_that_ends_cancels_its_ops(void)
{
	begin();
	db_script_expect(pool, Q_PING, "");
	db_script_after(pool, -1);
	start(ask);
	loop_sim_advance(loop, 0);
	db_pool_free(pool);
	pool = NULL;
	CHECK_INT(ends, 1);
	CHECK_INT(end_code, RC_CANCELLED);
	loop_free(loop); /* frees the op that ended just now */
	loop = NULL;
}

static int disposed;

static void
on_dispose(void *arg)
{
	disposed++;
}

static enum op_next
keeps_a_handle(struct op *op)
{
	arena_defer(op_arena(op), on_dispose, NULL);
	return op_done(op);
}

static void
on_end_handle_is_there(struct op *op, rc code, const char *message)
{
	on_end(op, code, message);
	CHECK_INT(disposed, 0);
}

static void
arena_lives_until_after_the_end(void)
{
	struct op_env env = {
	    .deadline_ms = 1000,
	    .name = "test",
	    .on_end = on_end_handle_is_there,
	};

	begin();
	env.loop = loop;
	disposed = 0;
	op_start(&env, keeps_a_handle);
	end();
	CHECK_INT(disposed, 1);
}

CHECK_MAIN(CHECK_ROW(steps_run_in_order_and_never_at_once),
    CHECK_ROW(fail_ends_with_code_and_text), CHECK_ROW(ids_are_unique),
    CHECK_ROW(goto_does_not_grow_the_stack),
    CHECK_ROW(results_at_once_do_not_grow_the_stack),
    CHECK_ROW(batch_has_a_result_a_statement),
    CHECK_ROW(database_error_ends_the_op), CHECK_ROW(catch_gets_the_error_once),
    CHECK_ROW(catch_is_for_the_next_wait_only),
    CHECK_ROW(unexpected_query_is_seen_by_the_script),
    CHECK_ROW(sleep_takes_its_time), CHECK_ROW(deadline_ends_a_query),
    CHECK_ROW(late_answer_is_dropped), CHECK_ROW(deadline_ends_a_sleep),
    CHECK_ROW(extend_moves_the_deadline), CHECK_ROW(park_ends_by_wake),
    CHECK_ROW(park_ends_by_time), CHECK_ROW(wake_does_not_end_other_waits),
    CHECK_ROW(abort_before_the_first_step), CHECK_ROW(abort_in_a_query),
    CHECK_ROW(abort_in_a_sleep), CHECK_ROW(abort_when_parked),
    CHECK_ROW(abort_after_wake), CHECK_ROW(abort_between_goto_and_its_step),
    CHECK_ROW(abort_from_inside_a_step), CHECK_ROW(first_end_counts),
    CHECK_ROW(abort_from_on_end_is_nothing),
    CHECK_ROW(pool_that_ends_cancels_its_ops),
    CHECK_ROW(arena_lives_until_after_the_end))
