/*
 * POST /jobs/{id}/verify and GET /jobs/{id}/verification: what the agent's
 * own handshake saw at the endpoint.
 */
#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/plain.h"

enum { ID_MAX = 128, FINGERPRINT_MAX = 128 };

struct report {
	const char *target;
	const char *expected;
	const char *actual;
	const char *error;
	bool is_verified;
	bool has_verdict; /* is_verified was said */
};

static op_step verify_done;
static op_step verify_compare;
static op_step verification_done;

static rc
read_report(struct op *op, struct report *v, const char **out_why)
{
	const struct {
		const char *name;
		size_t max;
		const char **out;
	} texts[] = {
	    {"target_id", ID_MAX, &v->target},
	    {"expected_fingerprint", FINGERPRINT_MAX, &v->expected},
	    {"actual_fingerprint", FINGERPRINT_MAX, &v->actual},
	};
	const struct cJSON *body;
	rc ret;

	ret = req_json_any(op, false, &body, out_why);
	if (ret != RC_OK)
		return ret;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		*texts[i].out = "";
		ret = json_str(body, texts[i].name, texts[i].max, texts[i].out);
		if (ret == RC_INVALID) {
			*out_why = op_printf(op,
			    "%s must be a text of %zu characters or fewer",
			    texts[i].name, texts[i].max);
			return ret;
		}
	}
	ret = agent_error_text(op, body, &v->error, out_why);
	if (ret != RC_OK)
		return ret;
	if (*v->target && !fieldtext_is_id(v->target)) {
		*out_why = "target_id must be a target's id";
		return RC_INVALID;
	}
	if (!plain_is_line(v->expected) || !plain_is_line(v->actual)) {
		*out_why = "a fingerprint must be hex digits";
		return RC_INVALID;
	}
	ret = json_bool(body, "verified", &v->is_verified);
	v->has_verdict = ret == RC_OK;
	if (ret == RC_INVALID)
		*out_why = "verified must be true or false";
	return ret == RC_INVALID ? ret : RC_OK;
}

/* A probe that failed has no fingerprints to show; one that did not has both,
 * and they agree. */
static const char *
find_fault(const struct report *v)
{
	if (!*v->target)
		return "target_id is required";
	if (v->has_verdict && !v->is_verified)
		return NULL;
	if (!*v->expected)
		return "expected_fingerprint is required";
	if (!*v->actual)
		return "actual_fingerprint is required";
	if (!v->has_verdict)
		return "verified is required";
	if (strcasecmp(v->expected, v->actual) != 0)
		return "verified is true, but the fingerprints differ";
	return NULL;
}

enum op_next
job_verify_start(struct op *op)
{
	struct report *v = op_state(op, sizeof(*v));
	const struct principal *p = req_principal(op);
	const char *why;
	rc ret;

	ret = read_report(op, v, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	why = find_fault(v);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (!v->is_verified && !*v->error)
		v->error = *v->actual ? "the target serves another certificate"
				      : "nothing was seen of what the target "
					"serves";
	return OP_QUERY(op, Q_JOB_VERIFY, verify_done,
	    p->kind == PRINCIPAL_AGENT ? p->id : NULL, req_param(op, "id"),
	    v->target, v->is_verified ? "true" : "false", v->actual, v->error,
	    p->id, req_actor_type(op));
}

static enum op_next
reply_stored(struct op *op)
{
	const struct report *v = op_state(op, sizeof(*v));
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "job_id", req_param(op, "id"));
	json_w_kv_bool(w, "verified", v->is_verified);
	json_w_key(w, "verified_at");
	wiretime_put(w, op_text(op, 0, "verified_at"));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
verify_done(struct op *op)
{
	if (outcome_is(op, "stored"))
		return reply_stored(op);
	if (outcome_is(op, "unknown"))
		return op_fail(op, RC_NOT_FOUND, "Job not found");
	/* The same report again is no news; another one is, and comes too late
	 * once the job has ended. */
	return OP_QUERY(op, Q_JOB_VERIFICATION, verify_compare,
	    req_param(op, "id"));
}

static enum op_next
verify_compare(struct op *op)
{
	const struct report *v = op_state(op, sizeof(*v));
	const char *want = v->is_verified ? "success" : "failed";

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Job not found");
	if (strcmp(op_text(op, 0, "verification_status"), want) == 0 &&
	    strcmp(op_text(op, 0, "verification_fingerprint"), v->actual) == 0)
		return reply_stored(op);
	return op_fail(op, RC_CONFLICT,
	    "the job is not running, and was not verified so");
}

enum op_next
job_verification_start(struct op *op)
{
	return OP_QUERY(op, Q_JOB_VERIFICATION, verification_done,
	    req_param(op, "id"));
}

static enum op_next
verification_done(struct op *op)
{
	struct json_w *w;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Job not found");
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "job_id", op_text(op, 0, "id"));
	json_w_kv(w, "target_id", op_text(op, 0, "target_id"));
	json_w_kv(w, "expected_fingerprint", op_text(op, 0, "expected"));
	json_w_kv(w, "actual_fingerprint",
	    op_text(op, 0, "verification_fingerprint"));
	json_w_kv_bool(w, "verified",
	    strcmp(op_text(op, 0, "verification_status"), "success") == 0);
	json_w_key(w, "verified_at");
	wiretime_put(w, op_text(op, 0, "verified_at"));
	json_w_kv_opt(w, "error", op_text(op, 0, "verification_error"));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field verify_body[] = {
    {"target_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = ID_MAX},
    {"expected_fingerprint", FIELD_TEXT, 0, .max = FINGERPRINT_MAX},
    {"actual_fingerprint", FIELD_TEXT, 0, .max = FINGERPRINT_MAX},
    {"verified", FIELD_BOOL},
    {"error", FIELD_TEXT, FIELD_MULTILINE, .max = 1 << 20},
};

static const struct field verified_fields[] = {
    {"job_id", FIELD_TEXT},
    {"verified", FIELD_BOOL},
    {"verified_at", FIELD_TIME},
};
const struct shape shape_job_verify_start = {
    .does = "Report what a target serves after a deployment",
    .has_body = true,
    .body = {SHAPE_TABLE(verify_body)},
    .fields = SHAPE_TABLE(verified_fields),
};
static const struct field verification_fields[] = {
    {"job_id", FIELD_TEXT},
    {"target_id", FIELD_TEXT},
    {"expected_fingerprint", FIELD_TEXT},
    {"actual_fingerprint", FIELD_TEXT},
    {"verified", FIELD_BOOL},
    {"verified_at", FIELD_TIME},
    {"error", FIELD_TEXT},
};
const struct shape shape_job_verification_start = {
    .does = "Get what was reported of a deployment",
    .fields = SHAPE_TABLE(verification_fields),
};
