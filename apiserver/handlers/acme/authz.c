/*
 * POST authz/{id}: an authorization (RFC 8555 section 7.1.4), which its account
 * may give up (section 7.5.2).
 */
#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/signed.h"

static op_step authz_signed;
static op_step authz_deactivated;
static op_step authz_read;

enum op_next
acme_authz_start(struct op *op)
{
	return acme_signed(op, ACME_KID, authz_signed);
}

static enum op_next
authz_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	const char *status = "";
	rc ret = RC_OK;

	if (!r->payload)
		return OP_QUERY(op, Q_ACME_AUTHZ, authz_read,
		    req_param(op, "id"));
	ret = json_str(r->payload, "status", 64, &status);
	if (ret != RC_OK || strcmp(status, "deactivated") != 0)
		return acme_problem(op, ACME_MALFORMED,
		    "the payload must be empty, or {\"status\": "
		    "\"deactivated\"}");
	return OP_QUERY(op, Q_ACME_AUTHZ_DEACTIVATE, authz_deactivated,
	    r->account_id, req_param(op, "id"));
}

/* Whose it is, is said by what is read next. */
static enum op_next
authz_deactivated(struct op *op)
{
	if (outcome_is(op, "final"))
		return acme_problem(op, ACME_MALFORMED,
		    "the authorization is neither pending nor valid, so it "
		    "cannot be deactivated");
	return OP_QUERY(op, Q_ACME_AUTHZ, authz_read, req_param(op, "id"));
}

static enum op_next
authz_read(struct op *op)
{
	struct json_w *w;
	enum op_next no;

	if (!acme_is_own(op, "authorization", &no))
		return no;
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv_raw(w, "identifier", op_text(op, 0, "identifier"));
	json_w_kv(w, "status", op_text(op, 0, "status"));
	acme_put_time(w, "expires", op_text(op, 0, "expires_at"));
	if (op_bool(op, 0, "wildcard"))
		json_w_kv_bool(w, "wildcard", true);
	json_w_key(w, "challenges");
	json_w_open(w, '[');
	for (size_t i = 0; i < op_rows(op); i++)
		acme_put_challenge(op, w, i);
	json_w_close(w, ']');
	json_w_close(w, '}');
	return acme_reply(op, 200);
}
