#include "worker/issuers/ca_proof.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/pki/cert/cert.h"
#include "worker/issuers/ca_chain.h"

/* 112 bits, what clients ask for: no SHA-1, no RSA under 2048. */
#define AUTH_LEVEL 2
#define AUTH_BITS 112
#define PROBE_SECONDS 60
#define PROBE_SERIAL "5000000000000000000000000000000000000000"
#define PROBE_DNS "certctl-probe.example.test"
#define PROBE_IP "192.0.2.1"

/* --- a throw-away leaf --- */

static rc
probe_sign(struct arena *a, struct certbuild *b, const char *csr_pem,
    X509 **out)
{
	/* Whatever clients may do with a certificate: the purpose is asked
	 * for below. */
	static const char *const ekus[] = {"serverAuth", "clientAuth", NULL};
	int64_t now = clock_wall_us() / 1000000;
	struct span tbs = {0}, der = {0};
	struct csr csr;
	struct leaf_spec spec = {.serial_hex = PROBE_SERIAL,
	    .not_before_unix = now - PROBE_SECONDS,
	    .not_after_unix = now + PROBE_SECONDS,
	    .ekus = ekus,
	    .csr = &csr};
	const unsigned char *p;
	const char *why;
	rc ret;

	ret = csr_parse(a, csr_pem, strlen(csr_pem), &csr, &why);
	if (ret == RC_OK)
		ret = certbuild_tbs(b, a, &spec, &tbs);
	if (ret == RC_OK)
		ret = certbuild_sign(b, a, tbs, &der);
	if (ret != RC_OK)
		return ret;
	p = der.p;
	*out = d2i_X509(NULL, &p, (long)der.len);
	return *out ? RC_OK : RC_CRYPTO;
}

static rc
probe_make(struct arena *a, struct certbuild *b, const char *name, X509 **out)
{
	const char *const sans[] = {name};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	char *csr_pem;
	rc ret;

	if (!key)
		return RC_CRYPTO;
	ret = csr_make(a, key, name, sans, 1, &csr_pem);
	EVP_PKEY_free(key);
	return ret == RC_OK ? probe_sign(a, b, csr_pem, out) : ret;
}

/* --- as a client verifies it --- */

/* When the first certificate above the leaf ends. */
static int64_t
path_end(const X509_STORE_CTX *ctx)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	int64_t end = INT64_MAX, t;

	for (int i = 1; i < sk_X509_num(path); i++) {
		const X509 *x = sk_X509_value(path, i);

		if (cert_time(X509_get0_notAfter(x), &t) == RC_OK && t < end)
			end = t;
	}
	return end;
}

/* X509_V_OK, with *out_until, or why not. */
static int
verify_with(X509_STORE *store, X509 *leaf, STACK_OF(X509) * between,
    int purpose, int64_t *out_until)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int error = X509_V_ERR_UNSPECIFIED;
	X509_VERIFY_PARAM *param;

	if (ctx && X509_STORE_CTX_init(ctx, store, leaf, between) == 1) {
		param = X509_STORE_CTX_get0_param(ctx);
		(void)X509_VERIFY_PARAM_set_flags(param,
		    X509_V_FLAG_PARTIAL_CHAIN);
		(void)X509_VERIFY_PARAM_set_purpose(param, purpose);
		X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
		(void)X509_verify_cert(ctx);
		error = X509_STORE_CTX_get_error(ctx);
		if (error == X509_V_OK)
			*out_until = path_end(ctx);
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return error;
}

static int
verify(const struct ca_chain *c, X509 *leaf, int64_t *out_until)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	int error = X509_V_ERR_OUT_OF_MEM;
	bool ok = store && between;

	ok = ok && X509_STORE_add_cert(store, c->certs[c->n - 1]) == 1;
	for (size_t i = 0; ok && i + 1 < c->n; i++)
		ok = sk_X509_push(between, c->certs[i]) > 0;
	if (ok)
		error = verify_with(store, leaf, between,
		    X509_PURPOSE_SSL_SERVER, out_until);
	/* One for clients only is no mistake. */
	if (error == X509_V_ERR_INVALID_PURPOSE)
		error = verify_with(store, leaf, between,
		    X509_PURPOSE_SSL_CLIENT, out_until);
	sk_X509_free(between);
	X509_STORE_free(store);
	return error;
}

/* --- names to try --- */

static const char *
name_within(struct arena *a, const GENERAL_NAME *base)
{
	const uint8_t *octets;
	const char *text;
	int len;

	if (base->type == GEN_DNS) {
		text = (const char *)ASN1_STRING_get0_data(base->d.dNSName);
		len = ASN1_STRING_length(base->d.dNSName);
		if (len > 0 && text[0] == '.') {
			text++;
			len--;
		}
		return len == 0
			   ? PROBE_DNS
			   : arena_printf(a, "certctl-probe.%.*s", len, text);
	}
	if (base->type != GEN_IPADD ||
	    ASN1_STRING_length(base->d.iPAddress) != 8)
		return NULL;
	octets = ASN1_STRING_get0_data(base->d.iPAddress);
	return arena_printf(a, "%d.%d.%d.%d", octets[0], octets[1], octets[2],
	    octets[3]);
}

/* *error becomes X509_V_OK, with *out_until, or stays as it is. */
static rc
try_name(struct arena *a, struct certbuild *b, const struct ca_chain *c,
    const char *name, int *error, int64_t *out_until)
{
	X509 *leaf;
	int found;
	rc ret;

	ret = probe_make(a, b, name, &leaf);
	if (ret != RC_OK)
		return ret;
	found = verify(c, leaf, out_until);
	X509_free(leaf);
	if (found == X509_V_OK || *error == X509_V_ERR_UNSPECIFIED)
		*error = found;
	return RC_OK;
}

static rc
try_permitted(struct arena *a, struct certbuild *b, const struct ca_chain *c,
    X509 *ca, int *error, int64_t *out_until)
{
	NAME_CONSTRAINTS *nc =
	    X509_get_ext_d2i(ca, NID_name_constraints, NULL, NULL);
	int n = nc ? sk_GENERAL_SUBTREE_num(nc->permittedSubtrees) : 0;
	rc ret = RC_OK;

	for (int i = 0; i < n && ret == RC_OK && *error != X509_V_OK; i++) {
		const GENERAL_SUBTREE *t =
		    sk_GENERAL_SUBTREE_value(nc->permittedSubtrees, i);
		const char *name = name_within(a, t->base);

		if (name)
			ret = try_name(a, b, c, name, error, out_until);
	}
	NAME_CONSTRAINTS_free(nc);
	return ret;
}

/* Our leaves name no policy.  OpenSSL looks for this when asked to check
 * policies, and 3.0 loses memory by it. */
static bool
wants_policy(const struct ca_chain *c)
{
	bool found = false;

	for (size_t i = 0; i < c->n && !found; i++) {
		POLICY_CONSTRAINTS *p = X509_get_ext_d2i(c->certs[i],
		    NID_policy_constraints, NULL, NULL);

		found = p && p->requireExplicitPolicy;
		POLICY_CONSTRAINTS_free(p);
	}
	return found;
}

/* OpenSSL takes the last one as it is.  Clients do not, unless it is a root:
 * they have what is above it. */
static bool
is_weakly_signed(X509 *last)
{
	uint32_t flags;
	int bits;

	return (X509_get_extension_flags(last) & EXFLAG_SS) == 0 &&
	       (X509_get_signature_info(last, NULL, NULL, &bits, &flags) != 1 ||
		   bits < AUTH_BITS);
}

static int
look_beside(const struct ca_chain *c)
{
	if (wants_policy(c))
		return X509_V_ERR_NO_EXPLICIT_POLICY;
	if (is_weakly_signed(c->certs[c->n - 1]))
		return X509_V_ERR_CA_MD_TOO_WEAK;
	return X509_V_OK;
}

rc
ca_proof(struct arena *a, struct certbuild *b, const char *chain_pem,
    int64_t *out_until, const char **out_why)
{
	static const char *const names[] = {PROBE_DNS, PROBE_IP};
	struct ca_chain c = {.n = 0};
	int error = X509_V_ERR_UNSPECIFIED;
	rc ret;

	ret = ca_chain_read(a, chain_pem, &c);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (ret == RC_OK && error != X509_V_OK)
			ret = try_name(a, b, &c, names[i], &error, out_until);
	}
	for (size_t i = 0; i < c.n; i++) {
		if (ret == RC_OK && error != X509_V_OK)
			ret = try_permitted(a, b, &c, c.certs[i], &error,
			    out_until);
	}
	if (ret == RC_OK && error == X509_V_OK)
		error = look_beside(&c);
	ca_chain_fini(&c);
	if (ret != RC_OK) {
		*out_why = "no leaf could be made to try it with";
		return ret;
	}
	if (error == X509_V_OK)
		return RC_OK;
	*out_why = arena_printf(a,
	    "can issue nothing that clients accept, as a leaf made to try it "
	    "shows: %s",
	    X509_verify_cert_error_string(error));
	return RC_INVALID;
}
