/*
 * POST key-change: another key for an account (RFC 8555 section 7.3.5).
 *
 * The request is signed by the key that the account has, and what travels in
 * it by the one that it is to have: so neither is changed without who holds it.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/keys.h"
#include "apiserver/handlers/acme/signed.h"
#include "common/jose/jws.h"
#include "common/json/json.h"

static op_step key_change_signed;
static op_step key_change_done;

enum op_next
acme_key_change_start(struct op *op)
{
	return acme_signed(op, ACME_KID, key_change_signed);
}

/* What the new key has signed: NULL, or why it is not what it must be. */
static const char *
content_fault(struct op *op, const struct jws *inner)
{
	const struct acme_request *r = acme_request(op);
	struct jose_refusal refusal = {0};
	const struct cJSON *content;
	const struct jwk *old;
	const char *account, *why;
	rc ret;

	if (!inner->url || strcmp(inner->url, r->jws->url) != 0)
		return "url of the inner JWS must be that of the outer one";
	ret = json_parse(op_arena(op), (const char *)inner->payload.p,
	    inner->payload.len, &content, &why);
	if (ret != RC_OK || !cJSON_IsObject(content))
		return "the payload of the inner JWS must be an object with "
		       "account and oldKey";
	ret = json_str_exact(content, "account", JWS_KID_MAX, &account);
	if (ret != RC_OK || strcmp(account, r->jws->kid) != 0)
		return "account in the inner JWS must be the kid of the outer "
		       "one";
	ret = jwk_read(op_arena(op), json_get_exact(content, "oldKey"), &old,
	    &refusal);
	if (ret != RC_OK)
		return op_printf(op, "oldKey: %s", refusal.why);
	if (strcmp(old->thumbprint, r->key->thumbprint) != 0)
		return "oldKey is not the key that the account has";
	return NULL;
}

static enum op_next
key_change_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	struct jose_refusal refusal = {0};
	const struct jws *inner;
	const char *why;
	rc ret;

	if (!r->payload)
		return acme_problem(op, ACME_MALFORMED,
		    "the payload of key-change must be a JWS that the new key "
		    "has signed (RFC 8555 section 7.3.5)");
	ret = jws_read(op_arena(op), r->payload, JWS_KEY_CHANGE, &inner,
	    &refusal);
	if (ret == RC_OK)
		ret = jws_verify(op_arena(op), inner, inner->jwk, &refusal);
	if (ret == RC_INVALID)
		return acme_problem_jose(op, &refusal, "the inner JWS: ");
	if (ret != RC_OK)
		return op_fail(op, ret, "the signature could not be verified");
	why = content_fault(op, inner);
	if (why)
		return acme_problem(op, ACME_MALFORMED, "%s", why);
	return OP_QUERY(op, Q_ACME_KEY_CHANGE, key_change_done, r->account_id,
	    r->key->thumbprint, inner->jwk->thumbprint,
	    jwk_pem(op_arena(op), inner->jwk),
	    op_printf(op, "%" PRId64, r->settings.key_changes_per_hour));
}

static enum op_next
key_change_done(struct op *op)
{
	const char *outcome = op_text(op, 0, "outcome");

	if (strcmp(outcome, "taken") == 0) {
		reply_header(op, "Location",
		    op_printf(op, "%s/account/%s", acme_request(op)->base,
			op_text(op, 0, "account_id")));
		return acme_problem_status(op, ACME_UNAUTHORIZED, 409,
		    "an account has that key: change to one that is new");
	}
	if (strcmp(outcome, "raced") == 0)
		return acme_problem_status(op, ACME_UNAUTHORIZED, 409,
		    "the account's key was changed meanwhile, or the account "
		    "is not valid any more: read the account with the key it "
		    "has now");
	if (strcmp(outcome, "limited") == 0) {
		reply_header(op, "Retry-After", op_text(op, 0, "wait_s"));
		return acme_limited(op, ACME_LIMIT_KEY_CHANGES,
		    "the account has changed its key as often as it may in an "
		    "hour: try again after %s seconds",
		    op_text(op, 0, "wait_s"));
	}
	return acme_reply_bytes(op, 200, NULL, "", 0);
}
