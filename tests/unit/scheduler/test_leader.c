#include "scheduler/leader.h"

#include <stdio.h>

#include "common/loop/loop_int.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

#define COLS "left_ms|term|is_new|is_behind"
#define HOLD "inc|nonce|1000"

struct rig {
	struct loop *loop;
	struct db_pool *pool;
	struct leader *leader;
	int led, lost;
	uint64_t term;
};

static void
on_lead(void *arg, uint64_t term)
{
	struct rig *r = arg;

	r->led++;
	r->term = term;
}

static void
on_lost(void *arg)
{
	struct rig *r = arg;

	r->lost++;
}

static void
rig_start(struct rig *r)
{
	struct leader_opts opts = {
	    .incarnation = "inc",
	    .nonce = "nonce",
	    .on_lead = on_lead,
	    .on_lost = on_lost,
	    .arg = r,
	};

	*r = (struct rig){.loop = loop_new_sim(1000)};
	r->pool = db_script_new(r->loop);
	opts.loop = r->loop;
	opts.pool = r->pool;
	r->leader = leader_new(&opts);
	leader_start(r->leader);
}

static void
rig_end(struct rig *r)
{
	leader_free(r->leader);
	db_pool_free(r->pool);
	loop_free(r->loop);
}

static void
expect(struct rig *r, const char *row)
{
	char full[64];

	(void)snprintf(full, sizeof(full), "%s|f", row);
	db_script_expect(r->pool, Q_LEADER_HOLD, HOLD);
	db_script_rows(r->pool, COLS, full);
}

static void
takes_and_renews(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "0|4|t");
	loop_sim_advance(r.loop, 1);
	CHECK_INT(r.led, 1);
	CHECK_INT(r.term, 4);
	CHECK(leader_is_trusted(r.leader));
	for (int i = 0; i < 8; i++) {
		expect(&r, "1000|4|f");
		loop_sim_advance(r.loop, LEADER_RENEW_MS);
		CHECK(db_script_is_done(r.pool));
		CHECK(leader_is_trusted(r.leader));
	}
	CHECK_INT(r.led, 1);
	CHECK_INT(r.lost, 0);
	rig_end(&r);
}

/* Trust counts from when the renewal was sent, not from its answer. */
static void
trust_ends_before_the_lease(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "0|4|t");
	db_script_after(r.pool, 200);
	db_script_expect(r.pool, Q_LEADER_HOLD, HOLD);
	db_script_after(r.pool, -1);
	loop_sim_advance(r.loop, 899);
	CHECK_INT(r.led, 1);
	CHECK(leader_is_trusted(r.leader));
	loop_sim_advance(r.loop, 1);
	CHECK(!leader_is_trusted(r.leader));
	CHECK_INT(r.lost, 1);
	rig_end(&r);
}

static void
an_answer_too_late_is_worth_nothing(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "0|4|t");
	db_script_after(r.pool, 900);
	loop_sim_advance(r.loop, 900);
	CHECK_INT(r.led, 0);
	expect(&r, "200|4|f");
	loop_sim_advance(r.loop, 400);
	/* The row is ours and the renewal was quick: the term goes on. */
	CHECK_INT(r.led, 1);
	CHECK_INT(r.term, 4);
	rig_end(&r);
}

static void
a_standby_comes_back_just_after_the_lease(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "100|\\N|\\N");
	loop_sim_advance(r.loop, 100);
	CHECK(db_script_is_done(r.pool));
	CHECK_INT(r.led, 0);
	expect(&r, "0|5|t");
	loop_sim_advance(r.loop, 11);
	CHECK_INT(r.led, 1);
	CHECK_INT(r.term, 5);
	rig_end(&r);
}

static void
count_tries(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	++*(int *)arg;
	db_script_rows(p, COLS, "900|\\N|\\N|f");
}

static void
a_standby_tries_every_quarter_second(void)
{
	struct rig r;
	int tries = 0;

	rig_start(&r);
	db_script_on(r.pool, Q_LEADER_HOLD, count_tries, &tries);
	loop_sim_advance(r.loop, 100000);
	CHECK(tries > 385 && tries < 415);
	CHECK_INT(r.led, 0);
	rig_end(&r);
}

static void
somebody_else_took_it(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "0|4|t");
	expect(&r, "700|\\N|\\N");
	loop_sim_advance(r.loop, 300);
	CHECK_INT(r.led, 1);
	CHECK_INT(r.lost, 1);
	CHECK_INT(leader_term(r.leader), 0);
	rig_end(&r);
}

/* A new term found while we believe in the old: both callbacks run. */
static void
lost_and_taken_again(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "0|4|t");
	expect(&r, "0|6|t");
	loop_sim_advance(r.loop, 300);
	CHECK_INT(r.lost, 1);
	CHECK_INT(r.led, 2);
	CHECK_INT(r.term, 6);
	rig_end(&r);
}

static void
the_database_says_the_term_is_over(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "0|4|t");
	loop_sim_advance(r.loop, 10);
	leader_distrust(r.leader, 3, "an old statement");
	CHECK_INT(r.lost, 0);
	leader_distrust(r.leader, 4, "term 4 is over");
	CHECK_INT(r.lost, 1);
	CHECK(!leader_is_trusted(r.leader));
	rig_end(&r);
}

/* The clock jumps while the process stands still. */
static void
a_stopped_process_distrusts_itself(void)
{
	struct rig r;

	rig_start(&r);
	expect(&r, "0|4|t");
	loop_sim_advance(r.loop, 10);
	CHECK(leader_is_trusted(r.leader));
	r.loop->sim_now_ms += 5000;
	CHECK(!leader_is_trusted(r.leader));
	CHECK(!leader_check(r.leader));
	CHECK_INT(r.lost, 1);
	rig_end(&r);
}

static void
failures_do_not_end_the_tries(void)
{
	struct rig r;

	rig_start(&r);
	for (int i = 0; i < 3; i++) {
		db_script_expect(r.pool, Q_LEADER_HOLD, HOLD);
		db_script_code(r.pool, RC_UNAVAILABLE);
	}
	expect(&r, "0|9|t");
	loop_sim_advance(r.loop, 3 * 275 + 1);
	CHECK(db_script_is_done(r.pool));
	CHECK_INT(r.led, 1);
	rig_end(&r);
}

static void
on_released(void *arg)
{
	*(bool *)arg = true;
}

static void
an_orderly_stop_gives_it_back(void)
{
	struct rig r;
	bool released = false;

	rig_start(&r);
	expect(&r, "0|4|t");
	loop_sim_advance(r.loop, 10);
	db_script_expect(r.pool, Q_LEADER_RELEASE, "inc|nonce");
	leader_release(r.leader, on_released, &released);
	CHECK_INT(r.lost, 1);
	CHECK(!leader_is_trusted(r.leader));
	loop_sim_advance(r.loop, 2000); /* and no try after it */
	CHECK(released);
	CHECK(db_script_is_done(r.pool));
	rig_end(&r);
}

/* A database that is gone does not keep a scheduler from stopping. */
static void
a_stop_without_an_answer(void)
{
	struct rig r;
	bool released = false;

	rig_start(&r);
	expect(&r, "0|4|t");
	loop_sim_advance(r.loop, 10);
	db_script_expect(r.pool, Q_LEADER_RELEASE, "inc|nonce");
	db_script_after(r.pool, -1);
	leader_release(r.leader, on_released, &released);
	loop_sim_advance(r.loop, 999);
	CHECK(!released);
	loop_sim_advance(r.loop, 1);
	CHECK(released);
	rig_end(&r);
}

CHECK_MAIN(CHECK_ROW(takes_and_renews), CHECK_ROW(trust_ends_before_the_lease),
    CHECK_ROW(an_answer_too_late_is_worth_nothing),
    CHECK_ROW(a_standby_comes_back_just_after_the_lease),
    CHECK_ROW(a_standby_tries_every_quarter_second),
    CHECK_ROW(somebody_else_took_it), CHECK_ROW(lost_and_taken_again),
    CHECK_ROW(the_database_says_the_term_is_over),
    CHECK_ROW(a_stopped_process_distrusts_itself),
    CHECK_ROW(failures_do_not_end_the_tries),
    CHECK_ROW(an_orderly_stop_gives_it_back),
    CHECK_ROW(a_stop_without_an_answer))
