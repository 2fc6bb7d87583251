#include "worker/issuers/ca_limits.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/issuers/ca_chain.h"

struct ca_limits {
	size_t n; /* of the name constraints */
	NAME_CONSTRAINTS *all[CA_CHAIN_MAX];
	uint32_t uses; /* XKU_ of what every certificate allows */
};

/* What CAs may be limited to, by its name in a profile. */
static const struct {
	const char *name;
	uint32_t bit;
} uses[] = {
    {"serverAuth", XKU_SSL_SERVER},
    {"clientAuth", XKU_SSL_CLIENT},
    {"codeSigning", XKU_CODE_SIGN},
    {"emailProtection", XKU_SMIME},
    {"timeStamping", XKU_TIMESTAMP},
};

static uint32_t
uses_of(X509 *ca)
{
	uint32_t bits = X509_get_extended_key_usage(ca);

	return bits & XKU_ANYEKU ? UINT32_MAX : bits;
}

rc
ca_limits_new(const char *chain_pem, struct ca_limits **out)
{
	struct arena *a = arena_new();
	struct ca_limits *n = mem_zalloc(sizeof(*n));
	struct ca_chain c = {.n = 0};
	rc ret;

	n->uses = UINT32_MAX;
	ret = ca_chain_read(a, chain_pem, &c);
	for (size_t i = 0; i < c.n; i++) {
		n->uses &= uses_of(c.certs[i]);
		n->all[n->n] = X509_get_ext_d2i(c.certs[i],
		    NID_name_constraints, NULL, NULL);
		n->n += n->all[n->n] != NULL;
	}
	ca_chain_fini(&c);
	arena_free(a);
	if (ret != RC_OK || (n->n == 0 && n->uses == UINT32_MAX)) {
		ca_limits_free(n);
		n = NULL;
	}
	*out = n;
	return ret;
}

void
ca_limits_free(struct ca_limits *n)
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

static rc
allow_names(const struct ca_limits *n, const struct csr *csr,
    const char **out_why)
{
	int error = X509_V_OK;
	X509 *x;

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

static rc
allow_uses(const struct ca_limits *n, const char *const *ekus,
    const char **out_why)
{
	uint32_t asked = 0;

	for (; ekus && *ekus; ekus++) {
		for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
			if (strcmp(uses[i].name, *ekus) == 0)
				asked |= uses[i].bit;
		}
	}
	if (asked == 0)
		asked = XKU_SSL_SERVER | XKU_SSL_CLIENT;
	/* Servers are given both by habit, also by CAs for servers only. */
	if (asked & XKU_SSL_SERVER)
		asked &= ~(uint32_t)XKU_SSL_CLIENT;
	if ((asked & ~n->uses) == 0)
		return RC_OK;
	*out_why = "the CA's extended key usage excludes what the certificate "
		   "is for (allowed_ekus of its profile; without one, "
		   "serverAuth): no client would accept it";
	return RC_INVALID;
}

rc
ca_limits_allow(const struct ca_limits *n, const struct csr *csr,
    const char *const *ekus, const char **out_why)
{
	rc ret;

	if (!n)
		return RC_OK;
	ret = allow_uses(n, ekus, out_why);
	if (ret == RC_OK && n->n > 0)
		ret = allow_names(n, csr, out_why);
	return ret;
}
