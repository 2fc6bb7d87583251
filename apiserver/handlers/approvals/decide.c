/*
 * POST /approvals/{id}/approve and /reject, and the same by the job that
 * waits: POST /jobs/{id}/approve and /reject.  One rule for both, in
 * approval_decide(): the request's row is never passed by.
 */
#include "apiserver/handlers/approvals/approvals.h"

#include <stdbool.h>

#include "apiserver/api.h"
#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/live/park.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/plain.h"

enum { NOTE_MAX = 2000 };

struct decision {
	bool is_by_job;
	bool is_approval;
	const char *note;
};

static op_step decided;
static op_step edit_failed;
static op_step edit_decided;

static enum op_next
decide(struct op *op, bool is_by_job, bool is_approval)
{
	struct decision *d = op_state(op, sizeof(*d));
	const char *member = is_by_job ? "reason" : "note";
	const char *note = NULL, *why;
	const struct cJSON *body;
	rc ret;

	*d = (struct decision){is_by_job, is_approval, NULL};
	ret = req_json(op, true, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_str(body, member, NOTE_MAX, &note);
	if (note != NULL && !plain_is_text(note))
		ret = RC_INVALID;
	if (ret == RC_INVALID)
		return op_fail(op, ret,
		    "%s must be plain text of at most %d bytes", member,
		    NOTE_MAX);
	d->note = note;
	return OP_QUERY(op, Q_APPROVAL_DECIDE, decided,
	    is_by_job ? NULL : req_param(op, "id"),
	    is_by_job ? req_param(op, "id") : NULL, page_actor(op),
	    req_actor_type(op), is_approval ? "true" : "false", note,
	    op_printf(op, "rejected: %s",
		note && *note ? note : "no reason given"));
}

enum op_next
approval_approve(struct op *op)
{
	return decide(op, false, true);
}

enum op_next
approval_reject(struct op *op)
{
	return decide(op, false, false);
}

enum op_next
job_approve(struct op *op)
{
	return decide(op, true, true);
}

enum op_next
job_reject(struct op *op)
{
	return decide(op, true, false);
}

/* --- the answer --- */

static enum op_next
refuse(struct op *op, const struct decision *d)
{
	const char *verb = d->is_approval ? "approve" : "reject";

	if (outcome_is(op, "unknown"))
		return op_fail(op, RC_NOT_FOUND, "%s",
		    d->is_by_job ? "Job not found"
				 : "Approval request not found");
	if (outcome_is(op, "self"))
		return op_fail(op, RC_FORBIDDEN,
		    "you asked for this yourself: somebody else must %s it",
		    verb);
	if (outcome_is(op, "one"))
		return op_fail(op, RC_FORBIDDEN,
		    "one of you made the other's key anew, you or who asked "
		    "for this: somebody else must %s it, or the key's holder "
		    "must rotate it",
		    verb);
	if (outcome_is(op, "owner"))
		return op_fail(op, RC_FORBIDDEN,
		    "the certificate is yours: somebody else must %s it", verb);
	if (d->is_by_job)
		return op_fail(op, RC_INVALID,
		    "cannot %s job with status %s (must be AwaitingApproval)",
		    verb, op_text(op, 0, "job_status"));
	if (outcome_is(op, "decided"))
		return op_fail(op, RC_CONFLICT,
		    "the request was decided already: it is %s",
		    op_text(op, 0, "state"));
	return op_fail(op, RC_CONFLICT,
	    "the request's job does not wait for approval: it is %s",
	    op_text(op, 0, "job_status"));
}

/* Who goes on now: the agent with its CSR, or the queue. */
static void
tell(struct op *op)
{
	const char *agents[] = {NULL, NULL}, *issuers[] = {NULL, NULL};

	if (!op_is_null(op, 0, "agent_id"))
		agents[0] = op_text(op, 0, "agent_id");
	if (!op_is_null(op, 0, "issuer_id"))
		issuers[0] = op_text(op, 0, "issuer_id");
	if (agents[0] != NULL || issuers[0] != NULL)
		req_hint(op, issuers[0] != NULL ? 1 : 0, issuers, agents);
}

static enum op_next
reply_decided(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "id", op_text(op, 0, "id"));
	json_w_kv(w, "decided_by", page_actor(op));
	json_w_kv(w, "action", op_text(op, 0, "outcome"));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static bool
is_done(struct op *op)
{
	return outcome_is(op, "approved") || outcome_is(op, "rejected");
}

static enum op_next
decided(struct op *op)
{
	const struct decision *d = op_state(op, sizeof(*d));

	if (outcome_is(op, "unknown") && !d->is_by_job) {
		op_catch(op, edit_failed);
		return OP_QUERY(op, Q_PROFILE_EDIT_DECIDE, edit_decided,
		    req_param(op, "id"), page_actor(op), req_actor_type(op),
		    d->is_approval ? "true" : "false", d->note);
	}
	if (!is_done(op))
		return refuse(op, d);
	tell(op);
	if (d->is_by_job) {
		if (!d->is_approval)
			park_wake(req_api(op)->park, PARK_JOB,
			    req_param(op, "id"));
		return reply_status(op, 200, "status",
		    d->is_approval ? "job_approved" : "job_rejected");
	}
	return reply_decided(op);
}

/* --- the edit of a profile --- */

static enum op_next
edit_failed(struct op *op)
{
	return reply_db_error(op,
	    "another profile has the name of this edit: reject it");
}

static enum op_next
edit_decided(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Approval request not found");
	return is_done(op) ? reply_decided(op)
			   : refuse(op, op_state(op, sizeof(struct decision)));
}

/* --- what the document says of it --- */

static const struct field note_body[] = {
    {"note", FIELD_TEXT, FIELD_MULTILINE, .max = NOTE_MAX},
};

static const struct field reason_body[] = {
    {"reason", FIELD_TEXT, FIELD_MULTILINE, .max = NOTE_MAX},
};

static const struct field decided_fields[] = {
    {"id", FIELD_TEXT},
    {"decided_by", FIELD_TEXT},
    {"action", FIELD_TEXT},
};
const struct shape shape_approval_approve = {
    .does = "Approve what is asked",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(note_body)},
    .fields = SHAPE_TABLE(decided_fields),
};
const struct shape shape_approval_reject = {
    .does = "Reject what is asked",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(note_body)},
    .fields = SHAPE_TABLE(decided_fields),
};
const struct shape shape_job_approve = {
    .does = "Approve what a job waits for",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(reason_body)},
    .fields = SHAPE_TABLE(decided_fields),
};
const struct shape shape_job_reject = {
    .does = "Reject what a job waits for",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(reason_body)},
    .fields = SHAPE_TABLE(decided_fields),
};
