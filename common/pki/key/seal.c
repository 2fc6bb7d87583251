#include "common/pki/key/seal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/weak.h"
#include "common/pki/key/derive.h"

#define VERSION 0x03
#define SALT_LEN DERIVE_SALT_LEN
#define NONCE_LEN 12
#define TAG_LEN 16
#define KEY_LEN DERIVE_KEY_LEN
#define HEAD_LEN (1 + SALT_LEN + NONCE_LEN)
#define ROUNDS 600000
#define PASSPHRASE_MIN 32
#define PLAIN_MAX (1024 * 1024)
/* Each process seals under one salt, so few are ever in use at once. */
#define CACHE_MAX 32

struct derived {
	uint8_t salt[SALT_LEN];
	uint8_t key[KEY_LEN];
};

struct sealer {
	struct secret *passphrase;
	struct sealer *also; /* NULL, or what is tried behind it */
	bool is_weak;
	EVP_CIPHER *aes;
	size_t n;
	size_t next; /* the entry to replace when all are in use */
	struct derived cache[CACHE_MAX];
};

rc
sealer_new(const char *passphrase, struct sealer **out)
{
	struct sealer *s;
	size_t len = strlen(passphrase);

	if (len < PASSPHRASE_MIN)
		return RC_INVALID;
	s = mem_zalloc(sizeof(*s));
	s->passphrase = secret_new(passphrase, len);
	s->is_weak = weak_is_refused(passphrase, len);
	s->aes = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (!s->aes) {
		sealer_free(s);
		ERR_clear_error();
		return RC_CRYPTO;
	}

	*out = s;
	return RC_OK;
}

void
sealer_free(struct sealer *s)
{
	if (!s)
		return;
	sealer_free(s->also);
	EVP_CIPHER_free(s->aes);
	secret_free(s->passphrase);
	mem_wipe(s, sizeof(*s));
	free(s);
}

rc
sealer_also(struct sealer *s, const char *passphrase)
{
	return sealer_new(passphrase, &s->also);
}

bool
sealer_is_weak(const struct sealer *s)
{
	return s->is_weak;
}

/* The entry of this salt; derived (some hundredths of a second) when new. */
static rc
key_for(struct sealer *s, const uint8_t *salt, const struct derived **out)
{
	uint8_t key[KEY_LEN];
	struct derived *d;
	rc ret;

	for (size_t i = 0; i < s->n; i++) {
		if (memcmp(s->cache[i].salt, salt, SALT_LEN) == 0) {
			*out = &s->cache[i];
			return RC_OK;
		}
	}
	ret = derive_key(secret_bytes(s->passphrase), secret_len(s->passphrase),
	    salt, ROUNDS, key);
	if (ret != RC_OK)
		return ret;
	d = &s->cache[s->n < CACHE_MAX ? s->n : s->next];
	memcpy(d->salt, salt, SALT_LEN);
	memcpy(d->key, key, KEY_LEN);
	mem_wipe(key, sizeof(key));
	if (s->n < CACHE_MAX)
		s->n++;
	else
		s->next = (s->next + 1) % CACHE_MAX;
	*out = d;
	return RC_OK;
}

/* Any key at hand serves: nonces are random, and a salt of one's own for
 * each blob would cost every reader a derivation each. */
static rc
key_for_sealing(struct sealer *s, const struct derived **out)
{
	uint8_t salt[SALT_LEN];

	if (s->n > 0) {
		*out = &s->cache[0];
		return RC_OK;
	}
	rand_bytes(salt, sizeof(salt));
	return key_for(s, salt, out);
}

static bool
is_blob(const uint8_t *blob, size_t len)
{
	return len >= HEAD_LEN + TAG_LEN && blob[0] == VERSION &&
	       len <= HEAD_LEN + PLAIN_MAX + TAG_LEN;
}

rc
sealer_follow(struct sealer *s, const uint8_t *blob, size_t len)
{
	const struct derived *d;

	if (!is_blob(blob, len))
		return RC_CRYPTO;
	return s->n > 0 ? RC_OK : key_for(s, blob + 1, &d);
}

static bool
encrypt(const struct sealer *s, const uint8_t *key, const char *aad,
    uint8_t *blob, const void *plain, int len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *body = blob + HEAD_LEN;
	bool ok;
	int n = 0;

	ok = ctx &&
	     EVP_EncryptInit_ex2(ctx, s->aes, key, blob + 1 + SALT_LEN, NULL) ==
		 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)aad,
		 (int)strlen(aad)) == 1 &&
	     EVP_EncryptUpdate(ctx, body, &n, plain, len) == 1 &&
	     EVP_EncryptFinal_ex(ctx, body + len, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN,
		 body + len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

rc
seal(struct sealer *s, struct arena *a, const char *aad, const void *plain,
    size_t len, uint8_t **out, size_t *out_len)
{
	const struct derived *d;
	uint8_t *blob;
	rc ret;

	if (len > PLAIN_MAX)
		return RC_TOO_LARGE;
	if (s->is_weak)
		return RC_INVALID;
	ret = key_for_sealing(s, &d);
	if (ret != RC_OK)
		return ret;
	blob = arena_alloc(a, HEAD_LEN + len + TAG_LEN);
	blob[0] = VERSION;
	memcpy(blob + 1, d->salt, SALT_LEN);
	rand_bytes(blob + 1 + SALT_LEN, NONCE_LEN);
	if (!encrypt(s, d->key, aad, blob, plain, (int)len)) {
		ERR_clear_error();
		return RC_CRYPTO;
	}

	*out = blob;
	*out_len = HEAD_LEN + len + TAG_LEN;
	return RC_OK;
}

static bool
decrypt(const struct sealer *s, const uint8_t *key, const char *aad,
    const uint8_t *blob, uint8_t *plain, int len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const uint8_t *body = blob + HEAD_LEN;
	uint8_t tag[TAG_LEN];
	bool ok;
	int n = 0;

	memcpy(tag, body + len, TAG_LEN);
	ok = ctx &&
	     EVP_DecryptInit_ex2(ctx, s->aes, key, blob + 1 + SALT_LEN, NULL) ==
		 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)aad,
		 (int)strlen(aad)) == 1 &&
	     EVP_DecryptUpdate(ctx, plain, &n, body, len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) ==
		 1 &&
	     EVP_DecryptFinal_ex(ctx, plain + len, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

rc
unseal(struct sealer *s, const char *aad, const uint8_t *blob, size_t len,
    struct secret **out)
{
	rc ret = unseal_own(s, aad, blob, len, out);

	return ret == RC_CRYPTO && s->also
		   ? unseal_own(s->also, aad, blob, len, out)
		   : ret;
}

rc
unseal_own(struct sealer *s, const char *aad, const uint8_t *blob, size_t len,
    struct secret **out)
{
	const struct derived *d;
	uint8_t *plain;
	size_t plain_len;
	rc ret;

	if (!is_blob(blob, len))
		return RC_CRYPTO;
	ret = key_for(s, blob + 1, &d);
	if (ret != RC_OK)
		return ret;
	plain_len = len - HEAD_LEN - TAG_LEN;
	plain = mem_zalloc(plain_len + 1);
	if (decrypt(s, d->key, aad, blob, plain, (int)plain_len))
		*out = secret_new(plain, plain_len);
	else
		ret = RC_CRYPTO;
	mem_wipe(plain, plain_len);
	free(plain);
	ERR_clear_error();
	return ret;
}
