/*
 * test_jwk: keys as JSON and as SubjectPublicKeyInfo.
 */
#include <cjson/cJSON.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/jose/jwk.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/common/jose/jws_rig.h"
#include "tests/unit/common/pki/fixture.h"

#define P256_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define P256_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define P256 \
	"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X \
	"\",\"y\":\"" P256_Y "\""
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""
/* RFC 7638 section 3.1 */
#define RSA_N \
	"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1R" \
	"K7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9" \
	"yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZg" \
	"nYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6We" \
	"Zu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDK" \
	"gw"
#define RSA_E(e) "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"" e "\""

static struct arena *arena;
static struct jose_refusal refusal;

static rc
read_text(const char *text, const struct jwk **out)
{
	const struct cJSON *object;
	const char *why;

	refusal = (struct jose_refusal){0};
	if (json_parse(arena, text, strlen(text), &object, &why) != RC_OK)
		abort();
	return jwk_read(arena, object, out, &refusal);
}

static void
test_thumbprints(void)
{
	static const struct {
		const char *jwk, *thumbprint, *alg;
	} known[] = {
	    {"{" RSA_E("AQAB") ",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "RS256"},
	    {"{" ED "}", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
		"EdDSA"}, /* RFC 8037 A.3 */
	    {"{" P256 "}", "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
		"ES256"}, /* the key of RFC 7515 A.3 */
	};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const struct jwk *k = NULL, *again = NULL;

		CHECK_INT(read_text(known[i].jwk, &k), RC_OK);
		CHECK_STR(k->thumbprint, known[i].thumbprint);
		CHECK_STR(k->kind->alg, known[i].alg);
		CHECK_INT(jwk_from_pem(arena, jwk_pem(arena, k), &again),
		    RC_OK);
		CHECK_STR(again->thumbprint, known[i].thumbprint);
	}
	arena_free(arena);
}

/* What OpenSSL writes is what ours writes, and both ways lead to one key. */
static void
test_spki(void)
{
	static const char *const kinds[] = {"P-256", "P-384", "RSA:2048",
	    "ED25519"};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		EVP_PKEY *key = fixture_key(kinds[i]);
		const struct jwk *k = NULL, *from_spki;
		uint8_t *der = NULL;
		int len = i2d_PUBKEY(key, &der);

		CHECK(len > 0);
		CHECK_INT(read_text(rig_jwk(arena, key), &k), RC_OK);
		CHECK(span_equal(k->key.spki, (struct span){der, (size_t)len}));
		CHECK_INT(k->sig_len, i == 0   ? 64
				      : i == 1 ? 96
				      : i == 2 ? 256
					       : 64);
		from_spki = rig_key(arena, key);
		CHECK_STR(from_spki->thumbprint, k->thumbprint);
		OPENSSL_free(der);
	}
	arena_free(arena);
}

static void
test_accepted(void)
{
	static const char *const good[] = {
	    "{" P256 ",\"use\":\"sig\",\"alg\":\"ES256\"}",
	    "{" P256 ",\"key_ops\":[\"verify\"],\"kid\":\"x\",\"ext\":true}",
	    "{" P256 ",\"key_ops\":[\"sign\",\"verify\"]}",
	    "{" P256 ",\"D\":\"not the private part\"}",
	    "{" RSA_E("AQAB") ",\"x5u\":\"http://127.0.0.1/\"}",
	};
	const struct jwk *k;

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_INT(read_text(good[i], &k), RC_OK);
	arena_free(arena);
}

static void
test_refused(void)
{
	static const struct {
		const char *jwk, *why;
	} bad[] = {
	    {"{" P256 ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}",
		"private"},
	    {"{" P256 ",\"d\":null}", "private"},
	    {"{" RSA_E("AQAB") ",\"p\":\"AA\"}", "private"},
	    {"{" RSA_E("AQAB") ",\"oth\":[]}", "private"},
	    {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMko\"}",
		"private"},
	    {"{\"kty\":\"oct\"}", "type of key"},
	    {"{}", "kty is missing"},
	    {"{\"kty\":1}", "kty is missing"},
	    {"{\"Kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"}",
		"kty is missing"},
	    {"{\"kty\":\"ec\",\"crv\":\"P-256\",\"x\":\"" P256_X
	     "\",\"y\":\"" P256_Y "\"}",
		"type of key"},
	    {"{\"kty\":\"EC\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}",
		"type of key"},
	    {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" P256_X
	     "\",\"y\":\"" P256_Y "\"}",
		"type of key"},
	    {"{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"" P256_X
	     "\",\"y\":\"" P256_Y "\"}",
		"type of key"},
	    {"{\"kty\":\"EC\",\"crv\":1,\"x\":\"" P256_X "\",\"y\":\"" P256_Y
	     "\"}",
		"type of key"},
	    {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}",
		"type of key"},
	    {"{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ED_X "\"}",
		"type of key"},
	    /* another curve's point */
	    {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" P256_X
	     "\",\"y\":\"" P256_Y "\"}",
		"48 octets"},
	    /* beside the curve: the last bit of y */
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X
	     "\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aw\"}",
		"no point"},
	    /* 0, 0: what some take for infinity */
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
	     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
	     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
		"no point"},
	    /* x is the prime: 0 written otherwise */
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
	     "\"_____wAAAAEAAAAAAAAAAAAAAAD_______________8\",\"y\":\"" P256_Y
	     "\"}",
		"no point"},
	    /* a zero in front, and one octet short */
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
	     "\"AH_NzidwdsRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRF\",\"y\":\"" P256_Y
	     "\"}",
		"32 octets"},
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X
	     "\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5Q\"}",
		"32 octets"},
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\"}",
		"missing"},
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X
	     "=\",\"y\":\"" P256_Y "\"}",
		"base64url"},
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X
	     "\",\"y\":\"x/FEzRu9m36HLN/tue659LNpXW6pCyStikYjKIWI5a0\"}",
		"base64url"},
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":[\"" P256_X
	     "\"],\"y\":\"" P256_Y "\"}",
		"base64url"},
	    {"{" P256 ",\"use\":\"enc\"}", "use is"},
	    {"{" P256 ",\"use\":null}", "use is"},
	    {"{" P256 ",\"key_ops\":[\"sign\"]}", "key_ops"},
	    {"{" P256 ",\"key_ops\":[]}", "key_ops"},
	    {"{" P256 ",\"key_ops\":\"verify\"}", "key_ops"},
	    {"{" P256 ",\"key_ops\":[\"verify\",\"verify\"]}", "key_ops"},
	    {"{" P256 ",\"alg\":\"ES384\"}", "alg does not fit"},
	    {"{" P256 ",\"alg\":\"none\"}", "alg does not fit"},
	    {"{" RSA_E("AQAB") ",\"alg\":\"RS512\"}", "alg does not fit"},
	    {"{" RSA_E("AQ") "}", "e is odd"},
	    {"{" RSA_E("Aw") "}", "e is odd"},
	    {"{" RSA_E("AQAA") "}", "e is odd"},
	    {"{" RSA_E("AAEAAQ") "}", "without zeros"},
	    {"{" RSA_E("") "}", "without zeros"},
	    {"{" RSA_E("AQAAAAAAAAAB") "}", "e is odd"},
	    {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "fewer"},
	    {"{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", "without zeros"},
	    {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "missing"},
	    /* Ed25519: short, identity, order 8, y past the prime */
	    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQ\"}", "32 octets"},
	    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
	     "\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
		"no point"},
	    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
	     "\"JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU\"}",
		"no point"},
	    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
	     "\"7v_______________________________________38\"}",
		"no point"},
	};
	const struct jwk *k;

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		k = NULL;
		if (read_text(bad[i].jwk, &k) != RC_INVALID ||
		    !strstr(refusal.why, bad[i].why))
			printf("  %s: %s\n", bad[i].jwk, refusal.why);
		CHECK_INT(read_text(bad[i].jwk, &k), RC_INVALID);
		CHECK(k == NULL && refusal.fault == JOSE_KEY);
		CHECK(strstr(refusal.why, bad[i].why) != NULL);
	}
	CHECK_INT(read_text("[]", &k), RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_MALFORMED);
	arena_free(arena);
}

static rc
read_rsa(size_t len, uint8_t first, uint8_t last)
{
	uint8_t *n = arena_alloc(arena, len);
	const struct jwk *k;

	memset(n, 0x5a, len);
	n[0] = first;
	n[len - 1] = last;
	return read_text(arena_printf(arena,
			     "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"}",
			     enc_base64url(arena, n, len)),
	    &k);
}

static void
test_rsa_sizes(void)
{
	arena = arena_new();
	CHECK_INT(read_rsa(256, 0x80, 1), RC_OK);
	CHECK_INT(read_rsa(256, 0x7f, 1), RC_INVALID); /* 2047 bits */
	CHECK_INT(read_rsa(256, 0x80, 2), RC_INVALID); /* even */
	CHECK_INT(read_rsa(257, 0x00, 1), RC_INVALID);
	CHECK_INT(read_rsa(1024, 0xff, 1), RC_OK);
	CHECK_INT(read_rsa(1025, 0x01, 1), RC_INVALID); /* 8193 bits */
	arena_free(arena);
}

static void
test_pem_refused(void)
{
	static const char *const kinds[] = {"P-521", "secp256k1", "X25519"};
	const struct jwk *k = NULL;
	const char *pem;

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		EVP_PKEY *key = fixture_key(kinds[i]);
		uint8_t *der = NULL;
		int len = i2d_PUBKEY(key, &der);

		CHECK_INT(jwk_from_spki(arena, (struct span){der, (size_t)len},
			      &k),
		    RC_INVALID);
		OPENSSL_free(der);
	}
	k = rig_key(arena, fixture_key("P-256"));
	pem = jwk_pem(arena, k);
	CHECK_INT(jwk_from_pem(arena, arena_printf(arena, "%.*s", 90, pem), &k),
	    RC_INVALID);
	CHECK_INT(jwk_from_pem(arena, "", &k), RC_INVALID);
	CHECK_INT(jwk_from_spki(arena,
		      (struct span){k->key.spki.p, k->key.spki.len - 1}, &k),
	    RC_INVALID);
	arena_free(arena);
}

CHECK_MAIN(CHECK_ROW(test_thumbprints), CHECK_ROW(test_spki),
    CHECK_ROW(test_accepted), CHECK_ROW(test_refused),
    CHECK_ROW(test_rsa_sizes), CHECK_ROW(test_pem_refused))
