#include "common/pki/cert/discovered.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

static struct span
der_of(struct arena *a, X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	uint8_t *copy;

	CHECK(len > 0);
	copy = arena_alloc(a, (size_t)len);
	memcpy(copy, der, (size_t)len);
	OPENSSL_free(der);
	return (struct span){copy, (size_t)len};
}

static void
test_read(void)
{
	static const struct fixture_ext exts[] = {{NID_basic_constraints,
						      "critical,CA:TRUE"},
	    {NID_subject_alt_name,
		"DNS:a.example,IP:10.0.0.1,IP:2001:db8::1,email:m@a.example,"
		"URI:spiffe://a/b,RID:1.2.3"},
	    {0}};
	static const char *const sans[] = {"a.example", "10.0.0.1",
	    "2001:db8::1", "m@a.example", "spiffe://a/b"};
	struct arena *a = arena_new();
	X509 *x = fixture_ca(fixture_key("P-384"), "R\xc3\xa9, x", exts);
	struct span der = der_of(a, x);
	struct discovered d;

	CHECK_INT(discovered_read(a, der, &d), RC_OK);
	CHECK_STR(d.common_name, "R\xc3\xa9, x");
	CHECK_STR(d.subject_dn, "CN=R\xc3\xa9\\, x");
	CHECK_STR(d.issuer_dn, d.subject_dn);
	CHECK_STR(d.serial_number, "7");
	CHECK_STR(d.key_algorithm, "ECDSA");
	CHECK_INT(d.key_size, 384);
	CHECK(d.is_ca);
	CHECK_INT(strncmp(d.not_before, "2000-01-01T00:00:00", 19), 0);
	CHECK_INT(strncmp(d.not_after, "2099-12-31T23:59:59", 19), 0);
	CHECK_INT(d.nsans, ARRAY_LEN(sans));
	for (size_t i = 0; i < ARRAY_LEN(sans); i++)
		CHECK_STR(d.sans[i], sans[i]);
	CHECK_INT(strlen(d.fingerprint_sha256), 64);
	CHECK(strncmp(d.pem, "-----BEGIN CERTIFICATE-----\n", 28) == 0);
	X509_free(x);
	arena_free(a);
}

/* What others made of it must not keep a report from being told. */
static void
test_odd_certificates(void)
{
	static const struct {
		const char *decimal, *hex;
	} rows[] = {{"0", "0"}, {"-171", "-ab"}, {"256", "100"},
	    {"1461501637330902918203684832716283019655932542976",
		"10000000000000000000000000000000000000000"}};
	static const struct fixture_ext none[] = {{0}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new();
		X509 *x = fixture_ca(fixture_key("RSA:2048"),
		    "a\x07"
		    "b",
		    none);
		BIGNUM *n = NULL;
		struct discovered d;

		CHECK(BN_dec2bn(&n, rows[i].decimal) > 0);
		CHECK(BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL);
		CHECK_INT(X509_sign(x, fixture_key("RSA:2048"), EVP_sha256()) >
			      0,
		    1);
		CHECK_INT(discovered_read(a, der_of(a, x), &d), RC_OK);
		CHECK_STR(d.serial_number, rows[i].hex);
		CHECK_STR(d.common_name, "a?b");
		CHECK_STR(d.key_algorithm, "RSA");
		CHECK_INT(d.nsans, 0);
		CHECK(!d.is_ca);
		BN_free(n);
		X509_free(x);
		arena_free(a);
	}
}

static void
test_no_certificates(void)
{
	static const struct fixture_ext none[] = {{0}};
	struct arena *a = arena_new();
	X509 *x = fixture_ca(fixture_key("P-256"), "a", none);
	struct span der = der_of(a, x);
	uint8_t *two = arena_alloc(a, 2 * der.len);
	struct discovered d;

	memcpy(two, der.p, der.len);
	memcpy(two + der.len, der.p, der.len);
	CHECK_INT(discovered_read(a, (struct span){two, 2 * der.len}, &d),
	    RC_INVALID);
	CHECK_INT(discovered_read(a, (struct span){two, der.len + 1}, &d),
	    RC_INVALID);
	for (size_t n = 0; n < der.len; n += 7)
		CHECK_INT(discovered_read(a, (struct span){der.p, n}, &d),
		    RC_INVALID);
	CHECK_INT(discovered_read(a, der, &d), RC_OK);
	X509_free(x);
	arena_free(a);
}

static void
test_texts(void)
{
	static const struct {
		const char *text;
		size_t len, max;
		const char *shown;
	} rows[] = {
	    {"plain", 5, 10, "plain"},
	    {"a\nb\tc\0d", 7, 10, "a?b?c?d"},
	    {"a\xe2\x80\xae"
	     "b",
		5, 10, "a?b"},
	    {"a\xff"
	     "b",
		3, 10, "a?b"},
	    {"\xc3\xa9\xc3\xa9", 4, 3, "\xc3\xa9"},
	    {"\x80\x80\x80\x80\x80\x80", 6, 4, "?"},
	    {"", 0, 10, ""},
	};
	struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_STR(discovered_text(a, rows[i].text, rows[i].len,
			      rows[i].max),
		    rows[i].shown);
	arena_free(a);
}

static void
test_put(void)
{
	static const char *const sans[] = {"a", "b"};
	static const struct discovered d = {.fingerprint_sha256 = "ff",
	    .serial_number = "1",
	    .common_name = "a",
	    .issuer_dn = "CN=i",
	    .subject_dn = "CN=s",
	    .sans = sans,
	    .nsans = 2,
	    .not_before = "",
	    .not_after = "2099-12-31T23:59:59Z",
	    .key_algorithm = "RSA",
	    .key_size = 2048,
	    .pem = "PEM"};
	static const char *const texts[] = {"", "PEM"};
	struct json_w w;
	struct buf b;
	char want[600];

	for (int with_pem = 0; with_pem < 2; with_pem++) {
		buf_init(&b, 0);
		json_w_init(&w, &b);
		discovered_put(&w, &d, "/p", "DER", with_pem == 1);
		(void)snprintf(want, sizeof(want),
		    "{\"fingerprint_sha256\":\"ff\",\"common_name\":\"a\","
		    "\"sans\":[\"a\",\"b\"],\"serial_number\":\"1\","
		    "\"issuer_dn\":\"CN=i\",\"subject_dn\":\"CN=s\","
		    "\"not_after\":\"2099-12-31T23:59:59Z\","
		    "\"key_algorithm\":\"RSA\",\"key_size\":2048,"
		    "\"is_ca\":false,\"pem_data\":\"%s\","
		    "\"source_path\":\"/p\",\"source_format\":\"DER\"}",
		    texts[with_pem]);
		CHECK_STR(buf_cstr(&b), want);
		buf_fini(&b);
	}
}

CHECK_MAIN(CHECK_ROW(test_read), CHECK_ROW(test_odd_certificates),
    CHECK_ROW(test_no_certificates), CHECK_ROW(test_texts), CHECK_ROW(test_put))
