/* SHA256_Transform: the one way to a compression without a context to copy. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "common/pki/key/derive.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
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

struct derive {
	struct hmac_key key;
	uint8_t block[BLOCK], out[DERIVE_KEY_LEN];
	unsigned left; /* rounds */
};

static rc
start(struct derive *d, const void *passphrase, size_t len, const void *salt,
    size_t salt_len, unsigned rounds)
{
	uint8_t first[DERIVE_SALT_MAX + 4] = {0};
	unsigned n = 0;

	memcpy(first, salt, salt_len);
	first[salt_len + 3] = 1; /* the first block of the key */
	if (!HMAC(EVP_sha256(), passphrase, (int)len, first, salt_len + 4,
		d->block, &n)) {
		ERR_clear_error();
		return RC_CRYPTO;
	}
	memcpy(d->out, d->block, DIGEST);
	hmac_key_set(&d->key, passphrase, len);
	pad(d->block);
	d->left = rounds - 1;
	return RC_OK;
}

rc
derive_key(const void *passphrase, size_t len,
    const uint8_t salt[DERIVE_SALT_LEN], unsigned rounds,
    uint8_t out[DERIVE_KEY_LEN])
{
	struct derive d;
	rc ret = start(&d, passphrase, len, salt, DERIVE_SALT_LEN, rounds);

	mem_wipe(out, DERIVE_KEY_LEN);
	if (ret == RC_OK && !derive_go_on(&d, d.left, out))
		ret = RC_CRYPTO; /* all rounds at once come to an end */
	mem_wipe(&d, sizeof(d));
	return ret;
}

rc
derive_new(const void *passphrase, size_t len, const void *salt,
    size_t salt_len, unsigned rounds, struct derive **out)
{
	struct derive *d;
	rc ret;

	if (salt_len > DERIVE_SALT_MAX)
		return RC_INVALID;
	d = mem_zalloc(sizeof(*d));
	ret = start(d, passphrase, len, salt, salt_len, rounds);
	if (ret == RC_OK)
		*out = d;
	else
		derive_free(d);
	return ret;
}

void
derive_free(struct derive *d)
{
	if (!d)
		return;
	mem_wipe(d, sizeof(*d));
	free(d);
}

bool
derive_go_on(struct derive *d, unsigned rounds, uint8_t out[DERIVE_KEY_LEN])
{
	for (; d->left > 0 && rounds > 0; d->left--, rounds--) {
		digest_more(&d->key.work, &d->key.inner, d->block);
		digest_more(&d->key.work, &d->key.outer, d->block);
		for (size_t i = 0; i < DIGEST; i++)
			d->out[i] ^= d->block[i];
	}
	if (d->left > 0)
		return false;
	memcpy(out, d->out, DERIVE_KEY_LEN);
	return true;
}
