/*
 * An order that a CA outside has is asked for until it has ended, whoever
 * asks, or is cancelled.
 */
#include <string.h>

#include "tests/unit/worker/outside_rig.h"

static void
test_poll_goes_on(void)
{
	static const int64_t waits_ms[] = {15000, 45000, 120000, 300000,
	    300000};

	for (int i = 0; i < 5; i++) {
		outside_begin_ordered(i, 10000);
		outside_run();
		outside_check_aside("pending", true, "processing");
		outside_check_about(outside_order_wait_ms("4711", i + 1),
		    waits_ms[i]);
		CHECK_INT(outside_t.polls, 1);
		CHECK_INT(outside_t.places + outside_t.look_ups +
			      outside_t.placings,
		    0);
		outside_end();
	}
	/* The last one of its time, and then once an hour. */
	outside_begin_ordered(3, 580000);
	outside_run();
	CHECK_INT(outside_order_wait_ms("4711", 4), 20000);
	outside_end();
	outside_begin_ordered(8, 600000);
	outside_run();
	outside_check_aside("pending", true,
	    "StillPending: the CA has order 4711");
	outside_check_about(outside_order_wait_ms("4711", 9), 3600000);
	outside_end();
}

/* From the order to its limit and past it: what is waited is what the clock
 * moves by, and the order's id stays, whoever asks. */
static void
test_until_its_limit(int64_t limit_s, bool asks_for_time)
{
	static const int64_t plan_ms[] = {5000, 15000, 45000, 120000, 300000};
	int64_t waited_ms = 0, wait_ms, about_ms, left_ms;
	int polls = 0;

	outside_begin();
	outside_t.placed = outside_pending_answer("4711", 0);
	outside_t.r->env.issuer.max_waits.any_s = limit_s;
	outside_run();
	wait_ms = outside_order_wait_ms("4711", 0);
	outside_end();
	while (waited_ms + wait_ms < limit_s * 1000) {
		about_ms = plan_ms[polls < 4 ? polls : 4];
		outside_check_about(wait_ms, about_ms);
		waited_ms += wait_ms;
		left_ms = limit_s * 1000 - waited_ms;
		outside_begin_ordered(polls, waited_ms);
		outside_t.r->env.issuer.max_waits.any_s = limit_s;
		outside_run();
		outside_check_aside("pending", true,
		    "pending: the CA has order 4711");
		wait_ms = outside_order_wait_ms("4711", ++polls);
		CHECK(wait_ms <= left_ms);
		outside_end();
	}
	CHECK_INT(waited_ms + wait_ms, limit_s * 1000);
	/* It is over: back in the queue for a later time, with its id. */
	for (int i = 0; i < 3; i++) {
		waited_ms += wait_ms;
		outside_begin_ordered(polls, waited_ms);
		outside_t.r->env.issuer.max_waits.any_s = limit_s;
		if (asks_for_time)
			outside_t.poll = outside_pending_answer("4711", 7200);
		outside_run();
		outside_check_aside("pending", true,
		    "StillPending: the CA has order 4711");
		wait_ms = outside_order_wait_ms("4711", ++polls);
		if (asks_for_time)
			CHECK_INT(wait_ms, 7200000);
		else
			outside_check_about(wait_ms, 3600000);
		outside_end();
	}
}

static void
test_limits(void)
{
	test_until_its_limit(600, false);
	test_until_its_limit(600, true);
	test_until_its_limit(30, false);
	test_until_its_limit(86400, false);
}

static void
test_poll_ends(void)
{
	struct arena *a = arena_new();
	const char *pem = outside_pem(a, OUTSIDE_NOW + 86400);

	outside_begin_ordered(1, 6000);
	outside_t.poll = outside_answer(ISSUER_ISSUED, pem, "");
	outside_run();
	CHECK_STR(outside_t.pem, pem);
	CHECK_INT(outside_t.places + outside_t.look_ups + outside_t.placings,
	    0);
	outside_end();
	outside_begin_ordered(1, 6000);
	outside_t.poll = outside_answer(ISSUER_REFUSED, NULL, "rejected");
	outside_run();
	outside_check_aside("fail", false,
	    "the CA ended order 4711 without a certificate: rejected");
	outside_end();
	/* Tried again by another order, for this one has ended. */
	outside_begin_ordered(1, 6000);
	outside_t.poll =
	    outside_answer(ISSUER_ENDED, NULL, "Connection refused");
	outside_t.poll.retry_after_s = 90;
	outside_run();
	outside_check_aside("ended", false,
	    "the CA ended order 4711 without a certificate: Connection");
	CHECK_STR(outside_t.order, "{\"wait_ms\":90000}");
	CHECK_INT(outside_t.places + outside_t.look_ups + outside_t.placings,
	    0);
	outside_end();
	outside_begin_ordered(1, 6000);
	outside_t.poll =
	    outside_answer(ISSUER_ISSUED, outside_pem(a, OUTSIDE_NOW - 1), "");
	outside_run();
	outside_check_aside("wrong", true, "it expired at");
	outside_end();
	arena_free(a);
}

/* What the CA does not say never costs the order, nor an attempt. */
static void
test_poll_is_not_answered(void)
{
	outside_begin_ordered(1, 6000);
	outside_t.is_last = true;
	outside_t.poll = outside_answer(ISSUER_RETRY, NULL, "HTTP 503");
	outside_t.poll.retry_after_s = 100;
	outside_run();
	outside_check_aside("silent", true,
	    "did not say what became of it: HTTP 503");
	CHECK_INT(outside_order_wait_ms("4711", 2), 100000);
	outside_end();
	outside_begin_ordered(0, 6000);
	outside_t.delay_ms = -1;
	outside_run();
	outside_check_aside("silent", true, "no answer came in time");
	outside_check_about(outside_order_wait_ms("4711", 1), 15000);
	outside_end();
	outside_begin_ordered(0, 6000);
	outside_t.is_last = true;
	outside_t.open_why = "api_key is missing";
	outside_run();
	outside_check_aside("silent", true, "api_key is missing");
	CHECK_INT(outside_t.polls, 0);
	outside_check_about(outside_order_wait_ms("4711", 0), 5000);
	outside_end();
}

static void
test_forgotten_order(void)
{
	/* Nobody can say what became of it. */
	outside_begin_ordered(1, 6000);
	outside_t.poll = outside_answer(ISSUER_NO_ORDER, NULL, "HTTP 404");
	outside_run();
	outside_check_aside("uncertain", true, "does not know its order 4711");
	CHECK_INT(outside_t.places, 0);
	outside_end();
	/* It is there under our own reference. */
	outside_begin_ordered(1, 6000);
	outside_t.can_look_up = true;
	outside_t.poll = outside_answer(ISSUER_NO_ORDER, NULL, "HTTP 404");
	outside_t.looked = outside_pending_answer("4712", 0);
	outside_run();
	outside_check_aside("pending", true, "order 4712");
	CHECK_INT(outside_t.places, 0);
	outside_end();
	/* A person is to decide: it is not asked for by its id. */
	outside_begin();
	outside_t.state = "uncertain";
	outside_t.order_id = "4711";
	outside_run();
	outside_check_aside("uncertain", true, "has no look-up");
	CHECK_INT(outside_t.polls, 0);
	outside_end();
}

/* Nobody wants it any more: the order is followed to its end. */
static void
begin_cancelled(struct issuer_answer says)
{
	outside_begin_ordered(1, 6000);
	outside_cancels();
	outside_t.r->jobs[0].is_cancelled = true;
	outside_t.poll = says;
}

static void
test_cancelled_order(void)
{
	struct arena *a = arena_new();
	const char *pem = outside_pem(a, OUTSIDE_NOW + 86400);

	begin_cancelled(outside_answer(ISSUER_REFUSED, NULL, "canceled"));
	outside_run();
	outside_check_aside("cancel", false,
	    "cancelled, and order 4711 at the CA");
	CHECK_INT(outside_t.cancels, 1);
	CHECK_INT(outside_t.polls, 0);
	outside_end();
	/* It had come to nothing by itself. */
	begin_cancelled(outside_answer(ISSUER_ENDED, NULL, "invalid"));
	outside_run();
	outside_check_aside("cancel", false,
	    "cancelled, and order 4711 at the CA");
	outside_end();
	/* Too late. */
	begin_cancelled(outside_answer(ISSUER_ISSUED, pem, ""));
	outside_run();
	CHECK_STR(outside_t.pem, pem);
	outside_end();
	/* It has not ended, as far as is known: asked again. */
	begin_cancelled(outside_answer(ISSUER_RETRY, NULL, "HTTP 503"));
	outside_run();
	outside_check_aside("silent", true, "HTTP 503");
	outside_end();
	begin_cancelled(outside_pending_answer("4711", 0));
	outside_run();
	outside_check_aside("pending", true, "processing");
	outside_end();
	/* A CA whose orders cannot be cancelled: who asked for it is told. */
	outside_begin_ordered(1, 6000);
	outside_t.r->jobs[0].is_cancelled = true;
	outside_run();
	outside_check_aside("cancel", true, "the CA has order 4711 still");
	CHECK_INT(outside_t.polls, 1);
	outside_end();
	/* But for what it has issued by now. */
	outside_begin_ordered(1, 6000);
	outside_t.r->jobs[0].is_cancelled = true;
	outside_t.poll = outside_answer(ISSUER_ISSUED, pem, "");
	outside_run();
	CHECK_STR(outside_t.pem, pem);
	outside_end();
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_poll_goes_on), CHECK_ROW(test_limits),
    CHECK_ROW(test_poll_ends), CHECK_ROW(test_poll_is_not_answered),
    CHECK_ROW(test_forgotten_order), CHECK_ROW(test_cancelled_order))
