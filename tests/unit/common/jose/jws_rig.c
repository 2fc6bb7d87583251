#include "tests/unit/common/jose/jws_rig.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/pki/key/key.h"

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* len 0: as short as it can be. */
static const char *
number(struct arena *a, EVP_PKEY *key, const char *name, size_t len)
{
	BIGNUM *n = NULL;
	uint8_t *bytes;

	must(EVP_PKEY_get_bn_param(key, name, &n) == 1);
	if (len == 0)
		len = (size_t)BN_num_bytes(n);
	bytes = arena_alloc(a, len);
	must(BN_bn2binpad(n, bytes, (int)len) == (int)len);
	BN_free(n);
	return enc_base64url(a, bytes, len);
}

const char *
rig_jwk(struct arena *a, EVP_PKEY *key)
{
	uint8_t raw[32];
	size_t len = sizeof(raw);
	int size;

	(void)key_algorithm(key, &size);
	if (EVP_PKEY_is_a(key, "RSA"))
		return arena_printf(a,
		    "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}",
		    number(a, key, OSSL_PKEY_PARAM_RSA_N, 0),
		    number(a, key, OSSL_PKEY_PARAM_RSA_E, 0));
	if (EVP_PKEY_is_a(key, "ED25519")) {
		must(EVP_PKEY_get_raw_public_key(key, raw, &len) == 1);
		return arena_printf(a,
		    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}",
		    enc_base64url(a, raw, len));
	}
	len = ((size_t)size + 7) / 8;
	return arena_printf(a,
	    "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"}", size,
	    number(a, key, OSSL_PKEY_PARAM_EC_PUB_X, len),
	    number(a, key, OSSL_PKEY_PARAM_EC_PUB_Y, len));
}

const struct jwk *
rig_key(struct arena *a, EVP_PKEY *key)
{
	const struct jwk *k;
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	must(len > 0);
	must(jwk_from_spki(a, (struct span){der, (size_t)len}, &k) == RC_OK);
	OPENSSL_free(der);
	return k;
}

static uint8_t *
raw_of(struct arena *a, const uint8_t *der, size_t der_len, size_t half)
{
	uint8_t *raw = arena_alloc(a, 2 * half);
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);

	must(sig != NULL);
	must(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)half) > 0);
	must(BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + half, (int)half) > 0);
	ECDSA_SIG_free(sig);
	return raw;
}

uint8_t *
rig_sign(struct arena *a, EVP_PKEY *key, const char *input, size_t *out_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *sig = arena_alloc(a, 1024);
	size_t len = 1024;
	int size;

	(void)key_algorithm(key, &size);
	must(EVP_DigestSignInit(ctx, NULL, alg_md(alg_sig_for(key)->md), NULL,
		 key) == 1);
	must(EVP_DigestSign(ctx, sig, &len, (const uint8_t *)input,
		 strlen(input)) == 1);
	EVP_MD_CTX_free(ctx);
	if (EVP_PKEY_is_a(key, "EC")) {
		size_t half = ((size_t)size + 7) / 8;

		sig = raw_of(a, sig, len, half);
		len = 2 * half;
	}
	*out_len = len;
	return sig;
}

static const char *
b64(struct arena *a, const char *text)
{
	return enc_base64url(a, (const uint8_t *)text, strlen(text));
}

const char *
rig_input(struct arena *a, const char *header, const char *payload)
{
	return arena_printf(a, "%s.%s", b64(a, header), b64(a, payload));
}

const char *
rig_jws_with(struct arena *a, const char *header, const char *payload,
    const uint8_t *signature, size_t len)
{
	return arena_printf(a,
	    "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
	    b64(a, header), b64(a, payload), enc_base64url(a, signature, len));
}

const char *
rig_jws(struct arena *a, EVP_PKEY *key, const char *header, const char *payload)
{
	uint8_t *sig;
	size_t len;

	sig = rig_sign(a, key, rig_input(a, header, payload), &len);
	return rig_jws_with(a, header, payload, sig, len);
}
