/*
 * POST /certificates/{id}/revoke, and the reasons a certificate may be
 * revoked for.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

enum { MAX_REASON = 50 };

static op_step revoke_done;

bool
cert_reason_is_valid(const char *reason)
{
	/* RFC 5280's, without those that only a CRL uses. */
	static const char *const reasons[] = {"unspecified", "keyCompromise",
	    "caCompromise", "affiliationChanged", "superseded",
	    "cessationOfOperation", "certificateHold", "privilegeWithdrawn"};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (strcmp(reasons[i], reason) == 0)
			return true;
	}
	return false;
}

rc
cert_reason_read(struct op *op, const char **out_reason, const char **out_why)
{
	const struct cJSON *body;
	rc ret = cert_wish_read(op, &body, out_why);

	if (ret != RC_OK)
		return ret;
	*out_reason = "unspecified";
	*out_why = "invalid revocation reason";
	ret = json_str(body, "reason", MAX_REASON, out_reason);
	if ((*out_reason)[0] == '\0')
		*out_reason = "unspecified";
	return ret == RC_INVALID || !cert_reason_is_valid(*out_reason)
		   ? RC_INVALID
		   : RC_OK;
}

const char *
cert_why_revoked(struct op *op)
{
	return op_printf(op, "certificate revoked by %s", page_actor(op));
}

enum op_next
cert_revoke(struct op *op)
{
	const char *why, *reason;
	rc ret = cert_reason_read(op, &reason, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_CERT_REVOKE, revoke_done, req_param(op, "id"),
	    reason, page_actor(op), req_actor_type(op), cert_why_revoked(op));
}

static enum op_next
revoke_done(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"already_revoked", RC_INVALID, "certificate is already revoked"},
	    {"held", RC_BUSY, OP_HELD_WORDS},
	    {"archived", RC_INVALID, "cannot revoke archived certificate"},
	    {"no_version", RC_NOT_FOUND,
		"the certificate has no version to revoke"},
	};
	enum op_next no;

	if (op_rows(op) == 0)
		return cert_not_found(op);
	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	return reply_status(op, 200, "status", "revoked");
}

/* --- what the document says of it --- */

static const struct field revoke_body[] = {
    {"reason", FIELD_TEXT, 0, .max = MAX_REASON},
};

const struct shape shape_cert_revoke = {
    .does = "Revoke a certificate",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(revoke_body)},
    .answer = SHAPE_STATUS,
};
