#include "common/pki/key/derive.h"

#include <openssl/evp.h>
#include <string.h>

#include "tests/unit/check.h"

static const uint8_t salt[DERIVE_SALT_LEN] = "sixteen of salt";

/* libcrypto's own is slow and right. */
static void
is_the_same(size_t len, unsigned rounds)
{
	char passphrase[300];
	uint8_t want[DERIVE_KEY_LEN], key[DERIVE_KEY_LEN] = {0};

	for (size_t i = 0; i < sizeof(passphrase); i++)
		passphrase[i] = (char)(i * 7 + len);
	CHECK_INT(PKCS5_PBKDF2_HMAC(passphrase, (int)len, salt, sizeof(salt),
		      (int)rounds, EVP_sha256(), sizeof(want), want),
	    1);
	CHECK_INT(derive_key(passphrase, len, salt, rounds, key), RC_OK);
	CHECK(memcmp(key, want, sizeof(want)) == 0);
}

static void
test_lengths(void)
{
	static const size_t lengths[] = {1, 31, 32, 63, 64, 65, 128, 300};

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		is_the_same(lengths[i], 3);
}

static void
test_rounds(void)
{
	static const unsigned rounds[] = {1, 2, 1000, 4096};

	for (size_t i = 0; i < ARRAY_LEN(rounds); i++)
		is_the_same(32, rounds[i]);
}

CHECK_MAIN(CHECK_ROW(test_lengths), CHECK_ROW(test_rounds))
