/*
 * GET /certificates/{id}/export/pem and POST .../export/pkcs12: the newest
 * version with its chain; never a key, for the server has none.
 *
 * Each export is an event of the audit trail, written before anything leaves,
 * and counts against its caller's rate.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/policy/limits.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/pkcs12.h"

#define LABEL "CERTIFICATE"

enum { PASSWORD_MAX_BYTES = 1024, WORD_MAX_BYTES = 32 };

struct exported {
	bool is_pkcs12;
	const char *pem; /* the leaf, then its chain */
	const char *password;
	enum pkcs12_ciphers ciphers;
	struct span file;
};

static op_step export_read;
static op_step export_send;

/* The contract's body of this 429, with the time that is really left. */
static enum op_next
refuse_rate(struct op *op, int64_t wait_s)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "error", "rate_limit_exceeded");
	json_w_kv_int(w, "retry_after_seconds", wait_s);
	json_w_close(w, '}');
	reply_header(op, "Retry-After", op_printf(op, "%" PRId64, wait_s));
	return reply_json(op, 429);
}

static enum op_next
export_begin(struct op *op)
{
	int64_t wait_s =
	    limits_take_export(req_api(op)->limits, req_principal(op));

	if (wait_s > 0)
		return refuse_rate(op, wait_s);
	return OP_QUERY(op, Q_CERT_NEWEST, export_read, req_param(op, "id"));
}

enum op_next
cert_export_pem(struct op *op)
{
	(void)op_state(op, sizeof(struct exported));
	return export_begin(op);
}

static void
wipe(void *password)
{
	OPENSSL_cleanse(password, strlen(password));
}

/* A body that can't be read stands for none, as the contract has it; a member
 * of another type, or a word that is none, does not. */
static const char *
read_choice(struct op *op, struct exported *x)
{
	const char *why, *password = "", *word = "modern";
	const struct cJSON *body;

	x->password = "";
	if (req_json_any(op, true, &body, &why) != RC_OK)
		return NULL;
	if (json_str(body, "password", PASSWORD_MAX_BYTES, &password) ==
	    RC_INVALID)
		return "password must be a text of at most 1024 bytes";
	if (json_str(body, "encryption", WORD_MAX_BYTES, &word) == RC_INVALID)
		word = "";
	if (strcasecmp(word, "legacy") == 0)
		x->ciphers = PKCS12_LEGACY;
	else if (strcasecmp(word, "modern") != 0)
		return "encryption must be modern (AES-256, SHA-256) or legacy "
		       "(3DES, SHA-1: for old Windows)";
	x->password = arena_strdup(op_arena(op), password);
	arena_defer(op_arena(op), wipe, (void *)x->password);
	return NULL;
}

enum op_next
cert_export_pkcs12(struct op *op)
{
	struct exported *x = op_state(op, sizeof(*x));
	const char *why;

	x->is_pkcs12 = true;
	why = read_choice(op, x);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	return export_begin(op);
}

static enum op_next
export_read(struct op *op)
{
	struct exported *x = op_state(op, sizeof(*x));
	rc ret = RC_OK;

	if (op_rows(op) == 0)
		return cert_not_found(op);
	if (op_is_null(op, 0, "pem"))
		return op_fail(op, RC_NOT_FOUND,
		    "Certificate has no version yet: it was never issued");
	x->pem = op_text(op, 0, "pem");
	if (x->is_pkcs12)
		ret = pkcs12_make(op_arena(op), x->pem, x->password,
		    op_text(op, 0, "name"), x->ciphers, &x->file);
	if (ret == RC_INVALID)
		return op_fail(op, RC_UNPROCESSABLE,
		    "Certificate data cannot be parsed as X.509");
	if (ret != RC_OK)
		return op_fail(op, ret, "The file could not be made");
	return OP_QUERY(op, Q_CERT_EXPORTED, export_send, page_actor(op),
	    req_actor_type(op),
	    x->is_pkcs12 ? "cert_export_pkcs12" : "cert_export_pem",
	    req_param(op, "id"), op_text(op, 0, "serial_number"));
}

static enum op_next
attach(struct op *op, const char *name, const char *type, const void *bytes,
    size_t len)
{
	reply_header(op, "Content-Disposition",
	    op_printf(op, "attachment; filename=\"%s\"", name));
	return reply_bytes(op, 200, type, bytes, len);
}

/* {"cert_pem","chain_pem","full_pem"} */
static enum op_next
send_parts(struct op *op, const char *pem)
{
	struct span der, rest;
	struct json_w *w;
	const char *chain;
	rc ret;

	ret = pem_read(op_arena(op), LABEL, pem, strlen(pem), &der, &rest);
	if (ret != RC_OK)
		return op_fail(op, RC_UNPROCESSABLE,
		    "Certificate data cannot be parsed as PEM");
	chain = op_printf(op, "%.*s", (int)rest.len, (const char *)rest.p);
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "cert_pem", pem_write(op_arena(op), LABEL, der));
	json_w_kv(w, "chain_pem", chain + strspn(chain, "\r\n"));
	json_w_kv(w, "full_pem", pem);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
export_send(struct op *op)
{
	const struct exported *x = op_state(op, sizeof(*x));
	const char *download;

	if (x->is_pkcs12)
		return attach(op, "certificate.p12", "application/x-pkcs12",
		    x->file.p, x->file.len);
	download = req_query(op, "download");
	if (download && strcmp(download, "true") == 0)
		return attach(op, "certificate.pem", "application/x-pem-file",
		    x->pem, strlen(x->pem));
	return send_parts(op, x->pem);
}

/* --- what the document says of it --- */

static const struct field pem_query[] = {
    {"download", FIELD_BOOL},
};

static const char *const ciphers[] = {"modern", "legacy", NULL};
static const struct field pkcs12_body[] = {
    {"password", FIELD_TEXT, 0, .max = PASSWORD_MAX_BYTES},
    {"encryption", FIELD_TEXT, 0, .max = WORD_MAX_BYTES, .words = ciphers},
};

static const struct field pem_fields[] = {
    {"cert_pem", FIELD_TEXT},
    {"chain_pem", FIELD_TEXT},
    {"full_pem", FIELD_TEXT},
};

const struct shape shape_cert_export_pem = {
    .does = "Export the newest version and its chain as PEM",
    .query = pem_query,
    .nquery = ARRAY_LEN(pem_query),
    .fields = SHAPE_TABLE(pem_fields),
    .or_content_type = "application/x-pem-file",
};
const struct shape shape_cert_export_pkcs12 = {
    .does = "Export the newest version and its chain as PKCS#12",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(pkcs12_body)},
    .answer = SHAPE_BYTES,
    .content_type = "application/x-pkcs12",
};
