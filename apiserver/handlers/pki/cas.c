/*
 * The CAs of an issuer: GET /issuers/{id}/cas, those that sign, will and did;
 * POST /issuers/{id}/successor, which has a root's successor made beside it;
 * POST /issuers/{id}/switch, by which the successor signs from then on.
 */
#include "apiserver/handlers/pki/pki.h"

#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/field.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

enum { FINGERPRINT_LEN = 64 };

#define NO_ISSUER "Issuer not found"

static op_step cas_listed;
static op_step successor_asked;
static op_step switched;

static const struct field ca_fields[] = {
    {"state", FIELD_TEXT},
    {"fingerprint_sha256", FIELD_TEXT},
    {"not_before", FIELD_TIME},
    {"not_after", FIELD_TIME},
    {"list", FIELD_TEXT},
    {"certificate_pem", FIELD_TEXT},
};

enum op_next
issuer_cas_start(struct op *op)
{
	return OP_QUERY(op, Q_ISSUER_CAS, cas_listed, req_param(op, "id"));
}

static enum op_next
cas_listed(struct op *op)
{
	const struct db_result *result = op_result(op, 0);
	struct json_w *w = reply_writer(op);
	struct field_rows rows;
	size_t n = db_nrows(result);

	if (n == 0)
		return op_fail(op, RC_NOT_FOUND, NO_ISSUER);
	if (op_is_null(op, 0, "state"))
		n = 0;
	field_rows_init(&rows, result, ca_fields, ARRAY_LEN(ca_fields), NULL);
	json_w_open(w, '{');
	json_w_key(w, "data");
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++)
		field_rows_put(&rows, op_arena(op), w, i);
	json_w_close(w, ']');
	json_w_kv_int(w, "total", (int64_t)n);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
issuer_successor_start(struct op *op)
{
	const struct cJSON *body; /* nothing need stand there */
	const char *why;
	rc ret;

	ret = req_json(op, true, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);

	const char *asker[] = {req_param(op, "id"), page_actor(op),
	    req_actor_type(op)};
	const struct db_stmt stmts[] = {
	    {Q_ISSUER_SUCCESSOR_ASK, ARRAY_LEN(asker), asker},
	    {Q_ISSUER_SUCCESSOR_ASKED, 1, asker},
	};
	return op_batch(op, successor_asked, ARRAY_LEN(stmts), stmts);
}

static enum op_next
successor_asked(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"no_issuer", RC_NOT_FOUND, NO_ISSUER},
	    {"outside", RC_CONFLICT,
		"the product makes successors of roots whose key it keeps, and "
		"this issuer has none; a sub-CA gets another certificate in "
		"its files, or make another issuer"},
	};
	const char *issuers[] = {req_param(op, "id"), NULL};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	req_hint(op, 1, issuers, NULL);
	return reply_status(op, 202, "status",
	    outcome_is(op, "asked") ? "successor_requested"
				    : "successor_exists");
}

enum op_next
issuer_switch_start(struct op *op)
{
	const char *fingerprint = "", *why;
	const struct cJSON *body;
	rc ret;

	ret = req_json(op, false, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret =
	    json_str(body, "fingerprint_sha256", FINGERPRINT_LEN, &fingerprint);
	if (ret != RC_OK || strlen(fingerprint) != FINGERPRINT_LEN)
		return op_fail(op, RC_INVALID,
		    "fingerprint_sha256 must name the successor that was "
		    "handed out: 64 hex digits");
	return OP_QUERY(op, Q_ISSUER_SWITCH, switched, req_param(op, "id"),
	    fingerprint, page_actor(op), req_actor_type(op));
}

static enum op_next
switched(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"no_issuer", RC_NOT_FOUND, NO_ISSUER},
	    {"unknown", RC_CONFLICT,
		"this issuer has no successor of that fingerprint"},
	};
	const char *issuers[] = {req_param(op, "id"), NULL};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	req_hint(op, 1, issuers, NULL);
	return reply_status(op, 200, "status", op_text(op, 0, "outcome"));
}

/* --- what the document says of it --- */

static const struct field switch_body[] = {
    {"fingerprint_sha256", FIELD_TEXT, FIELD_REQUIRED, .max = FINGERPRINT_LEN},
};

const struct shape shape_issuer_cas_start = {
    .does = "List the CAs of an issuer",
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(ca_fields),
};
const struct shape shape_issuer_successor_start = {
    .does = "Have the successor of an issuer's CA made",
    .has_body = true,
    .may_be_empty = true,
    .status = 202,
    .answer = SHAPE_STATUS,
};
const struct shape shape_issuer_switch_start = {
    .does = "Let the successor sign",
    .has_body = true,
    .body = {SHAPE_TABLE(switch_body)},
    .answer = SHAPE_STATUS,
};
