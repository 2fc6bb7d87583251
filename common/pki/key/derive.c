/* SHA256_Transform: the one way to a compression without a context to copy. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "common/pki/key/derive.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#include "common/base/mem.h"

#define BLOCK SHA256_CBLOCK
#define DIGEST SHA256_DIGEST_LENGTH

_Static_assert(DERIVE_KEY_LEN == DIGEST, "one block of PBKDF2");

/* What HMAC has after its key, inside and outside: FIPS 198-1. */
struct hmac_key {
	SHA256_CTX inner, outer;
	SHA256_CTX work; /* its h alone is used */
};

static void
begin(SHA256_CTX *state, const uint8_t key[BLOCK], uint8_t pad)
{
	uint8_t block[BLOCK];

	for (size_t i = 0; i < BLOCK; i++)
		block[i] = key[i] ^ pad;
	(void)SHA256_Init(state);
	SHA256_Transform(state, block);
	mem_wipe(block, sizeof(block));
}

/* A key longer than a block is its digest. */
static void
hmac_key_set(struct hmac_key *k, const void *key, size_t len)
{
	uint8_t block[BLOCK] = {0};

	if (len > BLOCK)
		(void)SHA256(key, len, block);
	else
		memcpy(block, key, len);
	begin(&k->inner, block, 0x36);
	begin(&k->outer, block, 0x5c);
	mem_wipe(block, sizeof(block));
}

/* block holds a digest and its padding, behind one block that side knows; the
 * digest of both goes back to its begin. */
static void
digest_more(SHA256_CTX *work, const SHA256_CTX *side, uint8_t block[BLOCK])
{
	memcpy(work->h, side->h, sizeof(work->h));
	SHA256_Transform(work, block);
	for (size_t i = 0; i < DIGEST; i++)
		block[i] = (uint8_t)(work->h[i / 4] >> (24 - 8 * (i % 4)));
}

/* FIPS 180-4, section 5.1.1: one bit, and how many there were. */
static void
pad(uint8_t block[BLOCK])
{
	const unsigned bits = (BLOCK + DIGEST) * 8;

	memset(block + DIGEST, 0, BLOCK - DIGEST);
	block[DIGEST] = 0x80;
	block[BLOCK - 2] = (uint8_t)(bits >> 8);
	block[BLOCK - 1] = (uint8_t)bits;
}

rc
derive_key(const void *passphrase, size_t len,
    const uint8_t salt[DERIVE_SALT_LEN], unsigned rounds,
    uint8_t out[DERIVE_KEY_LEN])
{
	uint8_t first[DERIVE_SALT_LEN + 4] = {0}, block[BLOCK];
	struct hmac_key key;
	unsigned n = 0;

	memcpy(first, salt, DERIVE_SALT_LEN);
	first[sizeof(first) - 1] = 1; /* the first block of the key */
	if (!HMAC(EVP_sha256(), passphrase, (int)len, first, sizeof(first),
		block, &n)) {
		ERR_clear_error();
		mem_wipe(out, DERIVE_KEY_LEN);
		return RC_CRYPTO;
	}
	memcpy(out, block, DIGEST);
	hmac_key_set(&key, passphrase, len);
	pad(block);
	for (unsigned round = 1; round < rounds; round++) {
		digest_more(&key.work, &key.inner, block);
		digest_more(&key.work, &key.outer, block);
		for (size_t i = 0; i < DIGEST; i++)
			out[i] ^= block[i];
	}
	mem_wipe(&key, sizeof(key));
	mem_wipe(block, sizeof(block));
	return RC_OK;
}
