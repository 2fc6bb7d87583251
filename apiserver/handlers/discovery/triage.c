/*
 * POST /discovered-certificates/{id}/claim and /dismiss: whose certificate it
 * is that was found, or that it is nobody's to manage.
 */
#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/discovery/discovery.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"

enum { ID_MAX = 128 };

static const struct field claim_body[] = {
    {"managed_certificate_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID,
	.max = ID_MAX},
};

static op_step claimed;
static op_step dismissed;

enum op_next
discovered_claim_start(struct op *op)
{
	const struct cJSON *body;
	const char *checked, *certificate = NULL, *why;
	rc ret;

	ret = req_json(op, false, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), claim_body,
		    ARRAY_LEN(claim_body), body, true, &checked, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_str(body, "managed_certificate_id", ID_MAX, &certificate);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID,
		    "managed_certificate_id is required");
	return OP_QUERY(op, Q_DISCOVERED_TRIAGE, claimed, req_param(op, "id"),
	    certificate, page_actor(op), req_actor_type(op));
}

enum op_next
discovered_dismiss_start(struct op *op)
{
	return OP_QUERY(op, Q_DISCOVERED_TRIAGE, dismissed, req_param(op, "id"),
	    NULL, page_actor(op), req_actor_type(op));
}

static enum op_next
answer(struct op *op, const char *status, const char *message)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Discovered certificate not found"},
	    {"unknown_certificate", RC_INVALID,
		"managed_certificate_id: there is no such certificate"},
	    {"archived", RC_CONFLICT,
		"the certificate of managed_certificate_id is archived"},
	};
	struct json_w *w;
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "status", status);
	json_w_kv(w, "message", message);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
claimed(struct op *op)
{
	return answer(op, "claimed",
	    "The discovered certificate is the managed one's");
}

static enum op_next
dismissed(struct op *op)
{
	return answer(op, "dismissed",
	    "The discovered certificate is nobody's to manage");
}

/* --- what the document says of it --- */

static const struct field triage_answer[] = {
    {"status", FIELD_TEXT},
    {"message", FIELD_TEXT},
};

const struct shape shape_discovered_claim_start = {
    .does = "Say whose certificate it is that was found",
    .has_body = true,
    .body = {SHAPE_TABLE(claim_body)},
    .fields = SHAPE_TABLE(triage_answer),
};
const struct shape shape_discovered_dismiss_start = {
    .does = "Say that a certificate that was found is nobody's to manage",
    .fields = SHAPE_TABLE(triage_answer),
};
