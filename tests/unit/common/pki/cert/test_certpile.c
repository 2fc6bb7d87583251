/*
 * Certificates that came in any order: the one of our key first, then who
 * signed it, and no root.
 */
#include "common/pki/cert/certpile.h"

#include <openssl/x509.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/pki/cert/cert.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

static struct arena *a;

static X509_NAME *
name_of(const char *cn)
{
	X509_NAME *name = X509_NAME_new();

	CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		  (const uint8_t *)cn, -1, -1, 0) == 1);
	return name;
}

/* A certificate of that key, signed by another. */
static const char *
made(const char *cn, const char *kind, const char *above, const char *by)
{
	X509 *x = X509_new();
	X509_NAME *subject = name_of(cn), *issuer = name_of(above);
	char *pem = NULL;

	CHECK(X509_set_version(x, 2) == 1);
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 7) == 1);
	CHECK(X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL);
	CHECK(X509_gmtime_adj(X509_getm_notAfter(x), 86400) != NULL);
	CHECK(X509_set_subject_name(x, subject) == 1);
	CHECK(X509_set_issuer_name(x, issuer) == 1);
	CHECK(X509_set_pubkey(x, fixture_key(kind)) == 1);
	CHECK(X509_sign(x, fixture_key(by), EVP_sha256()) > 0);
	CHECK_INT(cert_x509_pem(a, x, &pem), RC_OK);
	X509_NAME_free(subject);
	X509_NAME_free(issuer);
	X509_free(x);
	return pem;
}

static const char *
ordered(const char *pem)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(fixture_key("P-256"), &der);
	struct span spki = {der, (size_t)len};
	const char *text = certpile_order(a, spki, pem, strlen(pem));

	OPENSSL_free(der);
	return text;
}

static bool
is_of_key(const char *pem)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(fixture_key("P-256"), &der);
	bool is = certpile_is_of_key((struct span){der, (size_t)len}, pem,
	    strlen(pem));

	OPENSSL_free(der);
	return is;
}

static const char *
joined(const char *one, const char *two, const char *three, const char *four)
{
	return arena_printf(a, "%s%s%s%s", one, two, three, four);
}

static void
test_any_order(void)
{
	const char *leaf = made("leaf", "P-256", "low", "P-384");
	const char *low = made("low", "P-384", "high", "P-521");
	const char *high = made("high", "P-521", "root", "RSA:2048");
	const char *root = made("root", "RSA:2048", "root", "RSA:2048");
	const char *want = joined(leaf, low, high, "");

	CHECK_STR(ordered(joined(leaf, low, high, root)), want);
	CHECK_STR(ordered(joined(root, high, low, leaf)), want);
	CHECK_STR(ordered(joined("words\n", low, leaf, high)), want);
	CHECK_STR(ordered(joined(leaf, leaf, low, high)), want);
	/* What is missing ends the chain, and what is beside it stays out. */
	CHECK_STR(ordered(joined(high, leaf, root, "")), leaf);
	CHECK_STR(ordered(joined(leaf, made("low", "P-521", "root", "P-521"),
		      "", "")),
	    leaf);
}

static void
test_a_root_of_the_same_name(void)
{
	const char *leaf = made("leaf", "P-256", "ca", "P-384");
	const char *root = made("ca", "P-384", "ca", "P-384");
	const char *crossed = made("ca", "P-384", "other", "P-521");
	const char *back = made("other", "P-521", "ca", "P-384");

	CHECK_STR(ordered(joined(leaf, root, crossed, "")),
	    joined(leaf, crossed, "", ""));
	/* Two that signed each other end nevertheless. */
	CHECK_STR(ordered(joined(leaf, crossed, back, "")),
	    joined(leaf, crossed, back, ""));
}

static void
test_none_of_the_key(void)
{
	const struct fixture_ext ca[] = {{NID_basic_constraints, "CA:TRUE"},
	    {0}};
	X509 *x = fixture_ca(fixture_key("P-384"), "low", ca);
	const char *leaf = made("leaf", "P-521", "low", "P-384");
	char *low = NULL;

	CHECK_INT(cert_x509_pem(a, x, &low), RC_OK);
	X509_free(x);
	CHECK_STR(ordered(joined(low, leaf, "", "")), leaf);
	CHECK(ordered(low) == NULL);
	CHECK(!is_of_key(leaf));
	CHECK(!is_of_key(""));
	CHECK(is_of_key(made("leaf", "P-256", "low", "P-384")));
}

static void
test_what_cannot_be_ordered(void)
{
	const char *leaf = made("leaf", "P-256", "low", "P-384");
	const char *many = "";

	CHECK(ordered("") == NULL);
	CHECK(ordered(joined(leaf, "-----BEGIN CERTIFICATE-----\n!\n", "",
		  "")) == NULL);
	CHECK(ordered(joined(leaf,
		  "-----BEGIN CERTIFICATE-----\nAAAA\n"
		  "-----END CERTIFICATE-----\n",
		  "", "")) == NULL);
	for (int i = 0; i <= CERTPILE_MAX; i++)
		many = joined(many, leaf, "", "");
	CHECK(ordered(many) == NULL);
}

static void
with_arena(void (*test)(void))
{
	a = arena_new();
	test();
	arena_free(a);
}

static void
certificates_are_ordered(void)
{
	with_arena(test_any_order);
	with_arena(test_a_root_of_the_same_name);
	with_arena(test_none_of_the_key);
	with_arena(test_what_cannot_be_ordered);
}

CHECK_MAIN(CHECK_ROW(certificates_are_ordered))
