/*
 * Requests on a healthy server: order, connections, deadlines, callbacks.
 */
#include "common/base/clock.h"
#include "common/db/db_int.h"
#include "tests/unit/common/db/test_db.h"

static void
requests_share_the_connections_in_order(void)
{
	struct db_opts o = opts_default();
	struct answer a[40];
	struct db_stats st;

	o.max_conns = 1;
	begin_with(&o);
	for (int i = 0; i < 40; i++)
		SEND(&a[i], STMT0(Q_PING));
	db_pool_stats(pool, &st);
	CHECK_INT(st.queued, 40);
	run_until(40);
	for (int i = 0; i < 40; i++) {
		CHECK_INT(a[i].code, RC_OK);
		CHECK_INT(a[i].order, i + 1);
	}
	db_pool_stats(pool, &st);
	CHECK_INT(st.open, 1);
	CHECK_INT(st.queued, 0);
	CHECK_INT(st.requests, 40);
	CHECK_INT(st.resets, 0);
	end();
}

static void
slow_requests_get_connections_up_to_the_ceiling(void)
{
	struct db_opts o = opts_default();
	struct answer a[9], met[3];
	struct db_stats st;
	int64_t start_ms;

	o.max_conns = 3;
	begin_with(&o);
	start_ms = loop_now_ms(loop);
	for (int i = 0; i < 9; i++)
		SEND(&a[i], STMT(Q_T_SLEEP, "0.1"));
	run_until(9);
	/* Never more than three at a time. */
	CHECK(loop_now_ms(loop) - start_ms >= 300);
	for (int i = 0; i < 9; i++)
		CHECK_INT(a[i].code, RC_OK);
	/* Never one after the other: each waits for the rest. */
	CHECK_INT(ASK(&met[0], STMT0(Q_T_MEET_MAKE)), RC_OK);
	for (int i = 0; i < 3; i++)
		SEND(&met[i], STMT(Q_T_MEET, "3"));
	run_until(3);
	for (int i = 0; i < 3; i++)
		CHECK_INT(met[i].code, RC_OK);
	db_pool_stats(pool, &st);
	CHECK_INT(st.open, 3);
	CHECK_INT(st.busy, 0);
	end();
}

static void
queue_deadline_answers_busy(void)
{
	struct db_opts o = opts_default();
	struct answer slow, late, after;
	struct db_stats st;

	o.max_conns = 1;
	o.queue_deadline_ms = 100;
	begin_with(&o);
	CHECK_INT(ASK(&slow, STMT0(Q_PING)), RC_OK);
	SEND(&slow, STMT(Q_T_SLEEP, "0.4"));
	SEND(&late, STMT0(Q_PING));
	run_until(1);
	CHECK_INT(late.code, RC_BUSY);
	CHECK_STR(late.error.sqlstate, "");
	CHECK_INT(slow.calls, 0);
	run_until(1);
	CHECK_INT(slow.code, RC_OK);
	CHECK_INT(ASK(&after, STMT0(Q_PING)), RC_OK);
	db_pool_stats(pool, &st);
	CHECK_INT(st.timeouts, 1);
	CHECK(st.waits_ms >= 100);
	CHECK_INT(st.ceiling, 1);
	CHECK_INT(late.calls, 1);
	end();
}

static void
eager_pool_connects_unasked(void)
{
	struct db_opts o = opts_default();
	struct db_stats st;

	o.is_eager = true;
	begin_with(&o);
	CHECK(db_pool_trouble(pool) != NULL);
	for (int i = 0; i < 100 && db_pool_trouble(pool); i++)
		wait_ms(20);
	CHECK(db_pool_trouble(pool) == NULL);
	db_pool_stats(pool, &st);
	CHECK_INT(st.open, 1);
	CHECK_INT(st.requests, 0);
	end();
}

/* Requests that wait in vain are no trouble while others are served. */
static void
busy_pool_is_no_trouble(void)
{
	struct db_opts o = opts_default();
	struct answer slow[8], late;
	struct db_stats st;

	o.max_conns = 1;
	o.queue_deadline_ms = 4500;
	begin_with(&o);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		SEND(&slow[i], STMT(Q_T_SLEEP, "0.7"));
	for (int i = 0; i < 52; i++) {
		wait_ms(100);
		CHECK(db_pool_trouble(pool) == NULL);
	}
	db_pool_stats(pool, &st);
	CHECK(st.timeouts > 0);
	CHECK_INT(ASK(&late, STMT0(Q_PING)), RC_OK);
	end();
}

static void
stalled_pool_is_trouble(void)
{
	struct db_opts o = opts_default();
	struct answer slow, late, later;

	o.max_conns = 1;
	o.queue_deadline_ms = 100;
	begin_with(&o);
	SEND(&slow, STMT(Q_T_SLEEP, "4"));
	wait_ms(200);
	SEND(&late, STMT0(Q_PING));
	wait_ms(200);
	CHECK_INT(late.code, RC_BUSY);
	CHECK(db_pool_trouble(pool) == NULL); /* not for long enough */
	wait_ms(3000);
	CHECK(db_pool_trouble(pool) != NULL);
	SEND(&later, STMT0(Q_PING)); /* nor is that one served */
	wait_ms(200);
	CHECK(db_pool_trouble(pool) != NULL);
	while (slow.calls == 0)
		wait_ms(50);
	CHECK(db_pool_trouble(pool) == NULL);
	end();
}

static void
forgotten_requests_do_not_call_back(void)
{
	struct db_opts o = opts_default();
	struct answer flying, queued, after;
	struct db_req *r1, *r2;
	struct db_stats st;

	o.max_conns = 1;
	begin_with(&o);
	make_table();
	r1 = SEND(&flying, STMT(Q_T_INSERT, "1", "x", NULL));
	r2 = SEND(&queued, STMT(Q_T_INSERT, "2", "x", NULL));
	db_forget(r1);
	db_forget(r2);
	db_forget(NULL);
	db_pool_stats(pool, &st);
	CHECK_INT(st.queued, 0);
	CHECK_INT(ASK(&after, STMT0(Q_T_COUNT)), RC_OK);
	CHECK_INT(i64_of(&after, "n"), 1); /* the one that was sent */
	CHECK_INT(flying.calls, 0);
	CHECK_INT(queued.calls, 0);
	end();
}

static void
what_is_forgotten_ends_where_the_pool_says_so(void)
{
	struct db_opts o = opts_default();
	struct answer flying, queued, after;
	struct db_req *r1, *r2;
	int looks = 300;

	o.max_conns = 2;
	o.statement_timeout_ms = 0;
	o.ends_forgotten = true;
	begin_with(&o);
	r1 = SEND(&flying, STMT(Q_T_SLEEP, "600"));
	CHECK_INT(ASK(&after, STMT0(Q_PING)), RC_OK);
	do {
		CHECK_INT(ASK(&after, STMT0(Q_T_SLEEPING)), RC_OK);
	} while (i64_of(&after, "n") == 0);
	r2 = SEND(&queued, STMT0(Q_PING));
	db_forget(r2);
	db_forget(r1);
	do {
		wait_ms(100);
		CHECK_INT(ASK(&after, STMT0(Q_T_SLEEPING)), RC_OK);
	} while (i64_of(&after, "n") > 0 && --looks > 0);
	CHECK_INT(i64_of(&after, "n"), 0);
	CHECK_INT(flying.calls, 0);
	CHECK_INT(queued.calls, 0);
	end();
}

static void
on_ask_again(void *arg, struct db_outcome *o)
{
	static const struct db_stmt ping = STMT0(Q_PING);
	int *left = arg;

	if (o->code != RC_OK || --*left == 0)
		loop_stop(loop);
	else
		(void)db_submit(pool, &ping, 1, on_ask_again, arg);
}

static void
callbacks_may_ask_again(void)
{
	static const struct db_stmt ping = STMT0(Q_PING);
	int left = 500;
	rc ret;

	begin();
	(void)db_submit(pool, &ping, 1, on_ask_again, &left);
	ret = loop_run(loop);
	CHECK_INT(ret, RC_OK);
	CHECK_INT(left, 0);
	end();
}

static struct answer again;

static void
on_cancelled(void *arg, struct db_outcome *o)
{
	on_answer(arg, o);
	SEND(&again, STMT0(Q_PING));
}

static void
free_cancels_what_is_left(void)
{
	static const struct db_stmt ping = STMT0(Q_PING);
	struct db_opts o = opts_default();
	struct answer flying, queued, first;

	o.max_conns = 1;
	begin_with(&o);
	CHECK_INT(ASK(&flying, STMT0(Q_PING)), RC_OK);
	SEND(&flying, STMT(Q_T_SLEEP, "5"));
	SEND(&queued, STMT0(Q_PING));
	memset(&first, 0, sizeof(first));
	(void)db_submit(pool, &ping, 1, on_cancelled, &first);
	db_pool_free(pool);
	pool = NULL;
	CHECK_INT(flying.calls, 1);
	CHECK_INT(flying.code, RC_CANCELLED);
	CHECK_INT(queued.calls, 1);
	CHECK_INT(queued.code, RC_CANCELLED);
	CHECK_INT(first.code, RC_CANCELLED);
	CHECK_INT(again.calls, 1); /* asked while closing */
	CHECK_INT(again.code, RC_CANCELLED);
	db_pool_free(NULL);
	end();
}

static void
surplus_connections_close_when_idle(void)
{
	struct db_opts o = opts_default();
	struct answer a[4];
	struct db_stats st;

	o.max_conns = 10; /* a fifth of it stays */
	begin_with(&o);
	for (int i = 0; i < 4; i++)
		SEND(&a[i], STMT(Q_T_SLEEP, "0.2"));
	run_until(4);
	timer_arm(pool->tick, 0);
	wait_ms(20);
	db_pool_stats(pool, &st);
	CHECK_INT(st.open, 4);
	clock_set_fake(clock_boot_ms() + DB_IDLE_MS + 1, clock_wall_us());
	timer_arm(pool->tick, 0);
	wait_ms(50);
	clock_set_fake(-1, 0);
	db_pool_stats(pool, &st);
	CHECK_INT(st.open, 2);
	CHECK_INT(ASK(&a[0], STMT0(Q_PING)), RC_OK);
	end();
}

CHECK_MAIN(CHECK_ROW(requests_share_the_connections_in_order),
    CHECK_ROW(slow_requests_get_connections_up_to_the_ceiling),
    CHECK_ROW(queue_deadline_answers_busy),
    CHECK_ROW(eager_pool_connects_unasked), CHECK_ROW(busy_pool_is_no_trouble),
    CHECK_ROW(stalled_pool_is_trouble),
    CHECK_ROW(forgotten_requests_do_not_call_back),
    CHECK_ROW(what_is_forgotten_ends_where_the_pool_says_so),
    CHECK_ROW(callbacks_may_ask_again), CHECK_ROW(free_cancels_what_is_left),
    CHECK_ROW(surplus_connections_close_when_idle))
