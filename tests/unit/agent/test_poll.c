/*
 * test_poll: whatever a server answers, and however quickly, an agent pauses
 * between its questions.
 */
#include "agent/poll.h"

#include <string.h>

#include "agent/heartbeat.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

#define WORK "/api/v1/agents/a-1/work"
#define CSR "/api/v1/agents/a-1/csr"
#define MINUTE 60000

static const char *const item =
    "{\"jobs\":[{\"id\":\"job-1\",\"type\":\"Issuance\","
    "\"status\":\"AwaitingCSR\",\"certificate_id\":\"mc-1\","
    "\"common_name\":\"a.test\",\"sans\":[\"a.test\"]}]}";

/* An agent that begins to ask: each question is answered with the item after
 * so long, and so is its CSR. */
static struct agent *
offered(int64_t asked_ms, int64_t csr_ms)
{
	struct agent *a = rig_new(NULL);

	rig_answer("GET", WORK, 200, item, asked_ms);
	rig_answer("POST", CSR, 202, "{}", csr_ms);
	a->poll = poll_start(a);
	return a;
}

static size_t
asked_in_a_minute(int status, const char *body, int64_t delay_ms,
    const char *const *settings)
{
	struct agent *a = rig_new(settings);

	rig_answer("GET", WORK, status, body, delay_ms);
	rig_answer("POST", CSR, 202, "{}", 0);
	a->poll = poll_start(a);
	rig_pass(MINUTE);
	return rig_count("GET", WORK);
}

static void
a_server_that_does_not_park_is_asked_once_a_second(void)
{
	static const char *const unparked[] = {"CERTCTL_AGENT_POLL_WAIT=0s",
	    NULL};
	size_t n = asked_in_a_minute(200, "{\"jobs\":[]}", 0, NULL);

	CHECK(n >= 45 && n <= 76);
	n = asked_in_a_minute(200, "{\"jobs\":[]}", 0, unparked);
	CHECK(n >= 45 && n <= 76);
	n = asked_in_a_minute(200, "{}", 1, NULL);
	CHECK(n >= 45 && n <= 76);
}

static void
a_server_that_parks_is_asked_again_at_once(void)
{
	CHECK_INT(asked_in_a_minute(200, "{\"jobs\":[]}", 30000, NULL), 3);
}

static void
failures_are_spaced_ever_wider(void)
{
	static const int bad[] = {0, 204, 301, 400, 401, 403, 404, 408, 409,
	    429, 500, 503};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		size_t n = asked_in_a_minute(bad[i], "{}", 0, NULL);

		CHECK(n >= 8 && n <= 12);
	}
	CHECK(asked_in_a_minute(200, "not JSON", 0, NULL) <= 12);
	CHECK(asked_in_a_minute(200, "", 0, NULL) <= 12);
}

static void
a_failure_that_took_long_is_followed_by_a_pause_too(void)
{
	struct agent *a = rig_new(NULL);
	int64_t last = -1;

	rig_answer("GET", WORK, 0, "", 20000);
	a->poll = poll_start(a);
	rig_pass(25000);
	CHECK_INT(rig_count("GET", WORK), 2);
	last = rig_last("GET", WORK)->at_ms;
	CHECK(last >= 1000000 + 20000 + 80);
}

static void
items_that_are_not_understood_are_not_asked_for_without_end(void)
{
	static const char *const odd[] = {"{\"jobs\":[1,null,\"x\",{}]}",
	    "{\"jobs\":[{\"id\":\"j\",\"type\":\"Odd\",\"status\":\"Odd\","
	    "\"certificate_id\":\"c\"}]}",
	    "{\"jobs\":{\"a\":1}}", "{\"jobs\":\"x\"}"};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		size_t n = asked_in_a_minute(200, odd[i], 0, NULL);

		CHECK(n >= 45 && n <= 76);
	}
}

/* Each end of an item asks at once, and the server lists it again. */
static void
an_item_that_comes_for_ever_makes_no_storm(void)
{
	size_t n = asked_in_a_minute(200, item, 0, NULL);

	CHECK(n >= 45 && n <= 170);
	n = rig_count("POST", CSR);
	CHECK(n >= 20 && n <= 61);
}

static void
an_item_in_hand_is_not_begun_twice(void)
{
	struct agent *a = offered(0, 20000);

	rig_pass(10000);
	CHECK_INT(rig_count("POST", CSR), 1);
	CHECK(rig_count("GET", WORK) <= 13);
	CHECK(!poll_is_idle(a->poll));
}

/* A host that is slow asks no more than a few times for what it has. */
static void
what_is_known_is_asked_for_less_often(void)
{
	size_t n;

	offered(0, 28000);
	rig_pass(1500);
	CHECK_INT(rig_count("GET", WORK), 2);
	rig_pass(26000);
	n = rig_count("GET", WORK);
	CHECK(n >= 7 && n <= 11);
	rig_answer("GET", WORK, 200, "{\"jobs\":[]}", 0);
	rig_pass(1000); /* it has ended */
	n = rig_count("GET", WORK);
	rig_pass(10000); /* and so it is once a second again */
	CHECK(rig_count("GET", WORK) >= n + 7);
}

static void
work_is_asked_for_again_when_an_item_ends(void)
{
	size_t n;

	offered(0, 300);
	rig_pass(290);
	n = rig_count("GET", WORK);
	rig_pass(40);
	CHECK_INT(rig_count("GET", WORK), n + 1);
}

/* What was parked for long and then brought work is followed by a pause. */
static void
who_was_given_work_does_not_ask_what_he_has(void)
{
	offered(20000, 300);
	rig_pass(20250);
	CHECK_INT(rig_count("POST", CSR), 1);
	CHECK_INT(rig_count("GET", WORK), 1);
	rig_pass(100);
	CHECK_INT(rig_count("GET", WORK), 2);
}

/* That question may have been answered before: what follows the item is not
 * in it, and would wait for a pause. */
static void
an_item_that_ends_during_a_question_has_another_asked(void)
{
	struct agent *a = offered(800, 1400);

	/* The second begins after 1600 to 2000, and is answered after 2400 to
	 * 2800; the item ends after 2200. */
	rig_pass(2300);
	CHECK_INT(rig_count("GET", WORK), 2);
	CHECK(!poll_is_idle(a->poll));
	rig_pass(550);
	CHECK_INT(rig_count("GET", WORK), 3);
}

static void
a_retired_agent_asks_no_more(void)
{
	struct agent *a = rig_new(NULL);

	rig_answer("GET", WORK, 410, "{}", 0);
	a->heartbeat = heartbeat_start(a);
	a->poll = poll_start(a);
	rig_pass(MINUTE);
	CHECK_INT(rig_count("GET", WORK), 1);
	CHECK(a->is_retired && a->is_stopping);
	CHECK_INT(a->exit_status, 0);
	CHECK(poll_is_idle(a->poll));
}

static void
heartbeats_pause_whatever_they_are_answered(void)
{
	static const char *const quick[] =
	    {"CERTCTL_AGENT_HEARTBEAT_INTERVAL=1s", NULL};
	static const int all[] = {0, 200, 301, 400, 401, 404, 429, 500};
	struct agent *a;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		a = rig_new(quick);
		rig_answer("POST", "/api/v1/agents/a-1/heartbeat", all[i], "{}",
		    0);
		a->heartbeat = heartbeat_start(a);
		rig_pass(MINUTE);
		CHECK(rig_count("POST", "/api/v1/agents/") >= 50);
		CHECK(rig_count("POST", "/api/v1/agents/") <= 68);
	}
	a = rig_new(NULL);
	rig_answer("POST", "/api/v1/agents/a-1/heartbeat", 500, "{}", 0);
	a->heartbeat = heartbeat_start(a);
	rig_pass(MINUTE);
	CHECK(rig_count("POST", "/api/v1/agents/") <= 12);
}

CHECK_MAIN(CHECK_ROW(a_server_that_does_not_park_is_asked_once_a_second),
    CHECK_ROW(a_server_that_parks_is_asked_again_at_once),
    CHECK_ROW(failures_are_spaced_ever_wider),
    CHECK_ROW(a_failure_that_took_long_is_followed_by_a_pause_too),
    CHECK_ROW(items_that_are_not_understood_are_not_asked_for_without_end),
    CHECK_ROW(an_item_that_comes_for_ever_makes_no_storm),
    CHECK_ROW(an_item_in_hand_is_not_begun_twice),
    CHECK_ROW(what_is_known_is_asked_for_less_often),
    CHECK_ROW(work_is_asked_for_again_when_an_item_ends),
    CHECK_ROW(who_was_given_work_does_not_ask_what_he_has),
    CHECK_ROW(an_item_that_ends_during_a_question_has_another_asked),
    CHECK_ROW(a_retired_agent_asks_no_more),
    CHECK_ROW(heartbeats_pause_whatever_they_are_answered))
