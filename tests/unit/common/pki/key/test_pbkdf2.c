#include "common/pki/key/pbkdf2.h"

#include <openssl/evp.h>
#include <time.h>

#include "tests/unit/check.h"

#define ROUNDS_OF_A_KEY 600000

static uint8_t text[200];

static void
as_openssl(size_t len, size_t salt_len, int rounds)
{
	uint8_t want[PBKDF2_KEY_LEN], got[PBKDF2_KEY_LEN];
	const uint8_t *salt = text + 100;

	CHECK_INT(PKCS5_PBKDF2_HMAC((const char *)text, (int)len, salt,
		      (int)salt_len, rounds, EVP_sha256(), sizeof(want), want),
	    1);
	pbkdf2_sha256(text, len, salt, salt_len, (uint32_t)rounds, got);
	CHECK(memcmp(got, want, sizeof(want)) == 0);
}

/* Passphrases to both sides of a block of the hash, salts up to the longest. */
static void
same_key_as_openssl(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 151 + 7);
	for (size_t len = 0; len <= 130; len++)
		as_openssl(len, 16, 2);
	for (size_t salt_len = 0; salt_len <= PBKDF2_SALT_MAX; salt_len++)
		as_openssl(40, salt_len, 3);
	as_openssl(40, 16, 1);
	as_openssl(40, 16, 1000);
}

/* RFC 7914's example for this function, its first block. */
static void
known_key(void)
{
	static const uint8_t want[PBKDF2_KEY_LEN] = {0x55, 0xac, 0x04, 0x6e,
	    0x56, 0xe3, 0x08, 0x9f, 0xec, 0x16, 0x91, 0xc2, 0x25, 0x44, 0xb6,
	    0x05, 0xf9, 0x41, 0x85, 0x21, 0x6d, 0xde, 0x04, 0x65, 0xe6, 0x8b,
	    0x9d, 0x57, 0xc2, 0x0d, 0xac, 0xbc};
	uint8_t got[PBKDF2_KEY_LEN];

	pbkdf2_sha256("passwd", 6, (const uint8_t *)"salt", 4, 1, got);
	CHECK(memcmp(got, want, sizeof(want)) == 0);
}

static double
cpu_now(void)
{
	struct timespec t;

	CHECK_INT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Its own time of the processor, not the machine's other work. */
static void
faster_than_openssl(void)
{
	uint8_t key[PBKDF2_KEY_LEN];
	double first = cpu_now(), second, third;

	pbkdf2_sha256(text, 40, text + 100, 16, ROUNDS_OF_A_KEY, key);
	second = cpu_now();
	CHECK_INT(PKCS5_PBKDF2_HMAC((const char *)text, 40, text + 100, 16,
		      ROUNDS_OF_A_KEY, EVP_sha256(), sizeof(key), key),
	    1);
	third = cpu_now();
	printf("a key: %.3f s, OpenSSL's %.3f s\n", second - first,
	    third - second);
	CHECK(second - first < third - second);
}

CHECK_MAIN(CHECK_ROW(known_key), CHECK_ROW(same_key_as_openssl),
    CHECK_ROW(faster_than_openssl))
