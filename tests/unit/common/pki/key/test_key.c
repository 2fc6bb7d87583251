#include "common/pki/key/key.h"

#include <openssl/pem.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "tests/unit/common/pki/fixture.h"

static void
reads_back(const void *pem, size_t len, EVP_PKEY *want)
{
	EVP_PKEY *got = NULL;

	CHECK_INT(key_from_pem(pem, len, &got), RC_OK);
	CHECK_INT(EVP_PKEY_eq(got, want), 1);
	EVP_PKEY_free(got);
}

static void
test_round_trip(void)
{
	static const char *const kinds[] = {"P-256", "P-384", "RSA:2048",
	    "ED25519"};
	struct secret *pem;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		EVP_PKEY *key = fixture_key(kinds[i]);

		CHECK_INT(key_to_pem(key, &pem), RC_OK);
		CHECK(memcmp(secret_bytes(pem), "-----BEGIN PRIVATE KEY", 22) ==
		      0);
		reads_back(secret_bytes(pem), secret_len(pem), key);
		secret_free(pem);
	}
}

static void
test_old_forms(void)
{
	static const char *const kinds[] = {"P-256", "RSA:2048"};
	char *text;
	long len;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		EVP_PKEY *key = fixture_key(kinds[i]);
		BIO *bio = BIO_new(BIO_s_mem());

		CHECK_INT(PEM_write_bio_PrivateKey_traditional(bio, key, NULL,
			      NULL, 0, NULL, NULL),
		    1);
		len = BIO_get_mem_data(bio, &text);
		CHECK(strncmp(text, i ? "-----BEGIN RSA" : "-----BEGIN EC",
			  13) == 0);
		reads_back(text, (size_t)len, key);
		BIO_free(bio);
	}
}

static void
refused(const char *text, size_t len)
{
	EVP_PKEY *key = NULL;

	CHECK_INT(key_from_pem(text, len, &key), RC_INVALID);
	CHECK(key == NULL);
}

static void
test_refused(void)
{
	static char big[64 * 1024 + 1];
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	refused("", 0);
	refused("hello", 5);
	memset(big, 'a', sizeof(big));
	refused(big, sizeof(big));
	/* One with a passphrase: nobody is asked for it. */
	CHECK_INT(PEM_write_bio_PKCS8PrivateKey(bio, fixture_key("P-256"),
		      EVP_aes_128_cbc(), "secret", 6, NULL, NULL),
	    1);
	len = BIO_get_mem_data(bio, &text);
	refused(text, (size_t)len);
	(void)BIO_reset(bio);
	/* A key that cannot sign, and a public one. */
	CHECK_INT(PEM_write_bio_PKCS8PrivateKey(bio, fixture_key("X25519"),
		      NULL, NULL, 0, NULL, NULL),
	    1);
	len = BIO_get_mem_data(bio, &text);
	refused(text, (size_t)len);
	(void)BIO_reset(bio);
	CHECK_INT(PEM_write_bio_PUBKEY(bio, fixture_key("P-256")), 1);
	len = BIO_get_mem_data(bio, &text);
	refused(text, (size_t)len);
	BIO_free(bio);
}

static void
test_new(void)
{
	EVP_PKEY *one, *two;
	int size = 0;

	CHECK_INT(key_new_p256(&one), RC_OK);
	CHECK_INT(key_new_p256(&two), RC_OK);
	CHECK_STR(key_algorithm(one, &size), "ECDSA");
	CHECK_INT(size, 256);
	CHECK(EVP_PKEY_eq(one, two) != 1);
	EVP_PKEY_free(one);
	EVP_PKEY_free(two);
	CHECK_STR(key_algorithm(fixture_key("X25519"), &size), "");
	CHECK_STR(key_algorithm(fixture_key("ED25519"), &size), "Ed25519");
	CHECK_INT(size, 0);
	CHECK_STR(key_algorithm(fixture_key("RSA:2048"), &size), "RSA");
	CHECK_INT(size, 2048);
}

CHECK_MAIN(CHECK_ROW(test_round_trip), CHECK_ROW(test_old_forms),
    CHECK_ROW(test_refused), CHECK_ROW(test_new))
