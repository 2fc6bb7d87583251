/*
 * POST revoke-cert: by the account that has the certificate, by one that has
 * proven to hold its names, or by its own key (RFC 8555 section 7.6).
 *
 * The certificate that is sent is held against the one that was issued, whole:
 * what names another key or other names beside that serial is unknown here.
 */
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/keys.h"
#include "apiserver/handlers/acme/signed.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/jose/jwk.h"
#include "common/json/json.h"
#include "common/pki/cert/cert.h"
#include "common/pki/csr/csr.h"

struct revocation {
	X509 *x;
	struct cert_info info;
	const char *reason;
	size_t n; /* names */
	const char *types[CSR_NAMES_MAX], *values[CSR_NAMES_MAX];
};

static op_step revoke_signed;
static op_step revoke_done;

enum op_next
acme_revoke_start(struct op *op)
{
	return acme_signed(op, ACME_KID | ACME_JWK, revoke_signed);
}

/* --- what is asked for --- */

static void
free_x509(void *x)
{
	X509_free(x);
}

/* NULL, or what is wrong. */
static const char *
read_certificate(struct op *op, struct revocation *v)
{
	const struct cJSON *item =
	    json_get_exact(acme_request(op)->payload, "certificate");
	const uint8_t *p;
	uint8_t *der;
	size_t len;
	rc ret;

	if (!cJSON_IsString(item))
		return "certificate is missing: send the certificate's DER in "
		       "base64url";
	ret = enc_unbase64url(op_arena(op), item->valuestring,
	    strlen(item->valuestring), &der, &len);
	if (ret != RC_OK)
		return "certificate is not base64url without padding: send the "
		       "certificate's DER, not PEM";
	p = der;
	v->x = d2i_X509(NULL, &p, (long)len);
	ERR_clear_error();
	if (!v->x)
		return "certificate is no X.509 certificate in DER";
	arena_defer(op_arena(op), free_x509, v->x);
	if (p != der + len)
		return "certificate has more behind the certificate's DER: "
		       "send the end-entity certificate alone";
	ret = cert_read(op_arena(op), v->x, &v->info);
	return ret == RC_OK ? NULL : "certificate cannot be read";
}

/* RFC 5280 section 5.3.1, those that a list of this server's shows. */
static bool
read_reason(struct op *op, struct revocation *v)
{
	static const char *const reasons[] = {"unspecified", "keyCompromise",
	    "caCompromise", "affiliationChanged", "superseded",
	    "cessationOfOperation", "certificateHold", NULL, NULL,
	    "privilegeWithdrawn"};
	const struct cJSON *payload = acme_request(op)->payload;
	int64_t code = 0;
	rc ret;

	ret = json_int(payload, "reason", 0, ARRAY_LEN(reasons) - 1, &code);
	v->reason = reasons[ret == RC_OK ? code : 0];
	return ret != RC_INVALID && v->reason != NULL;
}

static const char *
lower(struct op *op, const ASN1_STRING *s)
{
	char *text =
	    arena_strndup(op_arena(op), (const char *)ASN1_STRING_get0_data(s),
		(size_t)ASN1_STRING_length(s));

	for (char *c = text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return text;
}

/* A name as an identifier of an order; NULL: orders know no such names. */
static const char *
identifier_of(struct op *op, const GENERAL_NAME *g, const char **out_type)
{
	char text[INET6_ADDRSTRLEN];
	int len, family;

	if (g->type == GEN_DNS) {
		*out_type = "dns";
		return lower(op, g->d.dNSName);
	}
	if (g->type != GEN_IPADD)
		return NULL;
	len = ASN1_STRING_length(g->d.iPAddress);
	family = len == 4 ? AF_INET : AF_INET6;
	if (len != 4 && len != 16)
		return NULL;
	*out_type = "ip";
	if (!inet_ntop(family, ASN1_STRING_get0_data(g->d.iPAddress), text,
		sizeof(text)))
		return NULL;
	return arena_strdup(op_arena(op), text);
}

/* None at all where one is of another kind: nobody has proven it. */
static void
read_names(struct op *op, struct revocation *v)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(v->x, NID_subject_alt_name, NULL, NULL);
	int n = names ? sk_GENERAL_NAME_num(names) : 0;

	for (int i = 0; i < n; i++) {
		const char *value = identifier_of(op,
		    sk_GENERAL_NAME_value(names, i), &v->types[v->n]);

		if (!value || v->n == CSR_NAMES_MAX - 1) {
			v->n = 0;
			break;
		}
		v->values[v->n++] = value;
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
}

/* Whether the request is signed by the certificate's own key. */
static bool
is_own_key(struct op *op, const struct revocation *v)
{
	const struct jwk *key;
	uint8_t *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(v->x), &der);
	rc ret = RC_INVALID;

	if (len > 0)
		ret = jwk_from_spki(op_arena(op),
		    (struct span){der, (size_t)len}, &key);
	OPENSSL_free(der);
	return ret == RC_OK &&
	       strcmp(key->thumbprint, acme_request(op)->key->thumbprint) == 0;
}

/* --- the steps --- */

static enum op_next
revoke_signed(struct op *op)
{
	const struct acme_request *r = acme_request(op);
	struct revocation *v = acme_state(op, sizeof(*v));
	const char *why, *actor;

	if (!r->payload)
		return acme_problem(op, ACME_MALFORMED,
		    "the payload of revoke-cert must be an object with "
		    "certificate");
	why = read_certificate(op, v);
	if (why)
		return acme_problem(op, ACME_MALFORMED, "%s", why);
	if (!read_reason(op, v))
		return acme_problem(op, ACME_BAD_REVOCATION_REASON,
		    "reason must be one of the codes 0 to 6 and 9 of RFC 5280 "
		    "section 5.3.1, or be left out");
	if (r->jws->jwk && !is_own_key(op, v))
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "the key in jwk is not the certificate's: sign with that, "
		    "or with an account's key and its kid");
	read_names(op, v);
	actor = r->jws->jwk ? op_printf(op, "acme-key:%s", r->key->thumbprint)
			    : op_printf(op, "acme:%s", r->account_id);
	return OP_QUERY(op, Q_ACME_REVOKE, revoke_done, actor,
	    r->jws->jwk ? NULL : r->account_id, r->profile_id,
	    v->info.serial_hex, v->info.fingerprint_sha256,
	    db_text_array(op_arena(op), v->types, v->n),
	    db_text_array(op_arena(op), v->values, v->n), v->reason,
	    op_printf(op, "certificate revoked by %s", actor));
}

static enum op_next
revoke_done(struct op *op)
{
	const char *outcome = op_text(op, 0, "outcome");

	if (strcmp(outcome, "revoked") == 0)
		return acme_reply_bytes(op, 200, NULL, "", 0);
	if (strcmp(outcome, "already_revoked") == 0)
		return acme_problem(op, ACME_ALREADY_REVOKED,
		    "the certificate is revoked already");
	if (strcmp(outcome, "foreign") == 0)
		return acme_problem(op, ACME_UNAUTHORIZED,
		    "the certificate is not the account's, and the account has "
		    "no valid authorizations for all its names: sign with the "
		    "certificate's key, or prove its names in an order first");
	if (strcmp(outcome, "expired") == 0)
		return acme_problem(op, ACME_MALFORMED,
		    "the certificate has expired: there is nothing to revoke");
	if (strcmp(outcome, "held") == 0)
		return op_fail(op, RC_BUSY, OP_HELD_WORDS);
	return acme_problem_status(op, ACME_MALFORMED, 404,
	    "no such certificate was issued here");
}
