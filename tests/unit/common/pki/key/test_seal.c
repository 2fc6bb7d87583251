#include "common/pki/key/seal.h"

#include <string.h>

#include "tests/unit/check.h"

static const char pass[] = "0123456789abcdef0123456789abcdef";
static const char place[] = "ca_keys:iss-local";
static const char plain[] = "-----BEGIN PRIVATE KEY-----";

static void
test_passphrase(void)
{
	struct sealer *s = NULL;

	CHECK_INT(sealer_new("", &s), RC_INVALID);
	CHECK_INT(sealer_new(pass + 1, &s), RC_INVALID);
	CHECK(s == NULL);
	CHECK_INT(sealer_new(pass, &s), RC_OK);
	sealer_free(s);
	sealer_free(NULL);
}

static void
opens(struct sealer *s, const uint8_t *blob, size_t len, const void *want,
    size_t want_len)
{
	struct secret *out = NULL;

	CHECK_INT(unseal(s, place, blob, len, &out), RC_OK);
	CHECK_INT(secret_len(out), want_len);
	CHECK(memcmp(secret_bytes(out), want, want_len) == 0);
	secret_free(out);
}

static void
test_round_trip(void)
{
	struct arena *a = arena_new();
	struct sealer *s, *other;
	uint8_t *blob, *again;
	size_t len, again_len;

	CHECK_INT(sealer_new(pass, &s), RC_OK);
	CHECK_INT(sealer_new(pass, &other), RC_OK);
	CHECK_INT(seal(s, a, place, plain, sizeof(plain), &blob, &len), RC_OK);
	CHECK_INT(len, 1 + 16 + 12 + sizeof(plain) + 16);
	CHECK_INT(blob[0], 3);
	opens(s, blob, len, plain, sizeof(plain));
	opens(other, blob, len, plain, sizeof(plain));
	/* The same text twice: other bytes, the same salt. */
	CHECK_INT(seal(other, a, place, plain, sizeof(plain), &again,
		      &again_len),
	    RC_OK);
	CHECK(memcmp(blob + 1, again + 1, 16) == 0);
	CHECK(memcmp(blob + 17, again + 17, 12) != 0);
	CHECK(memcmp(blob + 29, again + 29, sizeof(plain)) != 0);
	opens(s, again, again_len, plain, sizeof(plain));
	CHECK_INT(seal(s, a, place, "", 0, &blob, &len), RC_OK);
	opens(s, blob, len, "", 0);
	sealer_free(s);
	sealer_free(other);
	arena_free(a);
}

/* While a passphrase is changed: the second opens, and seals nothing. */
static void
test_two_passphrases(void)
{
	static const char other[] = "fedcba9876543210fedcba9876543210";
	struct arena *a = arena_new();
	struct secret *out = NULL;
	struct sealer *was, *is;
	uint8_t *blob, *again;
	size_t len, again_len;

	CHECK_INT(sealer_new(pass, &was), RC_OK);
	CHECK_INT(seal(was, a, place, plain, sizeof(plain), &blob, &len),
	    RC_OK);
	CHECK_INT(sealer_new(other, &is), RC_OK);
	CHECK_INT(unseal(is, place, blob, len, &out), RC_CRYPTO);
	CHECK_INT(sealer_also(is, pass + 1), RC_INVALID);
	CHECK_INT(sealer_also(is, pass), RC_OK);
	opens(is, blob, len, plain, sizeof(plain));
	CHECK_INT(unseal_own(is, place, blob, len, &out), RC_CRYPTO);
	CHECK_INT(unseal(is, "ca_keys:iss-other", blob, len, &out), RC_CRYPTO);
	CHECK_INT(seal(is, a, place, plain, sizeof(plain), &again, &again_len),
	    RC_OK);
	CHECK_INT(unseal_own(is, place, again, again_len, &out), RC_OK);
	secret_free(out);
	CHECK_INT(unseal(was, place, again, again_len, &out), RC_CRYPTO);
	CHECK_INT(sealer_also(was, other), RC_OK);
	opens(was, again, again_len, plain, sizeof(plain));
	sealer_free(was);
	sealer_free(is);
	arena_free(a);
}

static void
test_tampering(void)
{
	struct arena *a = arena_new();
	struct secret *out = NULL;
	struct sealer *s, *other;
	uint8_t *blob;
	size_t len;

	CHECK_INT(sealer_new(pass, &s), RC_OK);
	CHECK_INT(seal(s, a, place, plain, sizeof(plain), &blob, &len), RC_OK);
	for (size_t i = 0; i < len; i++) {
		/* A changed salt derives another key, which takes long. */
		if (i > 1 && i < 17)
			continue;
		blob[i] ^= 0x40;
		CHECK_INT(unseal(s, place, blob, len, &out), RC_CRYPTO);
		blob[i] ^= 0x40;
	}
	for (size_t n = 0; n < len; n++)
		CHECK_INT(unseal(s, place, blob, n, &out), RC_CRYPTO);
	CHECK_INT(unseal(s, "ca_keys:iss-other", blob, len, &out), RC_CRYPTO);
	CHECK_INT(sealer_new("another passphrase of enough bytes", &other),
	    RC_OK);
	CHECK_INT(unseal(other, place, blob, len, &out), RC_CRYPTO);
	CHECK(out == NULL);
	opens(s, blob, len, plain, sizeof(plain));
	sealer_free(s);
	sealer_free(other);
	arena_free(a);
}

static void
test_size(void)
{
	static uint8_t big[1024 * 1024 + 1];
	struct arena *a = arena_new();
	struct sealer *s;
	uint8_t *blob = NULL;
	size_t len;

	CHECK_INT(sealer_new(pass, &s), RC_OK);
	CHECK_INT(seal(s, a, place, big, sizeof(big), &blob, &len),
	    RC_TOO_LARGE);
	CHECK(blob == NULL);
	CHECK_INT(seal(s, a, place, big, sizeof(big) - 1, &blob, &len), RC_OK);
	opens(s, blob, len, big, sizeof(big) - 1);
	sealer_free(s);
	arena_free(a);
}

/* One that has derived nothing yet takes another's salt; what it seals is
 * opened without a derivation then.  What is no blob is refused. */
static void
test_follow(void)
{
	struct arena *a = arena_new();
	struct sealer *s, *other;
	uint8_t *first, *second;
	size_t first_len, len;

	CHECK_INT(sealer_new(pass, &s), RC_OK);
	CHECK_INT(sealer_new(pass, &other), RC_OK);
	CHECK_INT(seal(s, a, place, plain, sizeof(plain), &first, &first_len),
	    RC_OK);
	CHECK_INT(sealer_follow(other, first, 40), RC_CRYPTO);
	first[0] ^= 1;
	CHECK_INT(sealer_follow(other, first, first_len), RC_CRYPTO);
	first[0] ^= 1;
	CHECK_INT(sealer_follow(other, first, first_len), RC_OK);
	CHECK_INT(seal(other, a, place, plain, sizeof(plain), &second, &len),
	    RC_OK);
	CHECK(memcmp(first, second, 17) == 0);
	CHECK(memcmp(first + 17, second + 17, 12) != 0);
	opens(s, second, len, plain, sizeof(plain));
	/* Nobody changes a salt that serves. */
	second[5] ^= 1;
	CHECK_INT(sealer_follow(other, second, len), RC_OK);
	CHECK_INT(seal(other, a, place, plain, sizeof(plain), &second, &len),
	    RC_OK);
	CHECK(memcmp(first, second, 17) == 0);
	sealer_free(s);
	sealer_free(other);
	arena_free(a);
}

/* Sealed before anybody asked for a better passphrase: it opens, and nothing
 * more comes under it. */
static void
test_weak_passphrase(void)
{
	static const char weak[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	static const uint8_t old[] = {0x03, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05,
	    0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x64,
	    0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
	    0x87, 0xfa, 0x30, 0xd9, 0x8a, 0x7d, 0x4c, 0x62, 0x02, 0x6c, 0x1d,
	    0x6d, 0x80, 0xe5, 0xaf, 0x57, 0xeb, 0xf6, 0x83, 0xaa};
	struct arena *a = arena_new();
	struct sealer *s;
	uint8_t *blob = NULL;
	size_t len;

	CHECK_INT(sealer_new(pass, &s), RC_OK);
	CHECK(!sealer_is_weak(s));
	sealer_free(s);
	CHECK_INT(sealer_new(weak, &s), RC_OK);
	CHECK(sealer_is_weak(s));
	opens(s, old, sizeof(old), "kept", 4);
	CHECK_INT(seal(s, a, place, plain, sizeof(plain), &blob, &len),
	    RC_INVALID);
	CHECK(blob == NULL);
	sealer_free(s);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_passphrase), CHECK_ROW(test_round_trip),
    CHECK_ROW(test_two_passphrases), CHECK_ROW(test_tampering),
    CHECK_ROW(test_size), CHECK_ROW(test_follow),
    CHECK_ROW(test_weak_passphrase))
