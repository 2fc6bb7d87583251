#include "common/pki/cert/cert.h"

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/base/attr.h"
#include "common/pki/key/key.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

static const struct fixture_ext leaf_exts[] = {{NID_basic_constraints,
						   "critical,CA:FALSE"},
    {0}};

static char *
pem_of(struct arena *a, X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	char *pem = NULL;

	CHECK(len > 0);
	CHECK_INT(cert_to_pem(a, der, (size_t)len, &pem), RC_OK);
	OPENSSL_free(der);
	return pem;
}

static void
test_read(void)
{
	static const struct {
		const char *kind, *algorithm;
		int size;
	} rows[] = {{"P-256", "ECDSA", 256}, {"P-384", "ECDSA", 384},
	    {"RSA:2048", "RSA", 2048}, {"ED25519", "Ed25519", 0}};
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena *a = arena_new();
		X509 *x = fixture_ca(fixture_key(rows[i].kind), "R\xc3\xa9, x",
		    leaf_exts);
		struct cert_info info;

		CHECK_INT(cert_read(a, x, &info), RC_OK);
		CHECK_STR(info.serial_hex,
		    "0000000000000000000000000000000000000007");
		CHECK_STR(info.common_name, "R\xc3\xa9, x");
		CHECK_STR(info.issuer_dn, "CN=R\xc3\xa9\\, x");
		CHECK_STR(info.key_algorithm, rows[i].algorithm);
		CHECK_INT(info.key_size, rows[i].size);
		CHECK_INT(info.not_before_unix, 946684800);
		CHECK_INT(info.not_after_unix, 4102444799);
		CHECK(!info.is_ca);
		CHECK_INT(X509_digest(x, EVP_sha256(), digest, NULL), 1);
		for (size_t k = 0; k < 32; k++) {
			CHECK_INT(info.fingerprint_sha256[2 * k],
			    hex[digest[k] >> 4]);
			CHECK_INT(info.fingerprint_sha256[2 * k + 1],
			    hex[digest[k] & 15]);
		}
		X509_free(x);
		arena_free(a);
	}
}

static void
test_pem(void)
{
	struct arena *a = arena_new();
	X509 *x = fixture_ca(fixture_key("P-256"), "first", leaf_exts);
	X509 *y = fixture_ca(fixture_key("P-256"), "second", leaf_exts);
	X509 *got = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	char *one = pem_of(a, x), *two, *theirs;
	long len;

	/* Byte for byte what OpenSSL writes. */
	CHECK_INT(PEM_write_bio_X509(bio, x), 1);
	len = BIO_get_mem_data(bio, &theirs);
	CHECK_INT(strlen(one), len);
	CHECK(memcmp(one, theirs, (size_t)len) == 0);
	BIO_free(bio);

	two = arena_printf(a, "text\n%s%s", one, pem_of(a, y));
	CHECK_INT(cert_from_pem(two, strlen(two), &got), RC_OK);
	CHECK_INT(X509_cmp(got, x), 0);
	X509_free(got);
	got = NULL;
	CHECK_INT(cert_from_pem("", 0, &got), RC_INVALID);
	CHECK_INT(cert_from_pem(one, strlen(one) - 10, &got), RC_INVALID);
	one[100] = '*';
	CHECK_INT(cert_from_pem(one, strlen(one), &got), RC_INVALID);
	CHECK_INT(cert_to_pem(a, NULL, 0, &one), RC_INVALID);
	CHECK(got == NULL);
	X509_free(x);
	X509_free(y);
	arena_free(a);
}

/* Every length of the last group, against OpenSSL's encoder. */
static void
test_pem_lengths(void)
{
	struct arena *a = arena_new();
	uint8_t bytes[200];
	char *ours = NULL, *theirs;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	for (size_t n = 1; n <= sizeof(bytes); n++) {
		CHECK_INT(cert_to_pem(a, bytes, n, &ours), RC_OK);
		theirs = fixture_wrap(a, "CERTIFICATE", bytes, n);
		CHECK_STR(ours, theirs);
	}
	arena_free(a);
}

static void
test_trailing_der(void)
{
	struct arena *a = arena_new();
	X509 *x = fixture_ca(fixture_key("P-256"), "x", leaf_exts);
	X509 *got = NULL;
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	uint8_t *more;
	char *pem;

	CHECK(len > 0);
	more = arena_alloc(a, (size_t)len + 1);
	memcpy(more, der, (size_t)len);
	CHECK_INT(cert_to_pem(a, more, (size_t)len + 1, &pem), RC_OK);
	CHECK_INT(cert_from_pem(pem, strlen(pem), &got), RC_INVALID);
	OPENSSL_free(der);
	X509_free(x);
	arena_free(a);
}

static void
test_match_key(void)
{
	X509 *x = fixture_ca(fixture_key("P-256"), "x", leaf_exts);
	EVP_PKEY *other = NULL;

	CHECK_INT(key_new_p256(&other), RC_OK);
	CHECK_INT(cert_match_key(x, fixture_key("P-256")), RC_OK);
	CHECK_INT(cert_match_key(x, other), RC_INVALID);
	CHECK_INT(cert_match_key(x, fixture_key("RSA:2048")), RC_INVALID);
	EVP_PKEY_free(other);
	X509_free(x);
}

static rc
hex_of(const char *number, char out[41])
{
	BIGNUM *n = NULL;
	ASN1_INTEGER *i;
	rc code;

	BN_hex2bn(&n, number);
	i = BN_to_ASN1_INTEGER(n, NULL);
	code = cert_serial_hex(i, out);
	ASN1_INTEGER_free(i);
	BN_free(n);
	return code;
}

static void
test_serial_hex(void)
{
	char hex[41] = "";

	CHECK_INT(hex_of("0", hex), RC_OK);
	CHECK_STR(hex, "0000000000000000000000000000000000000000");
	CHECK_INT(hex_of("00ab", hex), RC_OK);
	CHECK_STR(hex, "00000000000000000000000000000000000000ab");
	CHECK_INT(hex_of("FFffffffffffffffffffffffffffffffffffffff", hex),
	    RC_OK);
	CHECK_STR(hex, "ffffffffffffffffffffffffffffffffffffffff");
	CHECK_INT(hex_of("01ffffffffffffffffffffffffffffffffffffffff", hex),
	    RC_INVALID);
	CHECK_INT(hex_of("-5", hex), RC_INVALID);
}

CHECK_MAIN(CHECK_ROW(test_read), CHECK_ROW(test_pem),
    CHECK_ROW(test_pem_lengths), CHECK_ROW(test_trailing_der),
    CHECK_ROW(test_match_key), CHECK_ROW(test_serial_hex))
