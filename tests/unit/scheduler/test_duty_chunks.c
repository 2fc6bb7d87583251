/*
 * test_duty_chunks: duties that take many rows, a chunk at a time: how far one
 * run goes, when the next comes after a failure, and what switches them off.
 */
#include "scheduler/duty.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/scheduler/duty_rig.h"

static void
one_that_is_off_says_why_and_never_runs(void)
{
	struct rig r;

	rig_retention_ms = 0;
	rig_start(&r, rig_retention, 1, 1000, "job_retention|-1|\\N|t|f");
	rig_retention_ms = 720000;
	loop_sim_advance(r.loop, HOUR);
	CHECK_INT(r.begun, 0);
	CHECK(strstr(r.offs, "CERTCTL_JOB_RETENTION is 0"));
	rig_end(&r);
}

static void
an_interval_of_0_switches_it_off(void)
{
	struct rig r;

	rig_start(&r, rig_retention, 1, 0, "job_retention|-1|\\N|t|f");
	loop_sim_advance(r.loop, HOUR);
	CHECK_INT(r.begun, 0);
	CHECK(strstr(r.offs, "its interval is 0, which switches it off"));
	rig_end(&r);
}

/* With a pause between two chunks, and only as long as its bound. */
static void
what_can_wait_leaves_room_for_others(void)
{
	struct rig r;

	rig_start(&r, rig_retention, 1, HOUR, "");
	r.chunks = 11;
	loop_sim_advance(r.loop, 400);
	CHECK_INT(r.ended, 0);
	CHECK(r.chunks > 0);
	loop_sim_advance(r.loop, 400);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.rows_ended, 10 * 400 + 7);
	CHECK_STR(r.offs, "{\"\"}");
	rig_end(&r);
	rig_start(&r, rig_retention, 1, HOUR, "");
	r.chunks = 1000000;
	loop_sim_advance(r.loop, 21000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "ok");
	CHECK(1000000 - r.chunks > 300 && 1000000 - r.chunks <= 401);
	rig_end(&r);
}

/* Not an hour later; and what goes on failing is left more and more alone. */
static void
one_that_failed_runs_again_soon(void)
{
	struct rig r;
	int begun;

	rig_start(&r, rig_retention, 1, HOUR, "");
	r.is_away = true;
	loop_sim_advance(r.loop, 4400);
	CHECK_INT(r.begun, 1);
	CHECK_STR(r.outcome, "unavailable");
	loop_sim_advance(r.loop, 1200);
	CHECK_INT(r.begun, 2);
	loop_sim_advance(r.loop, HOUR);
	begun = r.begun;
	CHECK(begun > 8 && begun < 14);
	loop_sim_advance(r.loop, 10 * HOUR);
	CHECK(r.begun - begun >= 9 && r.begun - begun <= 12);
	r.is_away = false;
	r.chunks = 1;
	loop_sim_advance(r.loop, 2 * HOUR);
	CHECK_STR(r.outcome, "ok");
	begun = r.begun;
	loop_sim_advance(r.loop, 10 * HOUR);
	CHECK(r.begun - begun >= 9 && r.begun - begun <= 12);
	rig_end(&r);
}

static void
a_scan_goes_on_until_a_short_chunk(void)
{
	struct rig r;

	rig_start(&r, rig_scan, 1, HOUR, "");
	r.chunks_left = 5;
	r.chunk_enqueued = 999;
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.rows_ended, 5 * 999 + 1);
	CHECK_INT(r.left, 1);
	CHECK(strstr(r.events, "{\"agents\":[\"agent-1\"]}"));
	rig_end(&r);
}

static void
a_scan_stops_at_its_budget(void)
{
	struct rig r;

	rig_start(&r, rig_scan, 1, 60000, "");
	r.chunks_left = 1000000;
	r.chunk_enqueued = 1000;
	r.chunk_ms = 1000;
	loop_sim_advance(r.loop, 59000);
	CHECK_INT(r.ended, 0);
	loop_sim_advance(r.loop, 7000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "ok");
	CHECK_INT(r.left, 1);
	CHECK(r.rows_ended >= 59000 && r.rows_ended <= 61000);
	rig_end(&r);
}

/* A chunk of rows that were set aside has others behind it. */
static void
a_scan_goes_past_what_is_skipped(void)
{
	struct rig r;

	rig_start(&r, rig_scan, 1, HOUR, "");
	r.chunks_left = 5;
	loop_sim_advance(r.loop, 100);
	CHECK_INT(r.ended, 1);
	CHECK_INT(r.chunks_left, -1);
	CHECK_INT(r.rows_ended, 1);
	rig_end(&r);
}

static void
what_cannot_wait_runs_beside_the_ticks(void)
{
	struct rig r;

	rig_start(&r, rig_scan, 1, HOUR, "renewal_scan|10|3000000|f|t");
	loop_sim_advance(r.loop, 5500);
	CHECK(r.ended >= 4 && r.ended <= 6); /* a look a second */
	CHECK_INT(r.budgets, 0);
	CHECK(strtoll(r.next, NULL, 10) > 2990000);
	r.rows = "renewal_scan|10|3000000|f|f";
	loop_sim_advance(r.loop, 1500);
	r.begun = 0;
	loop_sim_advance(r.loop, 2990000);
	CHECK_INT(r.begun, 0);
	loop_sim_advance(r.loop, 10000);
	CHECK_INT(r.begun, 1);
	CHECK_INT(r.budgets, 1);
	rig_end(&r);
}

static void
what_failed_is_not_woken(void)
{
	struct rig r;

	rig_start(&r, rig_retention, 1, HOUR, "job_retention|10|0|f|t");
	r.is_away = true;
	loop_sim_advance(r.loop, 4000);
	CHECK_INT(r.ended, 1);
	CHECK_STR(r.outcome, "unavailable");
	loop_sim_advance(r.loop, 2000);
	CHECK_INT(r.ended, 2); /* its own way, after five seconds */
	rig_end(&r);
}

CHECK_MAIN(CHECK_ROW(one_that_is_off_says_why_and_never_runs),
    CHECK_ROW(an_interval_of_0_switches_it_off),
    CHECK_ROW(what_can_wait_leaves_room_for_others),
    CHECK_ROW(one_that_failed_runs_again_soon),
    CHECK_ROW(a_scan_goes_on_until_a_short_chunk),
    CHECK_ROW(a_scan_stops_at_its_budget),
    CHECK_ROW(a_scan_goes_past_what_is_skipped),
    CHECK_ROW(what_cannot_wait_runs_beside_the_ticks),
    CHECK_ROW(what_failed_is_not_woken))
