/*
 * The op driver: steps, batches, database errors.
 */
#include <stdlib.h>

#include "tests/unit/check.h"
#include "tests/unit/common/op/op_rig.h"

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

static void
ids_are_unique(void)
{
	struct op *a, *b;

	begin();
	a = start(done_at_once);
	b = start(done_at_once);
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

CHECK_MAIN(CHECK_ROW(steps_run_in_order_and_never_at_once),
    CHECK_ROW(fail_ends_with_code_and_text), CHECK_ROW(ids_are_unique),
    CHECK_ROW(goto_does_not_grow_the_stack),
    CHECK_ROW(results_at_once_do_not_grow_the_stack),
    CHECK_ROW(batch_has_a_result_a_statement),
    CHECK_ROW(database_error_ends_the_op), CHECK_ROW(catch_gets_the_error_once),
    CHECK_ROW(catch_is_for_the_next_wait_only),
    CHECK_ROW(unexpected_query_is_seen_by_the_script))
