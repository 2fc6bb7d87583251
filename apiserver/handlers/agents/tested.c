/*
 * POST /agents/{id}/tests/{test_id}: what an agent found when it tested one of
 * its targets.
 */
#include "apiserver/edge/outcome.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/shape.h"

static op_step tested_done;

enum op_next
agent_tested_start(struct op *op)
{
	const char *why, *words;
	const struct cJSON *body;
	bool passed = false;
	rc ret;

	ret = req_json_any(op, false, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_bool(body, "passed", &passed);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID, "passed must be true or false");
	ret = agent_words(op, body, "message", &words, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_TARGET_TEST_END, tested_done,
	    req_param(op, "test_id"), passed ? "true" : "false", words,
	    req_param(op, "id"));
}

static enum op_next
tested_done(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Test not found"},
	    {"over", RC_CONFLICT,
		"the test is over: it was told already what came of it, or "
		"nobody waits any more"},
	};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	return reply_status(op, 200, "status", "recorded");
}

/* --- what the document says of it --- */

static const struct field tested_body[] = {
    {"passed", FIELD_BOOL, FIELD_REQUIRED},
    {"message", FIELD_TEXT, FIELD_MULTILINE, .max = 1 << 20},
};

const struct shape shape_agent_tested_start = {
    .does = "Report what the test of a target found",
    .has_body = true,
    .body = {SHAPE_TABLE(tested_body)},
    .answer = SHAPE_STATUS,
};
