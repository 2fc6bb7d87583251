/*
 * POST /agents/{id}/jobs/{job_id}/status: what became of a job in the agent's
 * hands.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/live/park.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/shape.h"
#include "common/base/plain.h"

enum { STATUS_MAX = 50, ERROR_MAX = 4096, VERSION_MAX = 128 };

static op_step report_done;

rc
agent_words(struct op *op, const struct cJSON *body, const char *member,
    const char **out, const char **out_why)
{
	const char *text = "";
	char *kept;
	size_t len;
	rc ret;

	ret = json_str(body, member, 1 << 20, &text);
	if (ret == RC_INVALID) {
		*out_why = op_printf(op, "%s must be a text", member);
		return ret;
	}
	len = strnlen(text, ERROR_MAX + 1);
	if (len > ERROR_MAX) {
		for (len = ERROR_MAX; len > 0 && (text[len] & 0xc0) == 0x80;)
			len--; /* not inside a character */
	}
	kept = arena_strndup(op_arena(op), text, len);
	plain_clean(kept);
	*out = kept;
	return RC_OK;
}

rc
agent_error_text(struct op *op, const struct cJSON *body, const char **out,
    const char **out_why)
{
	return agent_words(op, body, "error", out, out_why);
}

/* The job states an agent may report, in their spelling. */
static const char *
known_status(const char *given)
{
	static const char *const known[] = {"Running", "Completed", "Failed"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcasecmp(known[i], given) == 0)
			return known[i];
	}
	return NULL;
}

enum op_next
agent_report_start(struct op *op)
{
	const struct cJSON *body;
	const char *why, *given = "", *status, *version = NULL, *error;
	rc ret;

	ret = req_json_any(op, false, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_str(body, "status", STATUS_MAX, &given);
	if (ret != RC_INVALID && !*given)
		return op_fail(op, RC_INVALID, "Status is required");
	status = ret == RC_OK ? known_status(given) : NULL;
	if (!status)
		return op_fail(op, RC_INVALID,
		    "status must be Running, Completed or Failed");
	ret = json_str(body, "version_id", VERSION_MAX, &version);
	if (version && *version && !fieldtext_is_id(version))
		return op_fail(op, RC_INVALID,
		    "version_id must be a version's id");
	if (ret == RC_INVALID)
		return op_fail(op, RC_INVALID,
		    "version_id must be a text of %d characters or fewer",
		    VERSION_MAX);
	ret = agent_error_text(op, body, &error, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_JOB_REPORT, report_done, req_param(op, "id"),
	    req_param(op, "job_id"), status, error,
	    version && *version ? version : NULL,
	    "the agent could not make a key or CSR");
}

static enum op_next
report_done(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Job not found"},
	    {"contradiction", RC_CONFLICT,
		"this contradicts what is known of the job: it is ", "status"},
	    {"other_version", RC_CONFLICT,
		"the job installs another version of the certificate"},
	};
	const char *agents[] = {req_param(op, "id"), NULL};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	if (outcome_is(op, "updated")) {
		/* A newer version may wait for the same agent now. */
		req_hint(op, 0, NULL, agents);
		park_wake(req_api(op)->park, PARK_JOB, req_param(op, "job_id"));
		return reply_status(op, 200, "status", "updated");
	}
	if (outcome_is(op, "repeated"))
		return reply_status(op, 200, "status", "updated");
	return op_fail(op, RC_CONFLICT,
	    "a job that is %s cannot be reported so by an agent",
	    op_text(op, 0, "status"));
}

/* --- what the document says of it --- */

static const char *const states[] = {"Running", "Completed", "Failed", NULL};
static const struct field report_body[] = {
    {"status", FIELD_TEXT, FIELD_REQUIRED, .max = STATUS_MAX, .words = states},
    {"version_id", FIELD_TEXT, FIELD_ID, .max = VERSION_MAX},
    {"error", FIELD_TEXT, FIELD_MULTILINE, .max = 1 << 20},
};

const struct shape shape_agent_report_start = {
    .does = "Report what became of a job",
    .has_body = true,
    .body = {SHAPE_TABLE(report_body)},
    .answer = SHAPE_STATUS,
};
