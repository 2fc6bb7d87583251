/*
 * test_duty: when duties run, how many at a time, and what ends their runs.
 */
#include "scheduler/duty.h"

#include <stdlib.h>

#include "tests/unit/check.h"
#include "tests/unit/scheduler/duty_rig.h"

static void
a_duty_that_never_ran_is_due_at_once(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, HOUR, "");
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "ok");
	loop_sim_advance(r.loop, HOUR * 9 / 10 - 200);
	CHECK_INT(r.begun, 1);
	loop_sim_advance(r.loop, HOUR * 2 / 10 + 400);
	CHECK_INT(r.begun, 2);
	rig_end(&r);
}

static void
a_new_leader_goes_on_where_the_last_was(void)
{
	struct rig r;

	/* It ran fifty minutes ago: due in four to sixteen. */
	rig_start(&r, rig_one, 1, HOUR, "one|3000000|\\N|f|f\nother|1|5|t|f");
	loop_sim_advance(r.loop, 239000);
	CHECK_INT(r.begun, 0);
	loop_sim_advance(r.loop, 722000);
	CHECK_INT(r.begun, 1);
	rig_end(&r);
}

/* What the last leader planned holds, however long ago the last run was. */
static void
a_planned_run_keeps_its_time(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, HOUR, "one|3590000|60000|f|f");
	loop_sim_advance(r.loop, 59000);
	CHECK_INT(r.begun, 0);
	CHECK_INT(r.registered, 1);
	loop_sim_advance(r.loop, 2000);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.registered, 1);
	/* The next is an hour away, give or take a tenth. */
	CHECK(strtoll(r.next, NULL, 10) >= HOUR * 9 / 10);
	CHECK(strtoll(r.next, NULL, 10) <= HOUR * 11 / 10);
	rig_end(&r);
}

static void
an_overdue_one_runs_once(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, HOUR, "one|99999999|0|f|f");
	loop_sim_advance(r.loop, 60000);
	CHECK_INT(r.begun, 1);
	rig_end(&r);
}

static void
every_tick_is_moved_a_little(void)
{
	struct rig r;
	int64_t least = INT64_MAX, most = 0, sum = 0;

	rig_start(&r, rig_one, 1, 1000, "");
	while (r.begun < 301)
		loop_sim_advance(r.loop, 1000);
	for (int i = 1; i <= 300; i++) {
		int64_t gap = r.began_ms[i] - r.began_ms[i - 1];

		least = gap < least ? gap : least;
		most = gap > most ? gap : most;
		sum += gap;
	}
	CHECK(least >= 895 && least < 930);
	CHECK(most <= 1105 && most > 1070);
	CHECK(sum / 300 > 970 && sum / 300 < 1030);
	rig_end(&r);
}

static void
never_twice_at_the_same_time(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, 1000, "");
	r.run_ms = 3500;
	loop_sim_advance(r.loop, 3400);
	CHECK_INT(r.begun, 1);
	CHECK_INT(duties_running(r.duties), 1);
	loop_sim_advance(r.loop, 1500);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.skips, "3");
	CHECK_INT(r.begun, 2); /* missed ticks are not made up */
	rig_end(&r);
}

static void
a_few_at_a_time(void)
{
	struct rig r;

	rig_start(&r, rig_four, 4, HOUR, "");
	r.run_ms = 1000;
	loop_sim_advance(r.loop, 900);
	CHECK_INT(r.begun, DUTY_RUNNING_MAX);
	loop_sim_advance(r.loop, 3000);
	CHECK_INT(r.begun, 4);
	CHECK_INT(r.ended, 4);
	rig_end(&r);
}

static void
a_run_is_bounded(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, HOUR, "");
	r.run_ms = HOUR * 2;
	loop_sim_advance(r.loop, 69000);
	CHECK_INT(r.ended, 0);
	loop_sim_advance(r.loop, 2000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "timeout");
	CHECK(r.error[0]);
	CHECK_INT(duties_running(r.duties), 0);
	rig_end(&r);
}

static void
somebody_asked_for_it(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, HOUR, "one|10|3000000|f|f");
	loop_sim_advance(r.loop, 5000);
	CHECK_INT(r.begun, 0);
	r.rows = "one|10|3000000|t|f";
	loop_sim_advance(r.loop, 1100);
	CHECK_INT(r.begun, 1);
	rig_end(&r);
}

static void
leadership_ends_runs(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, HOUR, "");
	r.run_ms = 1000;
	loop_sim_advance(r.loop, 500);
	CHECK_INT(duties_running(r.duties), 1);
	duties_stop(r.duties);
	CHECK_INT(duties_running(r.duties), 0);
	loop_sim_advance(r.loop, HOUR);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.ended, 0); /* the row keeps saying running */
	rig_end(&r);
}

static void
the_term_is_over(void)
{
	struct rig r;

	rig_start(&r, rig_one, 1, HOUR, "");
	r.is_term_over = true;
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.lost, 1);
	CHECK_INT(r.ended, 0);
	rig_end(&r);
}

CHECK_MAIN(CHECK_ROW(a_duty_that_never_ran_is_due_at_once),
    CHECK_ROW(a_new_leader_goes_on_where_the_last_was),
    CHECK_ROW(a_planned_run_keeps_its_time),
    CHECK_ROW(an_overdue_one_runs_once),
    CHECK_ROW(every_tick_is_moved_a_little),
    CHECK_ROW(never_twice_at_the_same_time), CHECK_ROW(a_few_at_a_time),
    CHECK_ROW(a_run_is_bounded), CHECK_ROW(somebody_asked_for_it),
    CHECK_ROW(leadership_ends_runs), CHECK_ROW(the_term_is_over))
