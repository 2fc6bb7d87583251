/*
 * POST cert/{id} and cert/{id}/{chain}: a certificate that was issued over
 * ACME, with its chain (RFC 8555 section 7.4.2).
 *
 * The id is the version's, and its account alone may have it.  Where the chain
 * ends with a root there is another without (chain 1), for servers that send
 * no more than they must.
 */
#include <string.h>

#include <openssl/x509.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/handlers/acme/signed.h"
#include "apiserver/live/gather.h"
#include "common/pki/asn1/pem.h"

#define LABEL "CERTIFICATE"
#define TYPE "application/pem-certificate-chain"
#define NO_CHAIN "there is no such chain of this certificate"

static op_step cert_signed;
static op_step cert_chain_signed;
static op_step cert_read;

/* The chain without its root, and no other. */
#define ROOTLESS "1"

struct asked {
	bool is_rootless;
};

enum op_next
acme_cert_start(struct op *op)
{
	return acme_signed(op, ACME_KID, cert_signed);
}

enum op_next
acme_cert_chain_start(struct op *op)
{
	return acme_signed(op, ACME_KID, cert_chain_signed);
}

static enum op_next
cert_signed(struct op *op)
{
	enum op_next no;

	if (!acme_is_read(op, &no))
		return no;
	return gather_query(req_api(op)->acme_certs, op, req_param(op, "id"),
	    cert_read);
}

static enum op_next
cert_chain_signed(struct op *op)
{
	struct asked *a = acme_state(op, sizeof(*a));

	a->is_rootless = true;
	if (strcmp(req_param(op, "chain"), ROOTLESS) != 0)
		return acme_problem_status(op, ACME_MALFORMED, 404, NO_CHAIN);
	return cert_signed(op);
}

static bool
is_root(struct span der)
{
	const unsigned char *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.len);
	bool is = x && X509_NAME_cmp(X509_get_subject_name(x),
			   X509_get_issuer_name(x)) == 0;

	X509_free(x);
	return is;
}

/* How much of the text stands in front of a root at its end; all of it where
 * there is none. */
static size_t
without_root(struct op *op, const char *pem)
{
	size_t len = strlen(pem), before = 0, n = 0;
	struct span der = {NULL, 0}, rest = {(const uint8_t *)pem, len};
	rc ret = RC_OK;

	while (ret == RC_OK && rest.len > 0) {
		size_t at = len - rest.len;

		ret = pem_read(op_arena(op), LABEL, (const char *)rest.p,
		    rest.len, &der, &rest);
		if (ret == RC_OK) {
			before = at;
			n++;
		}
	}
	return n > 1 && is_root(der) ? before : len;
}

static enum op_next
cert_read(struct op *op)
{
	const struct asked *a = acme_state(op, sizeof(*a));
	const char *pem, *url;
	size_t len, rootless;
	enum op_next no;

	if (!acme_is_own(op, "certificate", &no))
		return no;
	pem = op_text(op, 0, "pem");
	len = strlen(pem);
	rootless = without_root(op, pem);
	if (a->is_rootless && rootless == len)
		return acme_problem_status(op, ACME_MALFORMED, 404, NO_CHAIN);
	url = acme_url(op, "cert", req_param(op, "id"));
	if (rootless < len)
		acme_link(op,
		    a->is_rootless ? url : op_printf(op, "%s/" ROOTLESS, url),
		    "alternate");
	return acme_reply_bytes(op, 200, TYPE, pem,
	    a->is_rootless ? rootless : len);
}
