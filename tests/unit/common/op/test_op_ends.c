/*
 * The op driver: how an op waits, and how it ends before its last step.
 */

#include "tests/unit/check.h"
#include "tests/unit/common/op/op_rig.h"

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
	op_start(&env, done_at_once);
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

CHECK_MAIN(CHECK_ROW(sleep_takes_its_time), CHECK_ROW(deadline_ends_a_query),
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
