/*
 * An order is looked for in rounds: what the database is asked between two of
 * them, what the connector is told, and how it ends.
 */
#include <string.h>

#include "tests/unit/worker/outside_rig.h"

static const char *const serials[] = {"0F2A", "ABCdef", "no number",
    "0000000000000000000000000000000000000000001",
    "11111111111111111111111111111111111111111"};

static void
begin(int rounds)
{
	outside_begin();
	outside_t.state = "placing";
	outside_t.can_look_up = true;
	outside_t.rounds = rounds;
	outside_t.serials = serials;
	outside_t.nserials = sizeof(serials) / sizeof(serials[0]);
}

static void
test_what_is_stored_is_told(void)
{
	struct arena *a = arena_new();

	begin(1);
	outside_t.stored = "0000000000000000000000000000000000abcdef\n"
			   "0000000000000000000000000000000000000001";
	outside_t.looked = outside_answer(ISSUER_ISSUED,
	    outside_pem(a, OUTSIDE_NOW + 86400), "");
	outside_run();
	CHECK_STR(outside_t.compared,
	    "{\"0000000000000000000000000000000000000f2a\","
	    "\"0000000000000000000000000000000000abcdef\",\"\","
	    "\"0000000000000000000000000000000000000001\",\"\"}");
	CHECK_STR(outside_t.told, "ftftf");
	CHECK(outside_t.pem[0] != '\0');
	CHECK_INT(outside_t.look_ups, 2);
	CHECK_INT(outside_t.places, 0);
	outside_end();
	arena_free(a);
}

/* Much longer than one question may take, and than the op had. */
static void
test_many_rounds(void)
{
	begin(25);
	outside_t.delay_ms = 10000;
	outside_t.looked = outside_pending_answer("4711", 0);
	outside_run();
	CHECK_INT(outside_t.look_ups, 26);
	outside_check_aside("pending", true, "order 4711");
	outside_end();
	/* Somebody wants it cancelled: the order is followed to its end. */
	begin(2);
	outside_t.r->jobs[0].is_cancelled = true;
	outside_run();
	CHECK_INT(outside_t.look_ups, 3);
	CHECK_INT(outside_t.places, 0);
	CHECK_STR(outside_t.aside, "cancel");
	outside_end();
	/* There is none, and it is placed. */
	begin(2);
	outside_run();
	CHECK_INT(outside_t.look_ups, 3);
	CHECK_INT(outside_t.places, 1);
	outside_check_aside("refuse", false, "no");
	outside_end();
}

static void
test_too_many_rounds(void)
{
	begin(1000);
	outside_t.delay_ms = 10000;
	outside_run();
	CHECK_INT(outside_t.look_ups, 30);
	outside_check_aside("retry", true,
	    "5 minutes were not enough for what the CA lists (17 looked at so "
	    "far)");
	CHECK_INT(outside_t.places, 0);
	outside_end();
	/* It may not simply fail. */
	begin(1000);
	outside_t.is_last = true;
	outside_t.delay_ms = 10000;
	outside_run();
	outside_check_aside("uncertain", true, "5 minutes were not enough");
	outside_end();
}

static void
test_no_answer(void)
{
	begin(1);
	outside_t.delay_ms = -1;
	outside_run();
	outside_check_aside("retry", true, "no answer came in time");
	CHECK_INT(outside_t.look_ups, 1);
	outside_end();
}

/* The lease is another's: nothing is said of the job, nor ordered. */
static void
test_lost(void)
{
	begin(5);
	outside_t.lost_after = 2;
	outside_run();
	CHECK_INT(outside_t.look_ups, 2);
	CHECK_INT(outside_t.places, 0);
	CHECK_STR(outside_t.aside, "");
	outside_end();
}

static void
test_lost_trust(void)
{
	struct grant g = {.lease_id = 7, .issuer_id = "iss-1"};
	struct slot_end slot_end;

	begin(5);
	slot_end = rig_end(outside_t.r);
	slot_end.on_wait = outside_on_wait;
	outside_t.delay_ms = 1900;
	outside_t.r->is_down = true;
	(void)issue_start(&outside_t.r->env, &g, &slot_end);
	rig_run_until_ended(outside_t.r);
	CHECK_INT(outside_t.r->code, RC_LEASE_LOST);
	CHECK_INT(outside_t.look_ups, 1);
	CHECK_STR(outside_t.aside, "");
	rig_free(outside_t.r);
}

CHECK_MAIN(CHECK_ROW(test_what_is_stored_is_told), CHECK_ROW(test_many_rounds),
    CHECK_ROW(test_too_many_rounds), CHECK_ROW(test_no_answer),
    CHECK_ROW(test_lost), CHECK_ROW(test_lost_trust))
