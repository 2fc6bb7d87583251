/*
 * Answers to GetCACert: one certificate, a PKCS#7 of several, and what is
 * neither.
 */
#include "common/pki/cert/scepca.h"

#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

static struct arena *a;

static X509 *
made(const char *cn, bool is_ca)
{
	struct fixture_ext exts[] = {{NID_basic_constraints,
					 is_ca ? "CA:TRUE" : "CA:FALSE"},
	    {0}};

	return fixture_ca(fixture_key("P-256"), cn, exts);
}

static struct span
der_of(X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	struct span out = {NULL, 0};

	CHECK(len > 0);
	out =
	    (struct span){(uint8_t *)arena_strndup(a, (char *)der, (size_t)len),
		(size_t)len};
	OPENSSL_free(der);
	return out;
}

/* Of n certificates; the one at ca is a CA's, none where it is n. */
static struct span
pkcs7_of(int n, int ca)
{
	PKCS7 *p7 = PKCS7_new();
	unsigned char *der = NULL;
	struct span out;
	int len;

	CHECK_INT(PKCS7_set_type(p7, NID_pkcs7_signed), 1);
	CHECK_INT(PKCS7_content_new(p7, NID_pkcs7_data), 1);
	for (int i = 0; i < n; i++) {
		X509 *x = made(arena_printf(a, "number %d", i), i == ca);

		CHECK_INT(PKCS7_add_certificate(p7, x), 1);
		X509_free(x);
	}
	len = i2d_PKCS7(p7, &der);
	CHECK(len > 0);
	out =
	    (struct span){(uint8_t *)arena_strndup(a, (char *)der, (size_t)len),
		(size_t)len};
	OPENSSL_free(der);
	PKCS7_free(p7);
	return out;
}

static void
test_one(void)
{
	X509 *x = made("ca", true);
	struct span der = der_of(x);
	struct scepca out;

	CHECK_INT(scepca_read(a, der, &out), RC_OK);
	CHECK_INT(out.n, 1);
	CHECK_INT(out.ca, 0);
	CHECK_INT(out.certs[0].len, der.len);
	CHECK(memcmp(out.certs[0].p, der.p, der.len) == 0);
	X509_free(x);
}

static void
test_several(void)
{
	struct scepca out;

	CHECK_INT(scepca_read(a, pkcs7_of(3, 1), &out), RC_OK);
	CHECK_INT(out.n, 3);
	CHECK_INT(out.ca, 1);
	CHECK_INT(scepca_read(a, pkcs7_of(2, 2), &out), RC_OK);
	CHECK_INT(out.n, 2);
	CHECK_INT(out.ca, 0);
	CHECK_INT(scepca_read(a, pkcs7_of(SCEPCA_CERTS_MAX, 0), &out), RC_OK);
	CHECK_INT(out.n, SCEPCA_CERTS_MAX);
}

static void
check_refused(struct span answer)
{
	struct scepca out = {.n = 77};

	CHECK_INT(scepca_read(a, answer, &out), RC_INVALID);
	CHECK_INT(out.n, 77);
}

static void
test_neither(void)
{
	X509 *x = made("ca", true);
	struct span der = der_of(x), more = {NULL, der.len + 1};

	check_refused((struct span){(const uint8_t *)"", 0});
	check_refused((struct span){(const uint8_t *)"<html>", 6});
	check_refused((struct span){der.p, der.len - 1});
	more.p = (uint8_t *)arena_strndup(a, (const char *)der.p, der.len);
	check_refused(more); /* a NUL behind it */
	check_refused(pkcs7_of(0, 0));
	check_refused(pkcs7_of(SCEPCA_CERTS_MAX + 1, 0));
	X509_free(x);
}

static void
test_set(void)
{
	a = arena_new();
	test_one();
	test_several();
	test_neither();
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_set))
