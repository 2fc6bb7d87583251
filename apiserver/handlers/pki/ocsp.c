/*
 * GET /.well-known/pki/ocsp/{issuer}/{serial in hex, or a request in base64}
 * and POST /.well-known/pki/ocsp/{issuer}: the status of certificates (RFC
 * 6960, RFC 5019).
 *
 * Nothing is signed here.  What was asked for lately is answered from memory:
 * the database's count of revocations says once a second whether it still
 * holds.  What is not there, or is wanted with a nonce, a worker signs while
 * the client waits.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "apiserver/api.h"
#include "apiserver/edge/etag.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/pki/pki.h"
#include "apiserver/live/lists.h"
#include "apiserver/live/ocspasks.h"
#include "apiserver/policy/limits.h"
#include "apiserver/resources/shape.h"
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/pki/ocsp/ocsp_request.h"
#include "common/pki/ocsp/ocsp_response.h"
#include "common/policy/policy.h"

#define LOCAL_TYPE "GenericCA"
#define CONTENT_TYPE "application/ocsp-response"
#define MAX_AGE_SECONDS 3600
#define RATE_RETRY_SECONDS "60"
#define SIGN_RETRY_SECONDS "2"
#define SERIAL_DIGITS 40

enum {
	LOOK_MS = 2500,
	SIGN_MS = 10000, /* the time that a client waits for a worker */
};

static op_step ocsp_looked;
static op_step ocsp_found;
static op_step ocsp_noted;
static op_step ocsp_signed;

struct ocsp_ask {
	const char *issuer;
	struct ocspask_cert *certs;
	size_t n;
	const char *nonce; /* in hex; "": none */
	const char *name;  /* of the kept answer; NULL: it is for one alone */
	struct lists_wait wait;
	struct lists_view view;
	struct ocspask *ask;
	struct span der;
	int64_t next_unix;
	char tag[LISTS_TAG_MAX];
};

static struct ocsp_ask *
ask_of(struct op *op)
{
	return op_state(op, sizeof(struct ocsp_ask));
}

static void
count(struct op *op, enum ocsp_count what)
{
	ocspasks_count(req_api(op)->ocsp, what);
}

/* --- answers without a signature --- */

static enum op_next
refuse_unparsable(struct op *op, const char *why)
{
	count(op, OCSP_REQUEST_INVALID);
	return pki_refuse(op, 400, "Bad Request", why);
}

static enum op_next
unauthorized(struct op *op)
{
	uint8_t der[OCSP_ERROR_LEN];

	ocsp_error(OCSP_UNAUTHORIZED, der);
	return reply_bytes(op, 200, CONTENT_TYPE, der, sizeof(der));
}

static enum op_next
not_signed(struct op *op, const char *message)
{
	count(op, OCSP_SIGNING_FAILED);
	reply_header(op, "Retry-After", SIGN_RETRY_SECONDS);
	return pki_refuse(op, 503, "Service Unavailable", message);
}

static enum op_next
no_issuer(struct op *op)
{
	count(op, OCSP_ISSUER_NOT_FOUND);
	return pki_refuse(op, 404, "Not Found", "Issuer not found");
}

static enum op_next
not_ours(struct op *op)
{
	return pki_refuse(op, 501, "Not Implemented",
	    "this issuer's own CA answers for its certificates");
}

/* --- answers --- */

/* RFC 5019 section 6.2. */
static void
put_freshness(struct op *op, const struct ocsp_ask *o)
{
	int64_t left = o->next_unix - clock_wall_us() / 1000000;
	time_t next = (time_t)o->next_unix;
	char date[40];
	struct tm tm;

	if (left > MAX_AGE_SECONDS)
		left = MAX_AGE_SECONDS;
	reply_header(op, "Cache-Control",
	    op_printf(op,
		"max-age=%" PRId64 ", public, no-transform, must-revalidate",
		left > 0 ? left : 0));
	if (gmtime_r(&next, &tm) &&
	    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
		reply_header(op, "Expires", op_printf(op, "%s", date));
	reply_header(op, "ETag", op_printf(op, "%s", o->tag));
}

static enum op_next
send_kept(struct op *op)
{
	const struct ocsp_ask *o = ask_of(op);
	const char *held = req_header(op, "If-None-Match");

	count(op, OCSP_REQUEST_SUCCESS);
	put_freshness(op, o);
	if (held && etag_list_has(held, o->tag))
		return reply_bytes(op, 304, NULL, "", 0);
	return reply_bytes(op, 200, CONTENT_TYPE, o->der.p, o->der.len);
}

/* What is kept is the answer behind the time of its end. */
static enum op_next
send_page(struct op *op, const struct lists_page *page)
{
	struct ocsp_ask *o = ask_of(op);

	memcpy(&o->next_unix, page->body->bytes, sizeof(o->next_unix));
	(void)snprintf(o->tag, sizeof(o->tag), "%s", page->tag);
	o->der = (struct span){(const uint8_t *)page->body->bytes +
				   sizeof(o->next_unix),
	    page->body->len - sizeof(o->next_unix)};
	return send_kept(op);
}

static void
keep(struct op *op, struct ocsp_ask *o, struct span der, int64_t left_s)
{
	size_t len = sizeof(o->next_unix) + der.len;
	char *kept = arena_alloc(op_arena(op), len), digest[65];
	struct blob *body;

	o->der = der;
	o->next_unix = clock_wall_us() / 1000000 + left_s;
	enc_sha256_hex(der.p, der.len, digest);
	(void)snprintf(o->tag, sizeof(o->tag), "\"%s\"", digest);
	memcpy(kept, &o->next_unix, sizeof(o->next_unix));
	memcpy(kept + sizeof(o->next_unix), der.p, der.len);
	body = blob_new(kept, len);
	lists_keep(req_api(op)->lists, LIST_REVOCATIONS, o->name, &o->view,
	    false, &(struct lists_page){o->tag, body});
	blob_let_go(body);
}

/* --- what nobody has asked for lately, or not like this --- */

static enum op_next
have_signed(struct op *op)
{
	struct ocsp_ask *o = ask_of(op);

	o->ask = ocspasks_add(req_api(op)->ocsp, op, o->issuer, o->certs, o->n,
	    o->nonce);
	if (!o->ask)
		return not_signed(op,
		    "too many requests wait for a signature; ask again later");
	op_extend(op, 2 * SIGN_MS);
	return op_park(op, SIGN_MS, ocsp_signed);
}

static enum op_next
send_fresh(struct op *op, const struct ocsp_answer *answer)
{
	struct ocsp_ask *o = ask_of(op);

	if (strcmp(answer->outcome, "unknown") == 0)
		count(op, OCSP_CERT_NOT_FOUND);
	if (o->name && answer->left_s > POLICY_OCSP_MARGIN) {
		keep(op, o, answer->der, answer->left_s);
		return send_kept(op);
	}
	count(op, OCSP_REQUEST_SUCCESS);
	if (o->nonce[0])
		count(op, OCSP_NONCE_ECHOED);
	return reply_bytes(op, 200, CONTENT_TYPE, answer->der.p,
	    answer->der.len);
}

static enum op_next
ocsp_signed(struct op *op)
{
	const struct ocsp_answer *answer = ocspask_answer(ask_of(op)->ask);

	if (!answer)
		return not_signed(op, "no worker has signed the answer; ask "
				      "again in a few seconds");
	if (answer->der.len > 0)
		return send_fresh(op, answer);
	if (strcmp(answer->outcome, "no_issuer") == 0)
		return no_issuer(op);
	if (strcmp(answer->outcome, "outside") == 0)
		return not_ours(op);
	if (strcmp(answer->outcome, "unauthorized") == 0) {
		count(op, OCSP_REQUEST_INVALID);
		return unauthorized(op);
	}
	count(op, OCSP_SIGNING_FAILED);
	return pki_refuse(op, 500, "Internal Server Error",
	    "the answer could not be signed");
}

/* --- what somebody has --- */

static enum op_next
find_row(struct op *op)
{
	struct ocsp_ask *o = ask_of(op);

	lists_view(req_api(op)->lists, &o->view);
	return OP_QUERY(op, Q_OCSP_FIND, ocsp_found, o->issuer,
	    o->certs[0].serial_hex, o->certs[0].cert_id);
}

static enum op_next
find_kept(struct op *op)
{
	struct ocsp_ask *o = ask_of(op);
	const struct lists_page *page =
	    lists_find(req_api(op)->lists, LIST_REVOCATIONS, o->name);

	return page ? send_page(op, page) : find_row(op);
}

/* What the look was for is asked of the database where it failed. */
static enum op_next
ocsp_looked(struct op *op)
{
	struct ocsp_ask *o = ask_of(op);

	lists_forget(&o->wait);
	return op_woken(op) && o->wait.has_looked ? find_kept(op)
						  : find_row(op);
}

static enum op_next
ocsp_found(struct op *op)
{
	struct ocsp_ask *o = ask_of(op);
	const char *hex;
	size_t len;
	uint8_t *der;

	if (op_rows(op) == 0)
		return no_issuer(op);
	if (strcmp(op_text(op, 0, "type"), LOCAL_TYPE) != 0)
		return not_ours(op);
	hex = op_text(op, 0, "der");
	len = strlen(hex) / 2;
	der = arena_alloc(op_arena(op), len + 1);
	if (len == 0 || enc_unhex(hex, der, len) != RC_OK)
		return have_signed(op);
	keep(op, o, (struct span){der, len}, op_i64(op, 0, "left_s"));
	if (op_bool(op, 0, "is_asked"))
		return send_kept(op);
	return OP_QUERY(op, Q_OCSP_ASKED, ocsp_noted, o->issuer,
	    o->certs[0].serial_hex, o->certs[0].cert_id);
}

static enum op_next
ocsp_noted(struct op *op)
{
	return send_kept(op);
}

static void
forget_wait(void *arg)
{
	lists_forget(arg);
}

static enum op_next
answer(struct op *op)
{
	struct ocsp_ask *o = ask_of(op);
	struct lists *lists = req_api(op)->lists;

	if (o->n > 1 || o->nonce[0] || !o->certs[0].serial_hex[0])
		return have_signed(op);
	o->name = op_printf(op, "ocsp\n%s\n%s\n%s", o->issuer,
	    o->certs[0].serial_hex, o->certs[0].cert_id);
	if (lists_is_recent(lists))
		return find_kept(op);
	arena_defer(op_arena(op), forget_wait, &o->wait);
	lists_look(lists, &o->wait, op);
	return op_park(op, LOOK_MS, ocsp_looked);
}

/* --- what is asked --- */

/* false: answered already, as *out says. */
static bool
begin(struct op *op, enum ocsp_count method, enum op_next *out)
{
	struct ocsp_ask *o = ask_of(op);

	count(op, method);
	o->issuer = req_param(op, "issuer");
	o->nonce = "";
	if (limits_take_ocsp(req_api(op)->limits, req_peer_addr(op)))
		return true;
	count(op, OCSP_RATE_LIMITED);
	reply_header(op, "Retry-After", RATE_RETRY_SECONDS);
	*out = unauthorized(op);
	return false;
}

static char *
hex_of(struct op *op, struct span s)
{
	char *hex = arena_alloc(op_arena(op), 2 * s.len + 1);

	enc_hex(s.p, s.len, hex);
	return hex;
}

static enum op_next
answer_request(struct op *op, struct span der)
{
	struct ocsp_ask *o = ask_of(op);
	struct ocsp_request q;
	rc ret = ocsp_request_parse(op_arena(op), der, &q);

	if (ret == RC_TOO_LARGE)
		return refuse_unparsable(op,
		    "the OCSP request asks for more than 16 certificates, or "
		    "names one by more than 256 octets");
	if (ret != RC_OK)
		return refuse_unparsable(op,
		    "the body is no OCSP request in DER (RFC 6960)");
	if (q.is_nonce_malformed) {
		count(op, OCSP_NONCE_MALFORMED);
		return unauthorized(op);
	}
	if (q.has_unknown_critical) {
		count(op, OCSP_REQUEST_INVALID);
		return unauthorized(op);
	}
	o->n = q.n;
	o->certs = arena_alloc(op_arena(op), q.n * sizeof(*o->certs));
	for (size_t i = 0; i < q.n; i++)
		o->certs[i] = (struct ocspask_cert){
		    op_printf(op, "%s", q.ids[i].serial_hex),
		    hex_of(op, q.ids[i].whole),
		};
	if (q.nonce.len > 0)
		o->nonce = hex_of(op, q.nonce);
	return answer(op);
}

/* RFC 6960 appendix A.1; padded or not. */
static enum op_next
answer_base64(struct op *op, const char *text)
{
	size_t len = strlen(text), padded;
	uint8_t *der;

	while (len > 0 && text[len - 1] == '=')
		len--;
	text = op_printf(op, "%.*s%s", (int)len, text,
	    len % 4 == 2   ? "=="
	    : len % 4 == 3 ? "="
			   : "");
	if (enc_unbase64(op_arena(op), text, strlen(text), &der, &padded) !=
	    RC_OK)
		return refuse_unparsable(op,
		    "what follows the issuer is neither a serial number in hex "
		    "nor an OCSP request in base64");
	return answer_request(op, (struct span){der, padded});
}

static enum op_next
answer_serial(struct op *op, const char *digits)
{
	struct ocsp_ask *o = ask_of(op);
	char *serial = arena_alloc(op_arena(op), SERIAL_DIGITS + 1);
	size_t len;

	while (*digits == '0')
		digits++;
	len = strlen(digits);
	if (len == 0 || len > SERIAL_DIGITS)
		return refuse_unparsable(op,
		    "the serial number is 0, or has more than 40 hex digits");
	memset(serial, '0', SERIAL_DIGITS);
	for (size_t i = 0; i < len; i++)
		serial[SERIAL_DIGITS - len + i] =
		    "0123456789abcdef"[enc_hex_value(digits[i])];
	serial[SERIAL_DIGITS] = '\0';
	o->n = 1;
	o->certs = arena_alloc(op_arena(op), sizeof(*o->certs));
	o->certs[0] = (struct ocspask_cert){serial, ""};
	return answer(op);
}

enum op_next
ocsp_get_start(struct op *op)
{
	const char *asked = req_param(op, "asked");
	enum op_next next;

	if (!begin(op, OCSP_REQUEST_GET, &next))
		return next;
	/* A request's base64 begins with M, which is no digit. */
	if (asked[strspn(asked, "0123456789abcdefABCDEF")] == '\0')
		return answer_serial(op, asked);
	return answer_base64(op, asked);
}

enum op_next
ocsp_post_start(struct op *op)
{
	const char *type = req_header(op, "Content-Type"), *body;
	enum op_next next;
	size_t len;

	if (!begin(op, OCSP_REQUEST_POST, &next))
		return next;
	if (type && !strcasestr(type, "ocsp-request")) {
		count(op, OCSP_REQUEST_INVALID);
		return pki_refuse(op, 415, "Unsupported Media Type",
		    "Content-Type must be application/ocsp-request");
	}
	body = req_body(op, &len);
	return answer_request(op, (struct span){(const uint8_t *)body, len});
}

/* --- what the document says of it --- */

const struct shape shape_ocsp_get_start = {
    .does = "Get the status of a certificate, by its serial number in hex or "
	    "by an OCSP request in base64",
    .answer = SHAPE_BYTES,
    .content_type = CONTENT_TYPE,
    .has_tag = true,
};
const struct shape shape_ocsp_post_start = {
    .does = "Get the status of certificates, by an OCSP request",
    .answer = SHAPE_BYTES,
    .content_type = CONTENT_TYPE,
};
