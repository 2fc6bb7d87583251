/*
 * POST /targets/{id}/test: the target's agent tries what a deployment would
 * need, without deploying.  It answers 200 whatever came of it: the test was
 * made, and says whether it passed.
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/config/tests.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/clock.h"
#include "common/policy/policy.h"

#define FIRST_LOOK_MS 25
#define LOOK_MS 400

struct target_test {
	const char *test; /* its id */
	const char *why;  /* nothing came of it; NULL while it is waited for */
	int64_t until_ms, pause_ms;
};

static op_step test_asked;
static op_step test_look;
static op_step test_looked;
static op_step test_given_up;

enum op_next
target_test_start(struct op *op)
{
	return test_ask(op, Q_TARGET_TEST_ASK, Q_TARGET_TEST_ASKED, test_asked);
}

/* Nobody said what came of it. */
static enum op_next
give_up(struct op *op, const char *why)
{
	struct target_test *t = op_state(op, sizeof(*t));

	t->why = why;
	return OP_QUERY(op, Q_TARGET_TEST_END, test_given_up, t->test, "false",
	    why, NULL);
}

static enum op_next
test_given_up(struct op *op)
{
	return op_goto(op, test_look); /* its agent may have been sooner */
}

static enum op_next
test_asked(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));
	const char *agents[] = {NULL, NULL};

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Target not found");
	agents[0] = op_text(op, 0, "agent_id");
	t->test = arena_strdup(op_arena(op), op_text(op, 0, "id"));
	t->until_ms = clock_boot_ms() + (int64_t)POLICY_TEST_WAIT * 1000;
	t->pause_ms = FIRST_LOOK_MS;
	if (op_bool(op, 0, "is_retired"))
		return give_up(op, "the target is retired");
	if (!op_bool(op, 0, "is_online"))
		return give_up(op, "Agent is not online");
	req_hint(op, 0, NULL, agents);
	return op_sleep(op, t->pause_ms, test_look);
}

static enum op_next
test_look(struct op *op)
{
	return OP_QUERY(op, Q_TARGET_TEST_LOOK, test_looked,
	    req_param(op, "id"));
}

/* What came of it, or of a later one that took its place. */
static enum op_next
test_over(struct op *op, bool passed, const char *message)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", passed ? "success" : "failed");
	json_w_kv(w, "message", message);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
test_looked(struct op *op)
{
	struct target_test *t = op_state(op, sizeof(*t));

	if (op_rows(op) == 0) /* removed since */
		return op_fail(op, RC_NOT_FOUND, "Target not found");
	if (op_bool(op, 0, "is_over"))
		return test_over(op, op_bool(op, 0, "passed"),
		    op_text(op, 0, "message"));
	if (t->why)
		return test_over(op, false, t->why);
	if (clock_boot_ms() >= t->until_ms)
		return give_up(op,
		    op_bool(op, 0, "is_taken")
			? "Agent is online, but did not say in time what came "
			  "of the test"
			: "Agent is online, but did not take the test: it is "
			  "busy, or of a kind that makes none");
	t->pause_ms = t->pause_ms * 2 < LOOK_MS ? t->pause_ms * 2 : LOOK_MS;
	return op_sleep(op, t->pause_ms, test_look);
}

/* --- what the document says of it --- */

static const struct field test_fields[] = {
    {"status", FIELD_TEXT},
    {"message", FIELD_TEXT},
};

const struct shape shape_target_test_start = {
    .does = "Have a target's agent test it",
    .has_body = true,
    .may_be_empty = true,
    .fields = SHAPE_TABLE(test_fields),
};
