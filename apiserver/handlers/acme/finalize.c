/*
 * POST order/{id}/finalize: the CSR of an order becomes a job (RFC 8555
 * section 7.4), and the client waits a while for what comes of it.
 *
 * All that can be wrong with the CSR is found here, before a worker sees it.
 * Once the job is there nothing is lost when the client or this process goes:
 * the order is found by its URL, and the same CSR is accepted again.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/identifiers.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/signed.h"
#include "apiserver/live/gather.h"
#include "apiserver/live/park.h"
#include "common/base/attr.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/csr/csr.h"
#include "common/pki/profile/certprofile.h"

#define LABEL "CERTIFICATE REQUEST"

enum {
	WAIT_MS = 8000,   /* for the job */
	ANSWER_MS = 10000 /* for the last look behind it */
};

/* Between what the statement is told of a request; in none of it. */
#define SEPARATOR "\x1f"

struct finalizing {
	struct csr csr;
	const char *pem;     /* its block alone, in one spelling */
	struct watch *watch; /* NULL: too many wait */
	int64_t until_ms;
};

static op_step finalize_signed;
static op_step finalize_submitted;
static op_step finalize_look;
static op_step finalize_looked;

enum op_next
acme_finalize_start(struct op *op)
{
	return acme_signed(op, ACME_KID, finalize_signed);
}

static struct finalizing *
state_of(struct op *op)
{
	return acme_state(op, sizeof(struct finalizing));
}

static rc
read_csr(struct op *op, struct finalizing *f, const char **out_why)
{
	const char *text = "";
	uint8_t *der;
	size_t len;
	rc ret;

	*out_why = "the payload must have \"csr\": the DER form of a PKCS#10 "
		   "request in base64url, without padding";
	ret = json_str(acme_request(op)->payload, "csr", CSR_PEM_MAX, &text);
	if (ret != RC_OK)
		return RC_INVALID;
	ret = enc_unbase64url(op_arena(op), text, strlen(text), &der, &len);
	if (ret != RC_OK || len == 0)
		return RC_INVALID;
	f->pem = pem_write(op_arena(op), LABEL, (struct span){der, len});
	return csr_parse(op_arena(op), f->pem, strlen(f->pem), &f->csr,
	    out_why);
}

/* --- what may be wrong with a CSR --- */

/* RFC 8555 section 11.1: an account's key signs requests and nothing else.  In
 * the one spelling that a certificate has of it. */
static rc
check_key(struct op *op, const struct csr *csr, const char **out_why)
{
	const char *pem = acme_request(op)->account_pem;
	struct span spki;
	rc ret;

	*out_why = "the account's key may not be a certificate's: make "
		   "another";
	ret =
	    pem_read(op_arena(op), "PUBLIC KEY", pem, strlen(pem), &spki, NULL);
	if (ret != RC_OK)
		return ret;
	return span_equal(spki, csr->leaf_spki) ? RC_INVALID : RC_OK;
}

static rc
check(struct op *op, const struct csr *csr, const char **out_why)
{
	struct certprofile profile;
	rc ret;

	ret = check_key(op, csr, out_why);
	if (ret == RC_OK)
		ret = certprofile_read(op_arena(op), acme_request(op)->profile,
		    &profile, out_why);
	if (ret == RC_OK)
		ret = certprofile_allows_request(op_arena(op), &profile, csr,
		    out_why);
	if (ret != RC_OK)
		return ret;
	/* Last: it costs more than all the rest. */
	*out_why = "its signature does not verify";
	return csr_verify(csr);
}

/* With what others submit at the same time. */
static enum op_next
submit(struct op *op, struct finalizing *f)
{
	const char *names = acme_identifiers_of(op, &f->csr);
	char key_hash[65];

	if (strstr(names, SEPARATOR))
		return acme_problem(op, ACME_BAD_CSR,
		    "csr: a name in it has a control character");
	enc_sha256_hex(f->csr.spki.p, f->csr.spki.len, key_hash);
	return gather_query(req_api(op)->acme_finalizes, op,
	    op_printf(op,
		"%s" SEPARATOR "%s" SEPARATOR "%s" SEPARATOR "%s" SEPARATOR
		"%s" SEPARATOR "%s",
		acme_request(op)->account_id, req_param(op, "id"), names,
		key_hash, f->csr.key_algorithm, f->pem),
	    finalize_submitted);
}

static enum op_next
finalize_signed(struct op *op)
{
	const char *why;
	rc ret;

	if (!acme_request(op)->payload)
		return acme_problem(op, ACME_MALFORMED,
		    "the payload must be an object with \"csr\"");
	ret = read_csr(op, state_of(op), &why);
	if (ret != RC_OK)
		return acme_problem(op, ACME_BAD_CSR, "csr: %s", why);
	ret = check(op, &state_of(op)->csr, &why);
	if (ret != RC_OK)
		return acme_problem(op, ACME_BAD_CSR, "csr: %s", why);
	return submit(op, state_of(op));
}

/* --- the job --- */

static const struct {
	const char *word;
	enum acme_error type;
	int status; /* 0: the type's own */
	const char *text;
} refusals[] = {
    {"pending", ACME_ORDER_NOT_READY, 0,
	"not all authorizations of the order are valid"},
    {"expired", ACME_ORDER_NOT_READY, 0,
	"the order has expired; place a new one"},
    {"invalid", ACME_ORDER_NOT_READY, 0,
	"the order is invalid; its \"error\" says why: place a new one"},
    {"other_csr", ACME_ORDER_NOT_READY, 0,
	"the order was finalized with the CSR of another key"},
    {"other_names", ACME_BAD_CSR, 0,
	"csr: its common name and alternative names must be exactly the "
	"order's identifiers"},
    {"unknown", ACME_MALFORMED, 404, "there is no order of this id"},
    {"foreign", ACME_UNAUTHORIZED, 0, "this order is not the account's"},
    {"unconfigured", ACME_USER_ACTION_REQUIRED, 403,
	"the profile has no issuer_id or no acme_owner_id, or is disabled: "
	"whoever runs this server has to set them"},
    {"issuer_disabled", ACME_SERVER_INTERNAL, 503,
	"the profile's issuer is disabled; the order stays ready, so finalize "
	"it when whoever runs this server has enabled the issuer"},
};

static enum op_next
finalize_submitted(struct op *op)
{
	struct finalizing *f = state_of(op);
	const char *outcome = op_text(op, 0, "outcome");
	const char *due = op_text(op, 0, "due_after");

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (strcmp(outcome, refusals[i].word) == 0)
			return acme_problem_status(op, refusals[i].type,
			    refusals[i].status, "%s", refusals[i].text);
	}
	op_extend(op, WAIT_MS + ANSWER_MS);
	f->until_ms = clock_boot_ms() + WAIT_MS;
	f->watch = park_watch(req_api(op)->park, op, PARK_JOB,
	    op_text(op, 0, "job_id"));
	if (strcmp(outcome, "accepted") != 0)
		return finalize_look(op); /* its job may have ended before */
	/* One that waits for an approval first is not due. */
	if (due[0] != '\0')
		req_hint_due(op, op_text(op, 0, "issuer_id"), due);
	if (!f->watch || park_is_stopping(req_api(op)->park))
		return finalize_look(op);
	/* A job that ends before this is looked for once a second. */
	return park_wait(f->watch, WAIT_MS, finalize_look);
}

static enum op_next
finalize_look(struct op *op)
{
	return gather_query(req_api(op)->acme_orders, op, req_param(op, "id"),
	    finalize_looked);
}

static enum op_next
finalize_looked(struct op *op)
{
	struct finalizing *f = state_of(op);
	int64_t left_ms = f->until_ms - clock_boot_ms();
	enum op_next no;

	if (!acme_is_own(op, "order", &no))
		return no;
	if (f->watch && left_ms > 0 &&
	    strcmp(op_text(op, 0, "status"), "processing") == 0 &&
	    !park_is_stopping(req_api(op)->park))
		return park_wait(f->watch, left_ms, finalize_look);
	reply_header(op, "Location",
	    acme_url(op, "order", op_text(op, 0, "order_id")));
	return acme_reply_order(op, 200);
}
