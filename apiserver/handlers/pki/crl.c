/*
 * GET /.well-known/pki/crl/{issuer} and .../{issuer}/{key}: the revocation list
 * of the first key that signed for the issuer, and of a later one, as a
 * worker made it, or fetched it from the issuer's CA.  Nothing is signed here;
 * a list that is not there, or whose time is over, is asked for, and the client
 * told to come back.
 */
#include <inttypes.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/pki/pki.h"
#include "apiserver/live/crlstore.h"
#include "apiserver/resources/shape.h"

#define MAX_AGE_SECONDS 3600
#define RETRY_SECONDS "2"

static op_step crl_found;
static op_step crl_body_found;
static op_step crl_requested;

struct crl_get {
	const char *list; /* what it is called */
	int64_t left_s;
};

enum op_next
crl_get_start(struct op *op)
{
	const char *issuer = req_param(op, "issuer");

	return OP_QUERY(op, Q_CRL_HEAD, crl_found, issuer, issuer);
}

enum op_next
crl_get_of_key_start(struct op *op)
{
	const char *issuer = req_param(op, "issuer");

	return OP_QUERY(op, Q_CRL_HEAD, crl_found, issuer,
	    op_printf(op, "%s/%s", issuer, req_param(op, "key")));
}

/* The same with a list and with 304 (RFC 9110 section 15.4.5). */
static void
put_freshness(struct op *op, const char *etag)
{
	const struct crl_get *g = op_state(op, sizeof(*g));
	int64_t age = g->left_s < MAX_AGE_SECONDS ? g->left_s : MAX_AGE_SECONDS;

	reply_header(op, "Cache-Control",
	    op_printf(op, "public, max-age=%" PRId64 ", must-revalidate", age));
	reply_header(op, "ETag", etag);
}

static enum op_next
send_list(struct op *op, const char *etag, struct span der)
{
	put_freshness(op, etag);
	return reply_bytes(op, 200, "application/pkix-crl", der.p, der.len);
}

static enum op_next
crl_found(struct op *op)
{
	struct crl_get *g = op_state(op, sizeof(*g));
	const char *issuer = req_param(op, "issuer"), *etag;
	struct span der;

	if (op_rows(op) == 0)
		return pki_refuse(op, 404, "Not Found", "Issuer not found");
	if (!op_bool(op, 0, "is_served"))
		return pki_refuse(op, 501, "Not Implemented",
		    "this issuer's revocation list is published by its own CA");
	if (op_is_null(op, 0, "list"))
		return pki_refuse(op, 404, "Not Found",
		    "no key of this issuer has that list");
	g->list = op_printf(op, "%s", op_text(op, 0, "list"));
	if (!op_is_null(op, 0, "etag"))
		g->left_s = op_i64(op, 0, "left_s");
	if (g->left_s <= 0)
		return OP_QUERY(op, Q_CRL_REQUEST, crl_requested, issuer,
		    g->list);
	etag = op_text(op, 0, "etag");
	if (req_has_tag(op, etag)) {
		put_freshness(op, etag);
		return reply_bytes(op, 304, NULL, "", 0);
	}
	der = crlstore_get(req_api(op)->crls, g->list, etag);
	if (der.len > 0)
		return send_list(op, etag, der);
	return OP_QUERY(op, Q_CRL_BODY, crl_body_found, g->list);
}

static enum op_next
crl_body_found(struct op *op)
{
	const struct crl_get *g = op_state(op, sizeof(*g));
	struct span der = {NULL, 0};

	if (op_rows(op) > 0)
		der = crlstore_put(req_api(op)->crls, g->list,
		    op_text(op, 0, "etag"), op_text(op, 0, "der"));
	if (der.len == 0)
		return pki_refuse(op, 500, "Internal Server Error",
		    "the list could not be read");
	return send_list(op, op_text(op, 0, "etag"), der);
}

static enum op_next
crl_requested(struct op *op)
{
	req_hint(op, 0, NULL, NULL);
	reply_header(op, "Retry-After", RETRY_SECONDS);
	return pki_refuse(op, 503, "Service Unavailable",
	    "the revocation list is being made; ask again in a few seconds");
}

/* --- what the document says of it --- */

const struct shape shape_crl_get_start = {
    .does = "Get the revocation list of an issuer's first key",
    .answer = SHAPE_BYTES,
    .content_type = "application/pkix-crl",
    .has_tag = true,
};
const struct shape shape_crl_get_of_key_start = {
    .does = "Get the revocation list of one key",
    .answer = SHAPE_BYTES,
    .content_type = "application/pkix-crl",
    .has_tag = true,
};
