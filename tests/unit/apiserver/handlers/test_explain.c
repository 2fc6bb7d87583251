/*
 * test_explain: sentences, and which fact the verdict is about.
 */
#include "apiserver/handlers/explain/words.h"

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "tests/unit/check.h"

#define FACT(w, c) \
	{ \
		.step = "x", .id = "a", .name = "Renewal", .weight = (w), \
		.code = (c), .since = "", .until = "", .detail = "b", \
		.said = "", .tried = "1 of 3", .certificate = "c", \
		.issuer = "i" \
	}

static struct explain_verdict
judge(const struct explain_fact *facts, size_t n)
{
	enum explain_state states[8];

	return explain_judge(facts, n, states);
}

static void
a_sentence_has_what_the_fact_has(void)
{
	struct arena *a = arena_new();
	struct explain_fact f = FACT("decides", "later");

	f.until = "2026-11-30T08:00:01.25Z";
	CHECK_STR(explain_what(a, &f), "attempt 1 of 3 failed");
	CHECK_STR(explain_next(a, &f),
	    "It is tried again at 2026-11-30 08:00:01 UTC.");
	f.until = "";
	CHECK_STR(explain_next(a, &f), "It is tried again.");
	f.code = "lane_stopped";
	CHECK_STR(explain_advice(a, &f),
	    "Read the CA's words, then certctl issuers test i. It is tried "
	    "again by itself, ever less often.");
	f.code = "issuer_off";
	f.id = "{detail}"; /* a name is no template */
	CHECK_STR(explain_what(a, &f), "issuer {detail} is disabled");
	arena_free(a);
}

static void
what_is_fine_is_ready(void)
{
	static const struct explain_fact facts[] = {FACT("decides", "valid"),
	    FACT("decides", "lane"), FACT("tells", "job_failed")};
	struct explain_verdict v = judge(facts, ARRAY_LEN(facts));

	CHECK_INT(v.state, EXPLAIN_OK);
	CHECK_INT(v.at, ARRAY_LEN(facts));
	v = judge(facts, 0);
	CHECK_INT(v.state, EXPLAIN_OK);
	CHECK_INT(v.at, 0);
}

static void
causes_come_before_what_they_lead_to(void)
{
	static const struct explain_fact facts[] = {FACT("decides",
							"never_issued"),
	    FACT("decides", "agent_offline"),
	    FACT("decides", "issuer_disabled"), FACT("decides", "turn")};
	struct explain_verdict v = judge(facts, ARRAY_LEN(facts));

	CHECK_INT(v.state, EXPLAIN_STUCK);
	CHECK_INT(v.at, 2);
}

static void
what_only_holds_work_up_is_a_warning_without_work(void)
{
	static const struct explain_fact idle[] = {FACT("decides", "valid"),
	    FACT("decides", "no_leader")};
	static const struct explain_fact busy[] = {FACT("decides", "turn"),
	    FACT("decides", "no_leader")};
	struct explain_fact job = FACT("decides", "no_worker");
	struct explain_verdict v = judge(idle, ARRAY_LEN(idle));

	CHECK_INT(v.state, EXPLAIN_WARNING);
	CHECK_INT(v.at, 1);
	v = judge(busy, ARRAY_LEN(busy));
	CHECK_INT(v.state, EXPLAIN_STUCK);
	CHECK_INT(v.at, 1);
	job.step = "job"; /* what a job waits for is under way */
	v = judge(&job, 1);
	CHECK_INT(v.state, EXPLAIN_STUCK);
}

static void
weights_are_limits(void)
{
	static const struct explain_fact facts[] = {FACT("warns",
							"lane_stopped"),
	    FACT("tells", "issuer_off"), FACT("decides", "lane_slow")};
	enum explain_state states[ARRAY_LEN(facts)];
	struct explain_verdict v =
	    explain_judge(facts, ARRAY_LEN(facts), states);

	CHECK_INT(v.state, EXPLAIN_WARNING);
	CHECK_INT(v.at, 0);
	CHECK_INT(states[1], EXPLAIN_NOTE);
	CHECK_INT(states[2], EXPLAIN_NOTE);
	CHECK_STR(explain_state_names[states[0]], "warning");
}

static void
what_goes_on_by_itself_is_not_stuck(void)
{
	static const struct explain_fact facts[] = {FACT("decides",
							"being_renewed"),
	    FACT("decides", "order")};
	struct explain_verdict v = judge(facts, ARRAY_LEN(facts));

	CHECK_INT(v.state, EXPLAIN_WAITING);
	CHECK_INT(v.at, 1);
	CHECK(explain_knows("order") && !explain_knows("weather"));
}

CHECK_MAIN(CHECK_ROW(a_sentence_has_what_the_fact_has),
    CHECK_ROW(what_is_fine_is_ready),
    CHECK_ROW(causes_come_before_what_they_lead_to),
    CHECK_ROW(what_only_holds_work_up_is_a_warning_without_work),
    CHECK_ROW(weights_are_limits),
    CHECK_ROW(what_goes_on_by_itself_is_not_stuck))
