#include "common/pki/key/pubkey.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/pki/asn1/der.h"

struct curve {
	int size;
	EVP_PKEY *key; /* holds the point of the last key */
};

static struct curve curves[] = {{.size = 256}, {.size = 384}, {.size = 521}};

static EVP_PKEY *
open_generic(struct span spki)
{
	const uint8_t *p = spki.p;

	return d2i_PUBKEY(NULL, &p, (long)spki.len);
}

static EVP_PKEY *
open_on_curve(struct curve *cv, struct span spki)
{
	struct der top, inner;
	struct span point;
	bool bad = false;
	int ok;

	if (!cv->key) {
		cv->key = open_generic(spki);
	} else {
		der_init(&top, spki, &bad);
		inner = der_enter(&top, DER_SEQUENCE);
		(void)der_take(&inner, DER_SEQUENCE); /* known: size */
		point = der_take_bits(&inner);
		if (bad)
			return NULL;
		ok = EVP_PKEY_set1_encoded_public_key(cv->key, point.p,
		    point.len);
		if (ok <= 0)
			return NULL;
	}
	if (!cv->key || !EVP_PKEY_up_ref(cv->key))
		return NULL;
	return cv->key;
}

static EVP_PKEY *
open_key(const struct pubkey *k)
{
	if (strcmp(k->algorithm, ALG_ECDSA) != 0)
		return open_generic(k->spki);
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		if (curves[i].size == k->size)
			return open_on_curve(&curves[i], k->spki);
	}
	return NULL;
}

static rc
verify(EVP_PKEY *key, enum alg_md md, struct span sig, struct span message)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	rc ret = RC_INVALID;
	int ok;

	if (!ctx)
		return RC_CRYPTO;
	ok = EVP_DigestVerifyInit(ctx, NULL, alg_md(md), NULL, key);
	if (ok == 1)
		ok = EVP_DigestVerify(ctx, sig.p, sig.len, message.p,
		    message.len);
	if (ok == 1)
		ret = RC_OK;
	EVP_MD_CTX_free(ctx);
	return ret;
}

rc
pubkey_check(const struct pubkey *k)
{
	EVP_PKEY *key = open_key(k);
	rc ret = key ? RC_OK : RC_INVALID;

	EVP_PKEY_free(key);
	/* What OpenSSL says of foreign bytes is nobody's concern later. */
	ERR_clear_error();
	return ret;
}

rc
pubkey_verify(const struct pubkey *k, enum alg_md md, struct span sig,
    struct span message)
{
	EVP_PKEY *key = open_key(k);
	rc ret = RC_INVALID;

	if (key)
		ret = verify(key, md, sig, message);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ret;
}
