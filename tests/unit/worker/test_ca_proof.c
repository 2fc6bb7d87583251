/*
 * What makes verifiers refuse everything a CA issues, one mistake a CA; and
 * what its name constraints allow.
 */
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/pki/cert/cert.h"
#include "tests/unit/check.h"
#include "worker/issuers/ca_proof.h"

struct ca {
	X509 *x;
	EVP_PKEY *key;
	char *pem; /* its own */
};

#define EXTS_MAX 6
struct ext {
	int nid;
	const char *value;
};
static const struct ext is_ca = {NID_basic_constraints, "critical,CA:TRUE"};
static const struct ext signs = {NID_key_usage, "critical,keyCertSign,cRLSign"};

static void
add_ext(X509 *x, X509 *issuer, const struct ext *e)
{
	X509V3_CTX ctx;
	X509_EXTENSION *made;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	made = X509V3_EXT_conf_nid(NULL, &ctx, e->nid, e->value);
	CHECK(made != NULL);
	CHECK(X509_add_ext(x, made, -1) == 1);
	X509_EXTENSION_free(made);
}

/* parent NULL: self-signed. */
static struct ca
make_ca(struct arena *a, const char *name, const struct ca *parent,
    const EVP_MD *md, const struct ext *exts)
{
	struct ca c = {X509_new(), EVP_EC_gen("P-256"), NULL};
	X509 *issuer = parent ? parent->x : c.x;
	static const struct ext ski = {NID_subject_key_identifier, "hash"};
	unsigned char *der = NULL;
	static long serial;
	int len;
	rc ret;

	CHECK(X509_set_version(c.x, X509_VERSION_3) == 1);
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial) == 1);
	X509_gmtime_adj(X509_getm_notBefore(c.x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(c.x), 86400);
	CHECK(X509_set_pubkey(c.x, c.key) == 1);
	CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x), "CN",
		  MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1);
	CHECK(X509_set_issuer_name(c.x, X509_get_subject_name(issuer)) == 1);
	add_ext(c.x, issuer, &ski);
	for (size_t i = 0; exts[i].value; i++)
		add_ext(c.x, issuer, &exts[i]);
	CHECK(X509_sign(c.x, parent ? parent->key : c.key, md) > 0);
	len = i2d_X509(c.x, &der);
	ret = cert_to_pem(a, der, (size_t)len, &c.pem);
	CHECK_INT(ret, RC_OK);
	OPENSSL_free(der);
	return c;
}

static void
drop_ca(struct ca *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
}

static rc
proof_of(struct arena *a, const struct ca *c, const char *chain,
    const char **out_why)
{
	struct certbuild *b;
	rc ret;

	*out_why = "";
	ret = certbuild_new(c->x, c->key, &b);
	CHECK_INT(ret, RC_OK);
	ret = ca_proof(a, b, chain, out_why);
	certbuild_free(b);
	return ret;
}

struct mistake {
	struct ext root[EXTS_MAX], sub[EXTS_MAX];
	const char *words; /* NULL: it is none */
	bool is_sha1;
};

#define NC_NOTHING \
	"critical,permitted;DNS:corp.example,excluded;DNS:corp.example," \
	"excluded;IP:0.0.0.0/0.0.0.0"
#define CA_EXTS \
	{NID_basic_constraints, "critical,CA:TRUE"}, \
	{ \
		NID_key_usage, "critical,keyCertSign,cRLSign" \
	}
static const struct mistake mistakes[] = {
    {{CA_EXTS}, {CA_EXTS}, NULL, false},
    {{CA_EXTS}, {CA_EXTS, {NID_ext_key_usage, "serverAuth"}}, NULL, false},
    {{CA_EXTS}, {CA_EXTS, {NID_ext_key_usage, "clientAuth"}}, NULL, false},
    {{CA_EXTS}, {CA_EXTS, {NID_ext_key_usage, "emailProtection"}}, "purpose",
	false},
    {{CA_EXTS},
	{CA_EXTS, {NID_name_constraints, "permitted;DNS:.corp.example"}}, NULL,
	false},
    {{CA_EXTS},
	{CA_EXTS, {NID_name_constraints, "permitted;IP:10.0.0.0/255.0.0.0,"
					 "excluded;DNS:example.test"}},
	NULL, false},
    {{CA_EXTS}, {CA_EXTS, {NID_name_constraints, NC_NOTHING}}, "subtree",
	false},
    {{CA_EXTS, {NID_name_constraints, NC_NOTHING}}, {CA_EXTS}, "subtree",
	false},
    {{{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"}}, {CA_EXTS},
	"path length", false},
    {{CA_EXTS},
	{{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
	    {NID_key_usage, "critical,keyCertSign"}},
	NULL, false},
    {{CA_EXTS},
	{CA_EXTS, {NID_policy_constraints, "critical,requireExplicitPolicy:0"}},
	"polic", false},
    {{CA_EXTS}, {CA_EXTS, {NID_ms_code_ind, "critical,ASN1:UTF8String:x"}},
	"critical extension", false},
    {{CA_EXTS}, {CA_EXTS}, "too weak", true},
};

static void
a_ca_nobody_would_believe_is_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		struct arena *a = arena_new();
		struct ca root =
		    make_ca(a, "Root", NULL, EVP_sha256(), m->root);
		struct ca sub = make_ca(a, "Sub", &root,
		    m->is_sha1 ? EVP_sha1() : EVP_sha256(), m->sub);
		const char *why;
		rc ret;

		ret = proof_of(a, &sub,
		    arena_printf(a, "%s%s", sub.pem, root.pem), &why);
		if ((ret == RC_OK) != (m->words == NULL) ||
		    (m->words && !strstr(why, m->words)))
			printf("  row %zu: %s\n", i, why);
		CHECK_INT(ret, m->words ? RC_INVALID : RC_OK);
		CHECK(!m->words || strstr(why, m->words) != NULL);
		drop_ca(&sub);
		drop_ca(&root);
		arena_free(a);
	}
}

/* A chain is looked at as it is sent: it leads to its last one, or nowhere. */
static void
a_chain_must_lead_somewhere(void)
{
	const struct ext exts[] = {is_ca, signs, {0}};
	struct arena *a = arena_new();
	struct ca root = make_ca(a, "Root", NULL, EVP_sha256(), exts);
	struct ca other = make_ca(a, "Other", NULL, EVP_sha256(), exts);
	struct ca sub = make_ca(a, "Sub", &root, EVP_sha256(), exts);
	struct ca low = make_ca(a, "Low", &sub, EVP_sha256(), exts);
	const char *why;

	CHECK_INT(proof_of(a, &low, low.pem, &why), RC_OK);
	CHECK_INT(proof_of(a, &low,
		      arena_printf(a, "%s%s%s", low.pem, sub.pem, root.pem),
		      &why),
	    RC_OK);
	CHECK_INT(proof_of(a, &low, arena_printf(a, "%s%s", low.pem, root.pem),
		      &why),
	    RC_INVALID);
	CHECK(strstr(why, "issuer") != NULL);
	CHECK_INT(proof_of(a, &sub, arena_printf(a, "%s%s", sub.pem, other.pem),
		      &why),
	    RC_INVALID);
	drop_ca(&low);
	drop_ca(&sub);
	drop_ca(&other);
	drop_ca(&root);
	arena_free(a);
}

static rc
allows(struct arena *a, const struct ca_names *n, const char *name)
{
	const char *const sans[] = {name};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	const char *why = "";
	struct csr csr;
	char *pem;
	rc ret;

	ret = csr_make(a, key, name, sans, 1, &pem);
	CHECK_INT(ret, RC_OK);
	ret = csr_parse(a, pem, strlen(pem), &csr, &why);
	CHECK_INT(ret, RC_OK);
	ret = ca_names_allow(n, &csr, &why);
	CHECK(ret == RC_OK || strstr(why, "name constraints") != NULL);
	EVP_PKEY_free(key);
	return ret;
}

static void
name_constraints_decide_of_each_order(void)
{
	const struct ext open[] = {is_ca, signs, {0}};
	const struct ext closed[] = {is_ca, signs,
	    {NID_name_constraints,
		"critical,permitted;DNS:corp.example,permitted;IP:10.0.0.0/"
		"255.0.0.0,excluded;DNS:secret.corp.example"},
	    {0}};
	struct arena *a = arena_new();
	struct ca root = make_ca(a, "Root", NULL, EVP_sha256(), closed);
	struct ca sub = make_ca(a, "Sub", &root, EVP_sha256(), open);
	struct ca_names *n;
	rc ret;

	ret = ca_names_new(sub.pem, &n);
	CHECK_INT(ret, RC_OK);
	CHECK(n == NULL);
	CHECK_INT(allows(a, n, "www.other.example"), RC_OK);
	/* Those of a CA further up bind too. */
	ret = ca_names_new(arena_printf(a, "%s%s", sub.pem, root.pem), &n);
	CHECK_INT(ret, RC_OK);
	CHECK(n != NULL);
	CHECK_INT(allows(a, n, "www.corp.example"), RC_OK);
	CHECK_INT(allows(a, n, "10.1.2.3"), RC_OK);
	CHECK_INT(allows(a, n, "www.other.example"), RC_INVALID);
	CHECK_INT(allows(a, n, "a.secret.corp.example"), RC_INVALID);
	CHECK_INT(allows(a, n, "192.0.2.7"), RC_INVALID);
	ca_names_free(n);
	drop_ca(&sub);
	drop_ca(&root);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(a_ca_nobody_would_believe_is_refused),
    CHECK_ROW(a_chain_must_lead_somewhere),
    CHECK_ROW(name_constraints_decide_of_each_order))
