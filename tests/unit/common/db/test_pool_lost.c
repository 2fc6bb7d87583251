/*
 * The pool when the server, the network or the configuration fails it.
 */
#include <event2/event.h>

#include "common/base/clock.h"
#include "common/db/db_int.h"
#include "tests/unit/common/db/test_db.h"

static void
wrong_options_are_refused(void)
{
	struct db_opts o;
	struct db_pool *p = NULL;
	struct loop *sim = loop_new_sim(0);
	rc ret;

	begin();
	o = opts_default();
	o.url = "postgresql://user:secret@host/db?nonsense=1";
	ret = db_pool_new(loop, &o, &p);
	CHECK_INT(ret, RC_INVALID);
	o.url = "";
	ret = db_pool_new(loop, &o, &p);
	CHECK_INT(ret, RC_INVALID);
	o = opts_default();
	o.max_conns = 0;
	ret = db_pool_new(loop, &o, &p);
	CHECK_INT(ret, RC_INVALID);
	o.max_conns = 1001;
	ret = db_pool_new(loop, &o, &p);
	CHECK_INT(ret, RC_INVALID);
	o = opts_default();
	ret = db_pool_new(sim, &o, &p);
	CHECK_INT(ret, RC_INVALID);
	CHECK(p == NULL);
	loop_free(sim);
	end();
}

static void
inherited_variables_are_dropped(void)
{
	struct answer a;

	CHECK(setenv("PGHOST", "/nonexistent", 1) == 0);
	CHECK(setenv("PGOPTIONS", "-c work_mem=nonsense", 1) == 0);
	CHECK(setenv("PGSERVICE", "nonsense", 1) == 0);
	CHECK(setenv("PATH_OF_TEST", "kept", 1) == 0);
	begin();
	CHECK(getenv("PGHOST") == NULL);
	CHECK(getenv("PGOPTIONS") == NULL);
	CHECK(getenv("PGSERVICE") == NULL);
	CHECK_STR(getenv("PATH_OF_TEST"), "kept");
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	end();
}

static void
backend_that_dies_in_flight_is_unavailable(void)
{
	struct db_opts o = opts_default();
	struct answer slow, killer, after;
	struct db_stats st;
	struct db_pool *victim;

	o.application_name = "victim";
	begin_with(&o);
	victim = pool;
	SEND(&slow, STMT(Q_T_SLEEP, "20"));
	wait_ms(200);
	o.application_name = "killer";
	CHECK_INT(db_pool_new(loop, &o, &pool), RC_OK);
	SEND(&killer, STMT(Q_T_END_BY_NAME, "victim"));
	run_until(2);
	CHECK_INT(killer.code, RC_OK);
	CHECK_INT(i64_of(&killer, "n"), 1);
	CHECK_INT(slow.code, RC_UNAVAILABLE);
	CHECK_STR(slow.error.sqlstate, "57P01");
	db_pool_stats(victim, &st);
	CHECK_INT(st.resets, 1);
	db_pool_free(pool);
	pool = victim;
	CHECK_INT(ASK(&after, STMT0(Q_PING)), RC_OK);
	end();
}

static void
backend_that_ends_itself_is_unavailable(void)
{
	struct answer a;

	begin();
	CHECK_INT(ASK(&a, STMT0(Q_T_PID)), RC_OK);
	CHECK_INT(ASK(&a, STMT(Q_T_END_BACKEND, text_of(&a, "pid")),
		      STMT0(Q_PING)),
	    RC_UNAVAILABLE);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	end();
}

static void
restart_while_idle_costs_nothing(void)
{
	struct answer a[3];
	struct db_stats st;

	begin();
	for (int i = 0; i < 3; i++)
		SEND(&a[i], STMT(Q_T_SLEEP, "0.1"));
	run_until(3);
	db_pool_stats(pool, &st);
	CHECK_INT(st.open, 3);
	server("restart");
	for (int i = 0; i < 3; i++)
		SEND(&a[i], STMT0(Q_PING));
	run_until(3);
	for (int i = 0; i < 3; i++)
		CHECK_INT(a[i].code, RC_OK);
	db_pool_stats(pool, &st);
	CHECK_INT(st.resets, 3);
	end();
}

static void
restart_in_flight_is_unavailable_then_well(void)
{
	struct answer slow, a;

	begin();
	SEND(&slow, STMT(Q_T_SLEEP, "20"));
	wait_ms(200);
	server("restart");
	if (slow.calls == 0)
		run_until(1);
	CHECK_INT(slow.calls, 1);
	CHECK_INT(slow.code, RC_UNAVAILABLE);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	end();
}

static void
requests_wait_for_a_server_that_is_down(void)
{
	struct db_opts o = opts_default();
	struct answer waits, a;
	struct db_stats st;

	begin_with(&o);
	CHECK(db_pool_trouble(pool) == NULL); /* nothing failed yet */
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	CHECK(db_pool_trouble(pool) == NULL);
	server("stop");
	wait_ms(300);
	CHECK(db_pool_trouble(pool) != NULL); /* found out by itself */
	SEND(&waits, STMT0(Q_PING));
	wait_ms(300);
	CHECK_INT(waits.calls, 0);
	server("start");
	if (waits.calls == 0)
		run_until(1);
	CHECK_INT(waits.code, RC_OK);
	CHECK(db_pool_trouble(pool) == NULL);
	db_pool_stats(pool, &st);
	CHECK_INT(st.timeouts, 0);
	end();
}

static void
health_returns_without_a_request(void)
{
	struct answer a;

	begin();
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	server("stop");
	wait_ms(300);
	CHECK(db_pool_trouble(pool) != NULL);
	server("start");
	for (int i = 0; i < 100 && db_pool_trouble(pool); i++)
		wait_ms(50);
	CHECK(db_pool_trouble(pool) == NULL);
	end();
}

static void
waiting_for_a_server_that_is_down_ends_as_busy(void)
{
	struct db_opts o = opts_default();
	struct answer a;
	int64_t start_ms;

	o.url = "postgresql:///x?host=/nonexistent&user=nobody";
	o.queue_deadline_ms = 200;
	begin_with(&o);
	start_ms = loop_now_ms(loop);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_BUSY);
	CHECK(loop_now_ms(loop) - start_ms >= 199);
	CHECK(loop_now_ms(loop) - start_ms < 2000);
	CHECK(db_pool_trouble(pool) != NULL);
	end();
}

static void
dead_network_is_noticed(void)
{
	struct answer a;

	begin();
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	SEND(&a, STMT(Q_T_SLEEP, "10"));
	wait_ms(20);
	/* Far beyond what the statement timeout allows. */
	clock_set_fake(clock_boot_ms() + 20000 + DB_SILENCE_MS + 100,
	    clock_wall_us());
	timer_arm(pool->tick, 0);
	run_until(1);
	clock_set_fake(-1, 0);
	CHECK_INT(a.code, RC_UNAVAILABLE);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	end();
}

CHECK_MAIN(CHECK_ROW(wrong_options_are_refused),
    CHECK_ROW(inherited_variables_are_dropped),
    CHECK_ROW(backend_that_dies_in_flight_is_unavailable),
    CHECK_ROW(backend_that_ends_itself_is_unavailable),
    CHECK_ROW(restart_while_idle_costs_nothing),
    CHECK_ROW(restart_in_flight_is_unavailable_then_well),
    CHECK_ROW(requests_wait_for_a_server_that_is_down),
    CHECK_ROW(health_returns_without_a_request),
    CHECK_ROW(waiting_for_a_server_that_is_down_ends_as_busy),
    CHECK_ROW(dead_network_is_noticed))
