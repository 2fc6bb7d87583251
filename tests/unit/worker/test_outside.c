/*
 * One job of a CA outside is placed, or its order found again: what is
 * committed before anything leaves, and what becomes of every answer and of
 * none.
 */
#include <string.h>

#include "tests/unit/worker/outside_rig.h"

static void
test_issued(void)
{
	struct arena *a = arena_new();
	const char *pem = outside_pem(a, OUTSIDE_NOW + 86400);

	outside_begin();
	outside_t.placed = outside_answer(ISSUER_ISSUED, pem, "");
	outside_run();
	CHECK_STR(outside_t.pem, pem);
	CHECK_STR(outside_t.serial, "5000000000000000000000000000000000000009");
	CHECK_STR(outside_t.aside, "");
	CHECK_INT(outside_t.places, 1);
	CHECK(outside_t.placed_first);
	CHECK_STR(outside_t.r->hint, "{\"agents\":[\"agent-1\"],"
				     "\"finished\":[\"job-00\"]}");
	outside_end();
	arena_free(a);
}

static void
test_wrong_certificate(void)
{
	struct arena *a = arena_new();

	outside_begin();
	outside_t.placed =
	    outside_answer(ISSUER_ISSUED, outside_pem(a, OUTSIDE_NOW - 1), "");
	outside_run();
	outside_check_aside("wrong", true, "it expired at");
	CHECK(strstr(outside_t.error, "serial number is 50000") != NULL);
	outside_end();
	outside_begin();
	outside_t.placed = outside_answer(ISSUER_ISSUED, "<html>", "");
	outside_run();
	outside_check_aside("wrong", true, "there is no certificate in it");
	outside_end();
	arena_free(a);
}

static void
test_refused(void)
{
	outside_begin();
	outside_run();
	outside_check_aside("refuse", false, "the CA refused: no");
	CHECK_INT(outside_t.look_ups, 0);
	CHECK_STR(outside_t.order, "{\"wait_ms\":0}");
	outside_end();
	/* It asked for so much time. */
	outside_begin();
	outside_t.placed.retry_after_s = 90;
	outside_run();
	outside_check_aside("refuse", false, "the CA refused: no");
	CHECK_STR(outside_t.order, "{\"wait_ms\":90000}");
	outside_end();
	/* For good: the same again would be refused again. */
	outside_begin();
	outside_t.placed =
	    outside_answer(ISSUER_REFUSED, NULL, "no such product");
	outside_run();
	outside_check_aside("fail", false, "the CA refused: no such product");
	outside_end();
}

static void
test_unsure(void)
{
	outside_begin();
	outside_t.placed = outside_answer(ISSUER_UNSURE, NULL, "it hung up");
	outside_run();
	outside_check_aside("uncertain", true,
	    "order uncertain: it hung up. The CA");
	CHECK(strstr(outside_t.error, "certctl jobs cancel job-00") != NULL);
	CHECK_INT(outside_t.places, 1);
	outside_end();
	/* No answer at all. */
	outside_begin();
	outside_t.delay_ms = -1;
	outside_run();
	outside_check_aside("uncertain", true, "no answer came in time");
	outside_end();
	/* With a look-up: the CA says that there is none. */
	outside_begin();
	outside_t.can_look_up = true;
	outside_t.placed = outside_answer(ISSUER_UNSURE, NULL, "it hung up");
	outside_run();
	outside_check_aside("retry", true, "has no such order");
	CHECK_INT(outside_t.places, 1);
	CHECK_INT(outside_t.look_ups, 1);
	outside_end();
}

static void
test_open_order_is_adopted(void)
{
	struct arena *a = arena_new();

	outside_begin();
	outside_t.state = "placing";
	outside_t.can_look_up = true;
	outside_t.looked = outside_answer(ISSUER_ISSUED,
	    outside_pem(a, OUTSIDE_NOW + 86400), "");
	/* Somebody wanted it cancelled, too late. */
	outside_t.r->jobs[0].is_cancelled = true;
	outside_run();
	CHECK(outside_t.pem[0] != '\0');
	CHECK_INT(outside_t.places, 0);
	CHECK_INT(outside_t.placings, 0);
	outside_end();
	arena_free(a);
}

static void
test_open_order_that_is_none(void)
{
	outside_begin();
	outside_t.state = "placing";
	outside_t.can_look_up = true;
	outside_run();
	CHECK_INT(outside_t.look_ups, 1);
	CHECK_INT(outside_t.places, 1);
	CHECK(outside_t.placed_first);
	outside_check_aside("refuse", false, "no");
	outside_end();
	outside_begin();
	outside_t.state = "placing";
	outside_t.can_look_up = true;
	outside_t.r->jobs[0].is_cancelled = true;
	outside_run();
	CHECK_INT(outside_t.places, 0);
	CHECK_STR(outside_t.aside, "cancel");
	outside_end();
}

static void
test_open_order_that_nobody_knows(void)
{
	outside_begin();
	outside_t.state = "placing";
	outside_run();
	outside_check_aside("uncertain", true, "has no look-up");
	CHECK_INT(outside_t.places, 0);
	outside_end();
	outside_begin();
	outside_t.state = "placing";
	outside_t.can_look_up = true;
	outside_t.looked = outside_answer(ISSUER_RETRY, NULL, "closed");
	outside_run();
	outside_check_aside("retry", true, "could not be looked up: closed");
	CHECK_INT(outside_t.places, 0);
	outside_end();
	/* It may not simply fail. */
	outside_begin();
	outside_t.state = "placing";
	outside_t.can_look_up = true;
	outside_t.is_last = true;
	outside_t.looked = outside_answer(ISSUER_RETRY, NULL, "closed");
	outside_run();
	outside_check_aside("uncertain", true, "closed");
	outside_end();
	outside_begin();
	outside_t.state = "placing";
	outside_t.is_last = true;
	outside_t.open_why = "sign_script is missing";
	outside_run();
	outside_check_aside("uncertain", true, "sign_script is missing");
	outside_end();
}

static void
test_pending(void)
{
	outside_begin();
	outside_t.placed = outside_pending_answer("4711", 0);
	outside_run();
	outside_check_aside("pending", true,
	    "pending: the CA has order 4711, and works on it: processing");
	outside_check_about(outside_order_wait_ms("4711", 0), 5000);
	CHECK_STR(outside_t.r->hint, "");
	outside_end();
	outside_begin();
	outside_t.placed = outside_pending_answer("4711", 60);
	outside_run();
	CHECK_INT(outside_order_wait_ms("4711", 0), 60000);
	outside_end();
	/* Whoever placed it did not come back: it is adopted. */
	outside_begin();
	outside_t.state = "placing";
	outside_t.can_look_up = true;
	outside_t.looked = outside_pending_answer("4711", 0);
	outside_run();
	outside_check_aside("pending", true, "order 4711");
	outside_check_about(outside_order_wait_ms("4711", 0), 5000);
	CHECK_INT(outside_t.places, 0);
	outside_end();
}

/* A connector with steps of its own says when the next is due, and what it
 * needs to know then. */
static void
test_own_steps(void)
{
	outside_begin();
	outside_t.placed = outside_pending_answer("4711", 0);
	outside_t.placed.wait_ms = 1500;
	outside_t.placed.note = "p1:20";
	outside_run();
	CHECK_STR(outside_t.order, "{\"order_id\":\"4711\",\"polls\":0,"
				   "\"note\":\"p1:20\",\"wait_ms\":1500}");
	outside_end();
	/* No sooner than the CA asked for. */
	outside_begin();
	outside_t.placed = outside_pending_answer("4711", 60);
	outside_t.placed.wait_ms = 1500;
	outside_run();
	CHECK_INT(outside_order_wait_ms("4711", 0), 60000);
	outside_end();
	/* Past its limit it is asked once an hour, whosever step is next; what
	 * was noted stays. */
	outside_begin_ordered(3, 700000);
	outside_t.note = "p1:20";
	outside_t.poll = outside_pending_answer("4711", 0);
	outside_t.poll.wait_ms = 1500;
	outside_run();
	outside_check_about(outside_order_wait_ms("4711", 4), 3600000);
	outside_end();
	/* Of another order nothing was noted. */
	outside_begin();
	outside_t.state = "placing";
	outside_t.note = "p1:20";
	outside_t.can_look_up = true;
	outside_t.looked = outside_pending_answer("4711", 0);
	outside_run();
	CHECK(strstr(outside_t.order, "\"note\":\"\"") != NULL);
	outside_end();
}

static void
test_nothing_leaves(void)
{
	outside_begin();
	outside_t.r->jobs[0].is_cancelled = true;
	outside_run();
	outside_check_aside("cancel", false, "cancelled before it was ordered");
	CHECK_INT(outside_t.placings, 0);
	outside_end();
	outside_begin();
	outside_t.outcome = "cancelled";
	outside_run();
	outside_check_aside("cancel", false, "cancelled before it was ordered");
	CHECK_INT(outside_t.places, 0);
	outside_end();
	outside_begin();
	outside_t.outcome = "held";
	outside_run();
	outside_check_aside("held", false,
	    "given back before it was ordered: somebody's open transaction "
	    "held its row");
	CHECK_INT(outside_t.places, 0);
	outside_end();
	outside_begin();
	outside_t.outcome = NULL; /* the lease is another's */
	outside_run();
	CHECK_INT(outside_t.places, 0);
	CHECK_STR(outside_t.aside, "");
	outside_end();
	outside_begin();
	outside_t.placing_ms = 2500; /* too late to send it */
	outside_run();
	CHECK_INT(outside_t.places, 0);
	outside_check_aside("release", false, "");
	outside_end();
	outside_begin();
	outside_t.open_why = "sign_script is missing";
	outside_run();
	outside_check_aside("retry", false,
	    "cannot be used: sign_script is missing");
	CHECK_INT(outside_t.placings, 0);
	outside_end();
	outside_begin();
	outside_t.place_code = RC_IO;
	outside_run();
	outside_check_aside("release", false, "could not be sent: ");
	outside_end();
	outside_begin();
	outside_t.r->jobs[0].csr_pem = "rubbish";
	outside_run();
	outside_check_aside("fail", false, "the CSR is not usable");
	outside_end();
}

/* Trust ends while the intent is on its way: nothing leaves any more. */
static void
test_lost_trust(void)
{
	struct grant g = {.lease_id = 7, .issuer_id = "iss-1"};
	struct slot_end slot_end;

	outside_begin();
	slot_end = rig_end(outside_t.r);
	slot_end.on_wait = outside_on_wait;
	outside_t.placing_ms = 1900;
	outside_t.r->is_down = true;
	(void)issue_start(&outside_t.r->env, &g, &slot_end);
	rig_run_until_ended(outside_t.r);
	CHECK_INT(outside_t.r->code, RC_LEASE_LOST);
	CHECK_INT(outside_t.placings, 1);
	CHECK_INT(outside_t.places, 0);
	CHECK_STR(outside_t.aside, "");
	rig_free(outside_t.r);
}

CHECK_MAIN(CHECK_ROW(test_issued), CHECK_ROW(test_wrong_certificate),
    CHECK_ROW(test_refused), CHECK_ROW(test_unsure),
    CHECK_ROW(test_open_order_is_adopted),
    CHECK_ROW(test_open_order_that_is_none),
    CHECK_ROW(test_open_order_that_nobody_knows), CHECK_ROW(test_pending),
    CHECK_ROW(test_own_steps), CHECK_ROW(test_nothing_leaves),
    CHECK_ROW(test_lost_trust))
