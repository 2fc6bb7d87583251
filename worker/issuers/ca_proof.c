#include "worker/issuers/ca_proof.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/pki/asn1/pem.h"
#include "common/pki/cert/cert.h"

#define PEM_LABEL "CERTIFICATE"
#define CHAIN_MAX 16
/* 112 bits, what clients ask for: no SHA-1, no RSA under 2048. */
#define AUTH_LEVEL 2
#define PROBE_SECONDS 60
#define PROBE_SERIAL "5000000000000000000000000000000000000000"
#define PROBE_DNS "certctl-probe.example.test"
#define PROBE_IP "192.0.2.1"

/* --- the chain --- */

struct chain {
	size_t n;
	X509 *certs[CHAIN_MAX]; /* the CA first */
};

static void
chain_fini(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		X509_free(c->certs[i]);
	c->n = 0;
}

static rc
chain_read(struct arena *a, const char *pem, struct chain *out)
{
	struct span der, rest = {(const uint8_t *)pem, strlen(pem)};

	out->n = 0;
	while (out->n < CHAIN_MAX) {
		rc ret = pem_read(a, PEM_LABEL, (const char *)rest.p, rest.len,
		    &der, &rest);
		const unsigned char *p = der.p;

		if (ret == RC_NOT_FOUND)
			break;
		if (ret != RC_OK)
			return ret;
		out->certs[out->n] = d2i_X509(NULL, &p, (long)der.len);
		if (!out->certs[out->n])
			return RC_INVALID;
		out->n++;
	}
	return out->n > 0 ? RC_OK : RC_INVALID;
}

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

/* X509_V_OK or why not. */
static int
verify_with(X509_STORE *store, X509 *leaf, STACK_OF(X509) * between,
    int purpose)
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
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return error;
}

static int
verify(const struct chain *c, X509 *leaf)
{
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	int error = X509_V_ERR_OUT_OF_MEM;
	bool ok = store && between;

	ok = ok && X509_STORE_add_cert(store, c->certs[c->n - 1]) == 1;
	for (size_t i = 0; ok && i + 1 < c->n; i++)
		ok = sk_X509_push(between, c->certs[i]) > 0;
	if (ok)
		error =
		    verify_with(store, leaf, between, X509_PURPOSE_SSL_SERVER);
	/* One for clients only is no mistake. */
	if (error == X509_V_ERR_INVALID_PURPOSE)
		error =
		    verify_with(store, leaf, between, X509_PURPOSE_SSL_CLIENT);
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

/* *error becomes X509_V_OK, or stays as it is. */
static rc
try_name(struct arena *a, struct certbuild *b, const struct chain *c,
    const char *name, int *error)
{
	X509 *leaf;
	int found;
	rc ret;

	ret = probe_make(a, b, name, &leaf);
	if (ret != RC_OK)
		return ret;
	found = verify(c, leaf);
	X509_free(leaf);
	if (found == X509_V_OK || *error == X509_V_ERR_UNSPECIFIED)
		*error = found;
	return RC_OK;
}

static rc
try_permitted(struct arena *a, struct certbuild *b, const struct chain *c,
    X509 *ca, int *error)
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
			ret = try_name(a, b, c, name, error);
	}
	NAME_CONSTRAINTS_free(nc);
	return ret;
}

/* Our leaves name no policy.  OpenSSL looks for this when asked to check
 * policies, and 3.0 loses memory by it. */
static bool
wants_policy(const struct chain *c)
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

rc
ca_proof(struct arena *a, struct certbuild *b, const char *chain_pem,
    const char **out_why)
{
	static const char *const names[] = {PROBE_DNS, PROBE_IP};
	struct chain c = {.n = 0};
	int error = X509_V_ERR_UNSPECIFIED;
	rc ret;

	ret = chain_read(a, chain_pem, &c);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (ret == RC_OK && error != X509_V_OK)
			ret = try_name(a, b, &c, names[i], &error);
	}
	for (size_t i = 0; i < c.n; i++) {
		if (ret == RC_OK && error != X509_V_OK)
			ret = try_permitted(a, b, &c, c.certs[i], &error);
	}
	if (ret == RC_OK && error == X509_V_OK && wants_policy(&c))
		error = X509_V_ERR_NO_EXPLICIT_POLICY;
	chain_fini(&c);
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

/* --- the names of one order --- */

struct ca_names {
	size_t n;
	NAME_CONSTRAINTS *all[CHAIN_MAX];
};

rc
ca_names_new(const char *chain_pem, struct ca_names **out)
{
	struct arena *a = arena_new();
	struct ca_names *n = mem_zalloc(sizeof(*n));
	struct chain c = {.n = 0};
	rc ret;

	ret = chain_read(a, chain_pem, &c);
	for (size_t i = 0; i < c.n; i++) {
		n->all[n->n] = X509_get_ext_d2i(c.certs[i],
		    NID_name_constraints, NULL, NULL);
		n->n += n->all[n->n] != NULL;
	}
	chain_fini(&c);
	arena_free(a);
	if (ret != RC_OK || n->n == 0) {
		ca_names_free(n);
		n = NULL;
	}
	*out = n;
	return ret;
}

void
ca_names_free(struct ca_names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		NAME_CONSTRAINTS_free(n->all[i]);
	free(n);
}

static GENERAL_NAME *
general_name(const struct san *s)
{
	static const int types[] = {[SAN_DNS] = GEN_DNS,
	    [SAN_IP] = GEN_IPADD,
	    [SAN_EMAIL] = GEN_EMAIL,
	    [SAN_URI] = GEN_URI};
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *text = ASN1_STRING_type_new(
	    s->type == SAN_IP ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);

	if (!g || !text ||
	    ASN1_STRING_set(text, s->octets.p, (int)s->octets.len) != 1) {
		GENERAL_NAME_free(g);
		ASN1_STRING_free(text);
		return NULL;
	}
	GENERAL_NAME_set0_value(g, types[s->type], text);
	return g;
}

/* A certificate of those names and nothing else. */
static X509 *
named(const struct csr *csr)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	X509 *x = X509_new();
	bool ok = names && x;

	for (size_t i = 0; ok && i < csr->nnames; i++) {
		GENERAL_NAME *g = general_name(&csr->names[i]);

		ok = g && sk_GENERAL_NAME_push(names, g) > 0;
		if (!ok)
			GENERAL_NAME_free(g);
	}
	if (ok && csr->leaf_common_name)
		ok = X509_NAME_add_entry_by_NID(X509_get_subject_name(x),
			 NID_commonName, MBSTRING_UTF8,
			 (const unsigned char *)csr->leaf_common_name, -1, -1,
			 0) == 1;
	if (ok)
		ok = X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) ==
		     1;
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	/* OpenSSL takes the names out of the extension in its first look at a
	 * certificate. */
	if (ok)
		(void)X509_check_purpose(x, -1, 0);
	if (!ok) {
		X509_free(x);
		x = NULL;
	}
	return x;
}

rc
ca_names_allow(const struct ca_names *n, const struct csr *csr,
    const char **out_why)
{
	int error = X509_V_OK;
	X509 *x;

	if (!n)
		return RC_OK;
	x = named(csr);
	if (!x)
		error = X509_V_ERR_UNSPECIFIED;
	for (size_t i = 0; error == X509_V_OK && i < n->n; i++)
		error = NAME_CONSTRAINTS_check(x, n->all[i]);
	X509_free(x);
	ERR_clear_error();
	if (error == X509_V_OK)
		return RC_OK;
	*out_why = "the CA's name constraints exclude a name of the "
		   "certificate: no client would accept it";
	return RC_INVALID;
}
