/*
 * Proof of possession: the request's signature by the key it carries.
 *
 * OpenSSL 3 spends more time on building an elliptic-curve key object than on
 * the signature, nearly all of it on the curve.  So one object per curve is
 * kept and only its point is replaced (which checks that the point lies on
 * the curve).  Event loop only.
 */
#include "common/pki/csr/csr.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/pki/asn1/der.h"
#include "common/pki/key/alg.h"

struct curve {
	int size;
	EVP_PKEY *key; /* holds the point of the last request */
};

static struct curve curves[] = {{.size = 256}, {.size = 384}, {.size = 521}};

static EVP_PKEY *
key_generic(struct span spki)
{
	const uint8_t *p = spki.p;

	return d2i_PUBKEY(NULL, &p, (long)spki.len);
}

static EVP_PKEY *
key_on_curve(struct curve *cv, struct span spki)
{
	struct der top, inner;
	struct span point;
	bool bad = false;
	int ok;

	if (!cv->key) {
		cv->key = key_generic(spki);
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
key_of(const struct csr *c)
{
	if (strcmp(c->key_algorithm, ALG_ECDSA) != 0)
		return key_generic(c->spki);
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		if (curves[i].size == c->key_size)
			return key_on_curve(&curves[i], c->spki);
	}
	return NULL;
}

static rc
verify(const struct csr *c, EVP_PKEY *key, const struct alg_sig *alg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	rc ret = RC_INVALID;
	int ok;

	if (!ctx)
		return RC_CRYPTO;
	ok = EVP_DigestVerifyInit(ctx, NULL, alg_md(alg->md), NULL, key);
	if (ok == 1)
		ok = EVP_DigestVerify(ctx, c->sig.p, c->sig.len, c->tbs.p,
		    c->tbs.len);
	if (ok == 1)
		ret = RC_OK;
	EVP_MD_CTX_free(ctx);
	return ret;
}

rc
csr_verify(const struct csr *c)
{
	const struct alg_sig *alg = alg_sig_find(c->sig_alg);
	EVP_PKEY *key;
	rc ret = RC_INVALID;

	if (!alg || strcmp(alg->key, c->key_algorithm) != 0)
		return RC_INVALID;
	key = key_of(c);
	if (key)
		ret = verify(c, key, alg);
	EVP_PKEY_free(key);
	/* What OpenSSL says of foreign bytes is nobody's concern later. */
	ERR_clear_error();
	return ret;
}
