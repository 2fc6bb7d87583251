#include "common/jose/jwe.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/json/json.h"

#define ALG "PBES2-HS256+A128KW"
#define TEXT_MAX 16384
#define SALT_LEAST 8 /* RFC 7518 section 4.8.1.1 */
#define ROUNDS_LEAST 1000
#define IV_LEN 12
#define TAG_LEN 16
#define WRAP_MORE 8   /* octets that a wrapped key is longer */
#define COORDINATE 32 /* of P-256 */

/* --- reading --- */

static rc
unbase64url(struct arena *a, const char *text, struct span *out)
{
	uint8_t *bytes;
	size_t len;
	rc ret;

	ret = enc_unbase64url(a, text, strlen(text), &bytes, &len);
	if (ret == RC_OK)
		*out = (struct span){bytes, len};
	return ret;
}

/* The five parts, in the order of the compact form. */
static rc
split(struct arena *a, const char *text, const char *parts[5])
{
	static const char *const names[5] = {"protected", "encrypted_key", "iv",
	    "ciphertext", "tag"};
	const struct cJSON *json;
	const char *why;

	if (text[0] == '{') {
		if (json_parse(a, text, strlen(text), &json, &why) != RC_OK)
			return RC_INVALID;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (json_str(json, names[i], TEXT_MAX, &parts[i]) !=
			    RC_OK)
				return RC_INVALID;
		return RC_OK;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t len = strcspn(text, ".\r\n");

		parts[i] = arena_strndup(a, text, len);
		text += len;
		if (i < 4 && *text++ != '.')
			return RC_INVALID;
	}
	return *text == '.' ? RC_INVALID : RC_OK;
}

static rc
read_header(struct arena *a, struct jwe *e, const char **out_why)
{
	const char *alg = "", *enc = "", *p2s = "", *why;
	const struct cJSON *json;
	struct span text, salt;
	int64_t rounds = 0;
	uint8_t *whole;

	*out_why = "its header is no JSON";
	if (unbase64url(a, e->protected_text, &text) != RC_OK ||
	    json_parse(a, (const char *)text.p, text.len, &json, &why) != RC_OK)
		return RC_INVALID;
	*out_why = "it is not encrypted by " ALG " and A128GCM or A256GCM";
	if (json_str(json, "alg", 64, &alg) != RC_OK ||
	    json_str(json, "enc", 64, &enc) != RC_OK || strcmp(alg, ALG) != 0)
		return RC_INVALID;
	if (strcmp(enc, "A256GCM") != 0 && strcmp(enc, "A128GCM") != 0)
		return RC_INVALID;
	e->key_len = strcmp(enc, "A256GCM") == 0 ? 32 : 16;
	*out_why = "its salt or its number of rounds is none";
	if (json_str(json, "p2s", 256, &p2s) != RC_OK ||
	    unbase64url(a, p2s, &salt) != RC_OK || salt.len < SALT_LEAST ||
	    json_int(json, "p2c", ROUNDS_LEAST, JWE_ROUNDS_MAX, &rounds) !=
		RC_OK)
		return RC_INVALID;
	e->rounds = (unsigned)rounds;
	/* alg || 0x00 || p2s */
	whole = arena_alloc(a, sizeof(ALG) + salt.len);
	memcpy(whole, ALG, sizeof(ALG));
	memcpy(whole + sizeof(ALG), salt.p, salt.len);
	e->salt = (struct span){whole, sizeof(ALG) + salt.len};
	return RC_OK;
}

rc
jwe_read(struct arena *a, const char *text, const struct jwe **out,
    const char **out_why)
{
	struct jwe *e = arena_alloc(a, sizeof(*e));
	const char *parts[5];

	text += strspn(text, " \t\r\n");
	*out_why = "it is no JWE, compact or as JSON";
	if (strlen(text) > TEXT_MAX || split(a, text, parts) != RC_OK ||
	    unbase64url(a, parts[1], &e->encrypted_key) != RC_OK ||
	    unbase64url(a, parts[2], &e->iv) != RC_OK ||
	    unbase64url(a, parts[3], &e->ciphertext) != RC_OK ||
	    unbase64url(a, parts[4], &e->tag) != RC_OK)
		return RC_INVALID;
	e->protected_text = parts[0];
	if (read_header(a, e, out_why) != RC_OK)
		return RC_INVALID;
	*out_why = "its parts have lengths that no key of its kind has";
	if (e->encrypted_key.len != e->key_len + WRAP_MORE ||
	    e->iv.len != IV_LEN || e->tag.len != TAG_LEN ||
	    e->ciphertext.len == 0)
		return RC_INVALID;
	*out = e;
	return RC_OK;
}

/* --- opening --- */

/* RFC 3394. */
static bool
unwrap(const struct jwe *e, const uint8_t *derived, uint8_t key[40])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int len = 0, more = 0;
	bool is_good;

	if (!c)
		return false;
	EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	is_good = EVP_DecryptInit_ex(c, EVP_aes_128_wrap(), NULL, derived,
		      NULL) == 1 &&
		  EVP_DecryptUpdate(c, key, &len, e->encrypted_key.p,
		      (int)e->encrypted_key.len) == 1 &&
		  EVP_DecryptFinal_ex(c, key + len, &more) == 1 &&
		  (size_t)(len + more) == e->key_len;
	EVP_CIPHER_CTX_free(c);
	return is_good;
}

static bool
decrypt(const struct jwe *e, const uint8_t *key, uint8_t *out)
{
	const EVP_CIPHER *gcm =
	    e->key_len == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG_LEN];
	int len = 0;
	bool is_good;

	memcpy(tag, e->tag.p, sizeof(tag));
	is_good =
	    c && EVP_DecryptInit_ex(c, gcm, NULL, key, e->iv.p) == 1 &&
	    EVP_DecryptUpdate(c, NULL, &len, (const uint8_t *)e->protected_text,
		(int)strlen(e->protected_text)) == 1 &&
	    EVP_DecryptUpdate(c, out, &len, e->ciphertext.p,
		(int)e->ciphertext.len) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
	    EVP_DecryptFinal_ex(c, out + len, &len) == 1;
	EVP_CIPHER_CTX_free(c);
	return is_good;
}

/* --- the key in it --- */

static EVP_PKEY *
key_of(const uint8_t x[COORDINATE], const uint8_t y[COORDINATE],
    const uint8_t d[COORDINATE])
{
	uint8_t point[1 + 2 * COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	BIGNUM *number = BN_secure_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	memcpy(point + 1, x, COORDINATE);
	memcpy(point + 1 + COORDINATE, y, COORDINATE);
	if (b && ctx && number && BN_bin2bn(d, COORDINATE, number) &&
	    OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME,
		"prime256v1", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point,
		sizeof(point)) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, number) == 1)
		params = OSSL_PARAM_BLD_to_param(b);
	if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	EVP_PKEY_CTX_free(ctx);
	BN_clear_free(number);
	return key;
}

/* That public and private key belong together. */
static bool
is_pair(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool is_good = ctx && EVP_PKEY_pairwise_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return is_good;
}

/* A coordinate, of the length that RFC 7518 section 6.2 gives it. */
static bool
read_number(const struct cJSON *jwk, struct arena *a, const char *name,
    uint8_t out[COORDINATE])
{
	const char *text = "";
	struct span s;

	if (json_str(jwk, name, 64, &text) != RC_OK ||
	    unbase64url(a, text, &s) != RC_OK || s.len != COORDINATE)
		return false;
	memcpy(out, s.p, COORDINATE);
	mem_wipe((void *)(uintptr_t)s.p, s.len);
	return true;
}

static rc
read_jwk(struct arena *a, const char *text, size_t len, EVP_PKEY **out,
    const char **out_kid, const char **out_why)
{
	uint8_t x[COORDINATE], y[COORDINATE], d[COORDINATE];
	const char *crv = "", *kid = "", *why;
	const struct cJSON *jwk;
	EVP_PKEY *key = NULL;

	*out_why = "what is encrypted in it is no private JWK of P-256";
	if (json_parse(a, text, len, &jwk, &why) != RC_OK ||
	    json_str(jwk, "crv", 16, &crv) != RC_OK ||
	    strcmp(crv, "P-256") != 0)
		return RC_INVALID;
	if (json_str(jwk, "kid", 256, &kid) != RC_OK)
		kid = "";
	if (read_number(jwk, a, "x", x) && read_number(jwk, a, "y", y) &&
	    read_number(jwk, a, "d", d))
		key = key_of(x, y, d);
	mem_wipe(d, sizeof(d));
	if (!key || !is_pair(key)) {
		EVP_PKEY_free(key);
		ERR_clear_error();
		return RC_INVALID;
	}
	*out = key;
	*out_kid = arena_strdup(a, kid);
	return RC_OK;
}

rc
jwe_open_key(struct arena *a, const struct jwe *e, const uint8_t *derived,
    EVP_PKEY **out, const char **out_kid, const char **out_why)
{
	uint8_t key[40], *plain = arena_alloc(a, e->ciphertext.len + 1);
	bool is_open = unwrap(e, derived, key) && decrypt(e, key, plain);
	rc ret = RC_FORBIDDEN;

	mem_wipe(key, sizeof(key));
	*out_why = "it is encrypted by another password";
	if (is_open)
		ret = read_jwk(a, (const char *)plain, e->ciphertext.len, out,
		    out_kid, out_why);
	else
		ERR_clear_error();
	mem_wipe(plain, e->ciphertext.len + 1);
	return ret;
}
