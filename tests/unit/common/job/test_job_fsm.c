/*
 * test_job_fsm: every pair of state and event.
 */
#include "common/job/job_fsm.h"

#include "tests/unit/check.h"

/*
 * The rules once more, written down apart from the table: one line a state,
 * one letter an event (in the enum's order) with the state it leads to.
 * P Pending, R Running, C AwaitingCSR, A AwaitingApproval, D Completed,
 * F Failed, X Cancelled, '.' refused.
 */
static const char *const expected[JOB_STATE_COUNT] = {
    /*                          events: create create_awaiting_csr
     * create_awaiting_approval approve approve_ready reject expire cancel
     * csr timeout agent_fail claim complete fail retry release anew
     * anew_approval */
    [JOB_NONE] = "PCA...............",
    [JOB_PENDING] = ".......X...R.F..CA",
    [JOB_RUNNING] = ".......X....DFPPCA",
    [JOB_AWAITING_CSR] = ".......XPFF......A",
    [JOB_AWAITING_APPROVAL] = "...CPXXX..........",
    [JOB_COMPLETED] = "..................",
    [JOB_FAILED] = "..................",
    [JOB_CANCELLED] = "..................",
};

static char
letter(enum job_state state)
{
	return "-PRCADFX"[state];
}

static void
test_every_pair(void)
{
	for (int s = 0; s < JOB_STATE_COUNT; s++) {
		CHECK_INT(strlen(expected[s]), JOB_EVENT_COUNT);
		for (int e = 0; e < JOB_EVENT_COUNT; e++) {
			enum job_state to = JOB_STATE_COUNT;
			rc code = job_fsm_next((enum job_state)s,
			    (enum job_event)e, &to);
			char want = expected[s][e];

			if (want == '.') {
				CHECK_INT(code, RC_CONFLICT);
				CHECK_INT(to, JOB_STATE_COUNT);
			} else {
				CHECK_INT(code, RC_OK);
				CHECK_INT(letter(to), want);
			}
		}
	}
}

/* The table itself: no row twice, nothing leads out of an end or to none,
 * every event is used and every state reached. */
static void
test_rows(void)
{
	bool reached[JOB_STATE_COUNT] = {false};
	bool used[JOB_EVENT_COUNT] = {false};
	const struct job_fsm_row *rows;
	size_t n;

	rows = job_fsm_rows(&n);
	for (size_t i = 0; i < n; i++) {
		CHECK(!job_state_is_final(rows[i].from));
		CHECK(rows[i].to != JOB_NONE);
		CHECK(rows[i].to != rows[i].from);
		CHECK(rows[i].note != NULL && rows[i].note[0] != '\0');
		/* mermaid ends a label at these */
		CHECK(strpbrk(rows[i].note, ":\"\n") == NULL);
		reached[rows[i].to] = used[rows[i].event] = true;
		for (size_t j = 0; j < i; j++)
			CHECK(rows[j].from != rows[i].from ||
			      rows[j].event != rows[i].event);
	}
	for (int s = JOB_NONE + 1; s < JOB_STATE_COUNT; s++)
		CHECK(reached[s]);
	for (int e = 0; e < JOB_EVENT_COUNT; e++)
		CHECK(used[e]);
}

static void
test_names(void)
{
	enum job_state state = JOB_NONE;

	for (int s = JOB_NONE + 1; s < JOB_STATE_COUNT; s++) {
		CHECK_INT(job_state_parse(job_state_name((enum job_state)s),
			      &state),
		    RC_OK);
		CHECK_INT(state, s);
	}
	CHECK_STR(job_state_name(JOB_AWAITING_CSR), "AwaitingCSR");
	CHECK_STR(job_state_name(JOB_NONE), "none");
	CHECK_STR(job_state_name(JOB_STATE_COUNT), "?");
	CHECK_INT(job_state_parse("none", &state), RC_INVALID);
	CHECK_INT(job_state_parse("pending", &state), RC_INVALID);
	CHECK_INT(job_state_parse("", &state), RC_INVALID);
	CHECK_STR(job_event_name(JOB_EV_RELEASE), "release");
	CHECK_STR(job_event_name(JOB_EVENT_COUNT), "?");
}

static void
test_final(void)
{
	CHECK(job_state_is_final(JOB_COMPLETED));
	CHECK(job_state_is_final(JOB_FAILED));
	CHECK(job_state_is_final(JOB_CANCELLED));
	CHECK(!job_state_is_final(JOB_NONE));
	CHECK(!job_state_is_final(JOB_PENDING));
	CHECK(!job_state_is_final(JOB_RUNNING));
	CHECK(!job_state_is_final(JOB_AWAITING_CSR));
	CHECK(!job_state_is_final(JOB_AWAITING_APPROVAL));
}

CHECK_MAIN(CHECK_ROW(test_every_pair), CHECK_ROW(test_rows),
    CHECK_ROW(test_names), CHECK_ROW(test_final))
