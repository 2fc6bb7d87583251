/*
 * The CAs of an issuer's hierarchy: GET /issuers/{id}/intermediates, GET
 * /intermediates/{id}, POST /intermediates/{id}/retire and
 * /revoke.
 */
#include "apiserver/handlers/pki/intermediates.h"

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/certificates/certs.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

enum { NOTE_MAX = 1000, REASON_MAX = 64 };

static op_step listed;
static op_step got;
static op_step retired;
static op_step revoked;

const struct field intermediate_fields[] = {
    {"id", FIELD_TEXT},
    {"owning_issuer_id", FIELD_TEXT},
    {"parent_ca_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"name", FIELD_TEXT},
    {"subject", FIELD_TEXT},
    {"state", FIELD_TEXT},
    {"cert_pem", FIELD_TEXT},
    {"key_driver_id", FIELD_TEXT},
    {"not_before", FIELD_TIME},
    {"not_after", FIELD_TIME},
    {"path_len_constraint", FIELD_INT, FIELD_OMIT_EMPTY},
    {"name_constraints", FIELD_OBJECTS, FIELD_OMIT_EMPTY},
    {"ocsp_responder_url", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"metadata", FIELD_TAGS, FIELD_OMIT_EMPTY},
    {"fingerprint_sha256", FIELD_TEXT},
    {"serial_number", FIELD_TEXT},
    {"revoked_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"revocation_reason", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
    {"updated_at", FIELD_TIME},
};
const size_t intermediate_nfields = ARRAY_LEN(intermediate_fields);

enum op_next
intermediate_list_start(struct op *op)
{
	return OP_QUERY(op, Q_INTERMEDIATE_CA_LIST, listed,
	    req_param(op, "id"));
}

static enum op_next
listed(struct op *op)
{
	const struct db_result *result = op_result(op, 0);
	struct json_w *w = reply_writer(op);
	struct field_rows rows;
	size_t n = db_nrows(result);

	if (n == 0)
		return op_fail(op, RC_NOT_FOUND, "Issuer not found");
	if (op_is_null(op, 0, "id"))
		n = 0;
	field_rows_init(&rows, result, intermediate_fields,
	    ARRAY_LEN(intermediate_fields), NULL);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&rows, op_arena(op), w, n);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
intermediate_get_start(struct op *op)
{
	return OP_QUERY(op, Q_INTERMEDIATE_CA_GET, got, req_param(op, "id"));
}

static enum op_next
got(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Intermediate CA not found");
	return page_reply_one(op, 200, intermediate_fields,
	    ARRAY_LEN(intermediate_fields));
}

/* --- retire --- */

struct retire {
	bool is_confirmed;
};

static const struct field retire_body[] = {
    {"note", FIELD_TEXT, FIELD_MULTILINE, .max = NOTE_MAX},
    {"confirm", FIELD_BOOL},
};

enum op_next
intermediate_retire_start(struct op *op)
{
	struct retire *r = op_state(op, sizeof(*r));
	const char *why, *checked, *note = "";
	const struct cJSON *body;
	rc ret;

	ret = req_json(op, true, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), retire_body,
		    ARRAY_LEN(retire_body), body, true, &checked, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	IGNORE_RESULT(json_str(body, "note", 4 * NOTE_MAX, &note));
	IGNORE_RESULT(json_bool(body, "confirm", &r->is_confirmed));
	return OP_QUERY(op, Q_INTERMEDIATE_CA_RETIRE, retired,
	    req_param(op, "id"), r->is_confirmed ? "true" : "false", note,
	    page_actor(op), req_actor_type(op));
}

static enum op_next
retired(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Intermediate CA not found"},
	    {"retired", RC_CONFLICT, "the CA is retired already"},
	    {"unconfirmed", RC_CONFLICT,
		"the CA is retiring; send confirm to retire it for good"},
	    {"children", RC_CONFLICT,
		"the CA has active CAs below it; retire them first"},
	    {"signing", RC_CONFLICT,
		"the CA signs its issuer's certificates; switch to another "
		"first"},
	};
	const struct retire *r = op_state(op, sizeof(*r));
	enum op_next no;
	struct json_w *w;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "id", req_param(op, "id"));
	json_w_kv(w, "decided_by", page_actor(op));
	json_w_kv_bool(w, "confirmed", r->is_confirmed);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- revoke --- */

static const struct field revoke_body[] = {
    {"reason", FIELD_TEXT, 0, .max = REASON_MAX},
};

enum op_next
intermediate_revoke_start(struct op *op)
{
	const char *why, *reason;
	rc ret = cert_reason_read(op, &reason, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_INTERMEDIATE_CA_REVOKE, revoked,
	    req_param(op, "id"), reason, page_actor(op), req_actor_type(op));
}

static enum op_next
revoked(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Intermediate CA not found"},
	    {"root", RC_CONFLICT,
		"nobody is above a root to revoke it: take it out of what "
		"trusts it"},
	    {"unretired", RC_CONFLICT,
		"the CA is not retired; retire it first, so that nothing is "
		"signed by it any more"},
	    {"revoked", RC_CONFLICT, "the CA is revoked already"},
	};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	return reply_status(op, 200, "status", "revoked");
}

/* --- what the document says of it --- */

static const struct field retire_fields[] = {
    {"id", FIELD_TEXT},
    {"decided_by", FIELD_TEXT},
    {"confirmed", FIELD_BOOL},
};

const struct shape shape_intermediate_list_start = {
    .does = "List the CAs of an issuer's hierarchy",
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(intermediate_fields),
};
const struct shape shape_intermediate_get_start = {
    .does = "Get a CA of a hierarchy",
    .fields = SHAPE_TABLE(intermediate_fields),
};
const struct shape shape_intermediate_retire_start = {
    .does = "Retire a CA of a hierarchy, in two steps",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(retire_body)},
    .fields = SHAPE_TABLE(retire_fields),
};
const struct shape shape_intermediate_revoke_start = {
    .does = "Revoke the certificate of a CA of a hierarchy",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(revoke_body)},
    .answer = SHAPE_STATUS,
};
