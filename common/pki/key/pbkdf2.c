/* SHA256_Transform, one block without a context to copy, is deprecated since
 * 3.0 and has no successor. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "common/pki/key/pbkdf2.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>

#include "common/base/mem.h"

#define WORDS (PBKDF2_KEY_LEN / 4)

/* HMAC under one key: the hash after its inner and its outer pad. */
struct hmac {
	SHA256_CTX inner, outer;
};

static void
put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static void
begin_pad(SHA256_CTX *c, const uint8_t *key, uint8_t with)
{
	uint8_t pad[SHA256_CBLOCK];

	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = key[i] ^ with;
	(void)SHA256_Init(c);
	SHA256_Transform(c, pad);
	mem_wipe(pad, sizeof(pad));
}

static void
hmac_begin(struct hmac *h, const void *passphrase, size_t len)
{
	uint8_t key[SHA256_CBLOCK] = {0};

	if (len > sizeof(key))
		(void)SHA256(passphrase, len, key);
	else
		memcpy(key, passphrase, len);
	begin_pad(&h->inner, key, 0x36);
	begin_pad(&h->outer, key, 0x5c);
	mem_wipe(key, sizeof(key));
}

/* The block becomes the last one of a text of this length behind a pad. */
static void
end_block(uint8_t block[SHA256_CBLOCK], size_t len)
{
	memset(block + len, 0, SHA256_CBLOCK - len);
	block[len] = 0x80;
	put32(block + SHA256_CBLOCK - 4, (uint32_t)(SHA256_CBLOCK + len) * 8);
}

/* One block behind a pad; what comes out lies at its front. */
static void
hash_behind(SHA256_CTX *c, const SHA256_CTX *pad, uint8_t block[SHA256_CBLOCK])
{
	memcpy(c->h, pad->h, sizeof(c->h));
	SHA256_Transform(c, block);
	for (size_t i = 0; i < WORDS; i++)
		put32(block + 4 * i, c->h[i]);
}

void
pbkdf2_sha256(const void *passphrase, size_t len, const uint8_t *salt,
    size_t salt_len, uint32_t rounds, uint8_t key[PBKDF2_KEY_LEN])
{
	uint8_t block[SHA256_CBLOCK];
	uint32_t sum[WORDS] = {0};
	struct hmac h;
	SHA256_CTX c;

	assert(salt_len <= PBKDF2_SALT_MAX);
	hmac_begin(&h, passphrase, len);
	c = h.inner;
	memcpy(block, salt, salt_len);
	put32(block + salt_len, 1); /* the number of the only block */
	end_block(block, salt_len + 4);
	for (uint32_t n = 0; n < rounds; n++) {
		hash_behind(&c, &h.inner, block);
		if (n == 0) /* and from then on it stays so */
			end_block(block, PBKDF2_KEY_LEN);
		hash_behind(&c, &h.outer, block);
		for (size_t i = 0; i < WORDS; i++)
			sum[i] ^= c.h[i];
	}
	for (size_t i = 0; i < WORDS; i++)
		put32(key + 4 * i, sum[i]);
	mem_wipe(block, sizeof(block));
	mem_wipe(sum, sizeof(sum));
	mem_wipe(&h, sizeof(h));
	mem_wipe(&c, sizeof(c));
}
