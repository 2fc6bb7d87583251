#include "common/jose/jws_sign.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/sha.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/pki/key/alg.h"
#include "common/pki/key/key.h"

#define COORDINATE 32 /* octets of P-256's numbers */
#define POINT (1 + 2 * COORDINATE)
#define SIG_DER_MAX 80

/* --- keys --- */

rc
jws_key_of(struct arena *a, EVP_PKEY *pkey, const struct jws_key **out)
{
	struct jws_key *k = arena_alloc(a, sizeof(*k));
	uint8_t point[POINT], digest[SHA256_DIGEST_LENGTH];
	size_t len = 0;
	int size;

	if (strcmp(key_algorithm(pkey, &size), ALG_ECDSA) != 0 || size != 256 ||
	    EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY,
		point, sizeof(point), &len) != 1 ||
	    len != POINT || point[0] != POINT_CONVERSION_UNCOMPRESSED)
		return RC_INVALID;
	k->pkey = pkey;
	k->jwk = arena_printf(a,
	    "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
	    enc_base64url(a, point + 1, COORDINATE),
	    enc_base64url(a, point + 1 + COORDINATE, COORDINATE));
	SHA256((const uint8_t *)k->jwk, strlen(k->jwk), digest);
	k->thumbprint = enc_base64url(a, digest, sizeof(digest));
	*out = k;
	return RC_OK;
}

/* --- messages --- */

static const char *
base64url_text(struct arena *a, const char *text)
{
	return enc_base64url(a, (const uint8_t *)text, strlen(text));
}

static const char *
message(struct arena *a, const char *input, const uint8_t *sig, size_t len)
{
	size_t dot = strcspn(input, ".");

	return arena_printf(a,
	    "{\"protected\":\"%.*s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
	    (int)dot, input, input + dot + 1, enc_base64url(a, sig, len));
}

static const char *
input_of(struct arena *a, const char *header, const char *payload)
{
	return arena_printf(a, "%s.%s", base64url_text(a, header),
	    base64url_text(a, payload ? payload : ""));
}

/* r and s side by side (RFC 7518 section 3.4). */
static rc
raw_of_der(const uint8_t *der, size_t len, uint8_t out[2 * COORDINATE])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool is_good;

	if (!sig)
		return RC_CRYPTO;
	is_good = BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, COORDINATE) ==
		      COORDINATE &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + COORDINATE,
		      COORDINATE) == COORDINATE;
	ECDSA_SIG_free(sig);
	return is_good ? RC_OK : RC_CRYPTO;
}

/* ES256 over it. */
static rc
sign(const struct jws_key *key, const char *input, uint8_t raw[2 * COORDINATE])
{
	uint8_t der[SIG_DER_MAX];
	size_t len = sizeof(der);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	rc ret = RC_CRYPTO;

	if (ctx &&
	    EVP_DigestSignInit(ctx, NULL, alg_md(ALG_SHA256), NULL,
		key->pkey) == 1 &&
	    EVP_DigestSign(ctx, der, &len, (const uint8_t *)input,
		strlen(input)) == 1)
		ret = raw_of_der(der, len, raw);
	EVP_MD_CTX_free(ctx);
	return ret;
}

rc
jws_sign(struct arena *a, const struct jws_key *key, const char *header,
    const char *payload, const char **out)
{
	const char *input = input_of(a, header, payload);
	uint8_t raw[2 * COORDINATE];
	rc ret = sign(key, input, raw);

	if (ret == RC_OK)
		*out = message(a, input, raw, sizeof(raw));
	return ret;
}

rc
jws_sign_token(struct arena *a, const struct jws_key *key, const char *header,
    const char *payload, const char **out)
{
	const char *input = input_of(a, header, payload);
	uint8_t raw[2 * COORDINATE];
	rc ret = sign(key, input, raw);

	if (ret == RC_OK)
		*out = arena_printf(a, "%s.%s", input,
		    enc_base64url(a, raw, sizeof(raw)));
	return ret;
}

const char *
jws_sign_mac(struct arena *a, struct span key, const char *header,
    const char *payload)
{
	const char *input = input_of(a, header, payload);
	uint8_t mac[SHA256_DIGEST_LENGTH];

	enc_hmac_sha256(key.p, key.len, input, strlen(input), mac);
	return message(a, input, mac, sizeof(mac));
}

rc
jws_sign_compact(struct arena *a, EVP_PKEY *key, const char *header,
    const char *payload, const char **out)
{
	const char *input = input_of(a, header, payload);
	uint8_t sig[ALG_RSA_BITS_MAX / 8];
	size_t len = sizeof(sig);
	EVP_MD_CTX *ctx;
	bool is_signed;
	int bits;

	if (strcmp(key_algorithm(key, &bits), ALG_RSA) != 0 ||
	    bits < ALG_RSA_BITS_MIN || bits > ALG_RSA_BITS_MAX)
		return RC_INVALID;
	ctx = EVP_MD_CTX_new();
	is_signed =
	    ctx &&
	    EVP_DigestSignInit(ctx, NULL, alg_md(ALG_SHA256), NULL, key) == 1 &&
	    EVP_DigestSign(ctx, sig, &len, (const uint8_t *)input,
		strlen(input)) == 1;
	EVP_MD_CTX_free(ctx);
	if (!is_signed)
		return RC_CRYPTO;
	*out = arena_printf(a, "%s.%s", input, enc_base64url(a, sig, len));
	return RC_OK;
}
