/*
 * Requests that the server undid, as a deadlock's victim is: asked again,
 * whole, a bounded number of times, and nothing else is.
 */
#include "common/db/db_int.h"
#include "tests/unit/common/db/test_db.h"

#define DEADLOCK "40P01"

/* t_flaky fails by then as often as it is told; the count outlives what is
 * undone. */
static void
make_flaky(void)
{
	struct answer a;

	begin();
	make_table();
	CHECK_INT(ASK(&a, STMT0(Q_T_FLAKY_COUNT), STMT0(Q_T_FLAKY_MAKE)),
	    RC_OK);
	CHECK_INT(ASK(&a, STMT0(Q_T_FLAKY_RESET)), RC_OK);
}

static uint64_t
retries(void)
{
	struct db_stats st;

	db_pool_stats(pool, &st);
	return st.retries;
}

static void
what_was_undone_is_asked_again_whole(void)
{
	struct answer a;

	make_flaky();
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "1", "a", NULL),
		      STMT(Q_T_FLAKY, DEADLOCK, "2"),
		      STMT(Q_T_INSERT, "2", "b", NULL), STMT0(Q_T_COUNT)),
	    RC_OK);
	CHECK_INT(a.calls, 1);
	CHECK_INT(a.nresults, 4);
	CHECK_INT(i64_of(&a, "n"), 2);
	CHECK_INT(retries(), 2);
	CHECK_INT(count_rows(), 2);
	end();
}

static void
so_is_what_could_not_be_put_in_a_row(void)
{
	struct answer a;

	make_flaky();
	CHECK_INT(ASK(&a, STMT(Q_T_FLAKY, "40001", "1")), RC_OK);
	CHECK_INT(i64_of(&a, "n"), 2);
	CHECK_INT(retries(), 1);
	end();
}

static void
it_is_told_in_the_end(void)
{
	struct answer a;

	make_flaky();
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "1", "a", NULL),
		      STMT(Q_T_FLAKY, DEADLOCK, "1000")),
	    RC_BUSY);
	CHECK_STR(a.error.sqlstate, DEADLOCK);
	CHECK_INT(a.error.statement, 1);
	CHECK_INT(retries(), 4);
	CHECK_INT(count_rows(), 0);
	CHECK_INT(ASK(&a, STMT(Q_T_FLAKY, DEADLOCK, "0")), RC_OK);
	CHECK_INT(i64_of(&a, "n"), 6); /* five times before */
	end();
}

/* What may have been done, or would fail again, is the caller's matter. */
static void
no_other_error_is_asked_again(void)
{
	static const char *const states[] = {"55P03", "57014", "40003", "23505",
	    "XX000"};
	struct answer a;

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		make_flaky();
		CHECK(ASK(&a, STMT(Q_T_FLAKY, states[i], "1")) != RC_OK);
		CHECK_STR(a.error.sqlstate, states[i]);
		CHECK_INT(retries(), 0);
		end();
	}
}

static void
run_to_the_pause(void)
{
	while (TAILQ_EMPTY(&pool->again))
		wait_ms(1);
	timer_disarm(pool->again_timer); /* it stays there */
}

static void
who_forgets_meanwhile_is_not_served(void)
{
	struct answer a, b;
	struct db_req *r;

	make_flaky();
	r = SEND(&a, STMT(Q_T_FLAKY, DEADLOCK, "1"));
	run_to_the_pause();
	db_forget(r);
	CHECK(TAILQ_EMPTY(&pool->again));
	CHECK_INT(ASK(&b, STMT(Q_T_FLAKY, DEADLOCK, "1")), RC_OK);
	CHECK_INT(i64_of(&b, "n"), 2);
	CHECK_INT(a.calls, 0);
	end();
}

static void
the_pools_end_cancels_it(void)
{
	struct answer a;

	make_flaky();
	SEND(&a, STMT(Q_T_FLAKY, DEADLOCK, "1"));
	run_to_the_pause();
	db_pool_free(pool);
	pool = NULL;
	CHECK_INT(a.calls, 1);
	CHECK_INT(a.code, RC_CANCELLED);
	end();
}

CHECK_MAIN(CHECK_ROW(what_was_undone_is_asked_again_whole),
    CHECK_ROW(so_is_what_could_not_be_put_in_a_row),
    CHECK_ROW(it_is_told_in_the_end), CHECK_ROW(no_other_error_is_asked_again),
    CHECK_ROW(who_forgets_meanwhile_is_not_served),
    CHECK_ROW(the_pools_end_cancels_it))
