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
#include "worker/issuers/ca_limits.h"
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

static long ca_seconds = 86400; /* that CAs made from now on have left */

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
	X509_gmtime_adj(X509_getm_notAfter(c.x), ca_seconds);
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
proof_until(struct arena *a, const struct ca *c, const char *chain,
    int64_t *out_until, const char **out_why)
{
	struct certbuild *b;
	rc ret;

	*out_why = "";
	ret = certbuild_new(c->x, c->key, &b);
	CHECK_INT(ret, RC_OK);
	ret = ca_proof(a, b, chain, out_until, out_why);
	certbuild_free(b);
	return ret;
}

static rc
proof_of(struct arena *a, const struct ca *c, const char *chain,
    const char **out_why)
{
	int64_t until;

	return proof_until(a, c, chain, &until, out_why);
}

struct mistake {
	struct ext root[EXTS_MAX], sub[EXTS_MAX];
	const char *words; /* NULL: it is none */
	bool is_sha1;
	bool is_alone; /* its file does not hold the root */
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
    {{CA_EXTS}, {CA_EXTS}, NULL, false, true},
    {{CA_EXTS}, {CA_EXTS}, "too weak", true, true},
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
		    arena_printf(a, "%s%s", sub.pem,
			m->is_alone ? "" : root.pem),
		    &why);
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

/* What is above ends first, and what is below with it. */
static void
the_first_end_counts(void)
{
	const struct ext exts[] = {is_ca, signs, {0}};
	struct arena *a = arena_new();
	int64_t now = time(NULL), until = 0;
	struct ca root, mid, low;
	const char *why;

	ca_seconds = 7200;
	root = make_ca(a, "Root", NULL, EVP_sha256(), exts);
	ca_seconds = 3600;
	mid = make_ca(a, "Mid", &root, EVP_sha256(), exts);
	ca_seconds = 86400;
	low = make_ca(a, "Low", &mid, EVP_sha256(), exts);
	CHECK_INT(proof_until(a, &low, low.pem, &until, &why), RC_OK);
	CHECK(until >= now + 86400);
	CHECK_INT(proof_until(a, &low,
		      arena_printf(a, "%s%s%s", low.pem, mid.pem, root.pem),
		      &until, &why),
	    RC_OK);
	CHECK(until >= now + 3600 && until < now + 7200);
	drop_ca(&low);
	drop_ca(&mid);
	drop_ca(&root);
	arena_free(a);
}

static rc
allows(struct arena *a, const struct ca_limits *n, const char *name,
    const char *const *ekus)
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
	ret = ca_limits_allow(n, &csr, ekus, &why);
	CHECK(ret == RC_OK ||
	      strstr(why, ekus ? "key usage" : "name constraints") != NULL);
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
	struct ca_limits *n;
	rc ret;

	ret = ca_limits_new(sub.pem, &n);
	CHECK_INT(ret, RC_OK);
	CHECK(n == NULL);
	CHECK_INT(allows(a, n, "www.other.example", NULL), RC_OK);
	/* Those of a CA further up bind too. */
	ret = ca_limits_new(arena_printf(a, "%s%s", sub.pem, root.pem), &n);
	CHECK_INT(ret, RC_OK);
	CHECK(n != NULL);
	CHECK_INT(allows(a, n, "www.corp.example", NULL), RC_OK);
	CHECK_INT(allows(a, n, "10.1.2.3", NULL), RC_OK);
	CHECK_INT(allows(a, n, "www.other.example", NULL), RC_INVALID);
	CHECK_INT(allows(a, n, "a.secret.corp.example", NULL), RC_INVALID);
	CHECK_INT(allows(a, n, "192.0.2.7", NULL), RC_INVALID);
	ca_limits_free(n);
	drop_ca(&sub);
	drop_ca(&root);
	arena_free(a);
}

/* A CA for servers may sign what says it is for clients too, as leaves do by
 * default, but nothing that is refused as what it is for. */
static void
usages_decide_of_each_order(void)
{
	static const char *const uses[] = {"serverAuth", "clientAuth",
	    "serverAuth,clientAuth", "codeSigning", "anyExtendedKeyUsage"};
	static const char *const none[] = {NULL};
	static const char *const asked[][3] = {{"serverAuth"}, {"clientAuth"},
	    {"serverAuth", "clientAuth"}, {"codeSigning"},
	    {"clientAuth", "codeSigning"}};
	static const bool good[][6] = {{1, 1, 0, 1, 0, 0}, {0, 0, 1, 0, 0, 0},
	    {1, 1, 1, 1, 0, 0}, {0, 0, 0, 0, 1, 0}, {1, 1, 1, 1, 1, 1}};
	struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		const struct ext exts[] = {is_ca, signs,
		    {NID_ext_key_usage, uses[i]}, {0}};
		struct ca ca = make_ca(a, "Sub", NULL, EVP_sha256(), exts);
		struct ca_limits *n;

		CHECK_INT(ca_limits_new(ca.pem, &n), RC_OK);
		CHECK_INT(allows(a, n, "a.test", none),
		    good[i][0] ? RC_OK : RC_INVALID);
		for (size_t k = 0; k < ARRAY_LEN(asked); k++)
			CHECK_INT(allows(a, n, "a.test", asked[k]),
			    good[i][k + 1] ? RC_OK : RC_INVALID);
		ca_limits_free(n);
		drop_ca(&ca);
	}
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(a_ca_nobody_would_believe_is_refused),
    CHECK_ROW(a_chain_must_lead_somewhere), CHECK_ROW(the_first_end_counts),
    CHECK_ROW(name_constraints_decide_of_each_order),
    CHECK_ROW(usages_decide_of_each_order))
