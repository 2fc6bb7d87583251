/*
 * What an ACME CA is asked without an order: to revoke a certificate (RFC 8555
 * section 7.6), by the account that it was issued to, and whether it can be
 * used, which makes the account where there is none.
 */
#include <string.h>

#include "common/base/enc.h"
#include "common/pki/asn1/pem.h"
#include "worker/issuers/acme_order.h"

static void tell(struct acme_order *o, const struct issuer_revocation *what,
    bool has_reason);

/* Nothing of the request is at fault. */
static const char *const later[] = {"badNonce", "rateLimited", "serverInternal",
    "accountDoesNotExist", NULL};

/* A problem of the CA's that is not to be gone by itself. */
static bool
is_refusal(const struct acme_reply *r)
{
	return r->problem[0] != '\0' && !acme_is_one_of(r->problem, later) &&
	       (!r->http || r->http->status < 500);
}

/* --- revoking --- */

static void
on_told(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;

	if (r->is_good || strcmp(r->problem, "alreadyRevoked") == 0)
		acme_order_answer(o, ISSUER_DONE, "", 0);
	else if (strcmp(r->problem, "badRevocationReason") == 0 &&
		 o->revocation)
		tell(o, o->revocation, false);
	else
		acme_order_answer(o,
		    is_refusal(r) ? ISSUER_REFUSED : ISSUER_RETRY, r->words,
		    r->retry_after_s);
}

static void
tell(struct acme_order *o, const struct issuer_revocation *what,
    bool has_reason)
{
	struct acme_request req = {.resource = "revokeCert"};
	const struct span der = o->leaf;

	/* A CA may know fewer reasons than we do. */
	o->revocation = has_reason ? what : NULL;
	req.payload = arena_printf(o->a, "{\"certificate\":\"%s\"%s}",
	    enc_base64url(o->a, der.p, der.len),
	    has_reason ? arena_printf(o->a, ",\"reason\":%d", what->reason_code)
		       : "");
	acme_client_ask(o->client, &req, on_told, o);
}

rc
acme_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg)
{
	struct acme_order *o = order;
	rc ret;

	ret = pem_read(o->a, "CERTIFICATE", what->pem, strlen(what->pem),
	    &o->leaf, NULL);
	if (ret != RC_OK)
		return ret; /* nothing is asked of what nobody can name */
	acme_order_begin(o, ACME_ASK_MS, done, arg);
	tell(o, what, what->reason_code != 0);
	return RC_OK;
}

/* --- whether it can be used --- */

static void
on_account(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;

	const char *misfit = r->is_good ? acme_order_misfit(o) : NULL;

	if (r->is_good && !misfit && o->config.asks_windows &&
	    !acme_client_has(o->client, "renewalInfo"))
		misfit = "the CA has no renewal information (RFC 9773), so "
			 "ari_enabled can't be true";
	if (misfit)
		acme_order_answer(o, ISSUER_REFUSED, misfit, 0);
	else if (r->is_good)
		acme_order_answer(o, ISSUER_DONE, "", 0);
	else
		acme_order_answer(o,
		    is_refusal(r) ? ISSUER_REFUSED : ISSUER_RETRY, r->words,
		    r->retry_after_s);
}

rc
acme_validate(void *order, issuer_answer_fn *done, void *arg)
{
	struct acme_order *o = order;

	acme_order_begin(o, ACME_ASK_MS, done, arg);
	/* What the CA offers now, not what it did an hour ago. */
	acme_client_forget_directory(o->client);
	acme_order_ask(o, NULL, NULL, on_account); /* the account itself */
	return RC_OK;
}
