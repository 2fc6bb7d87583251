/*
 * test_jws: the form of signed messages, and who signed them.
 */
#include <cjson/cJSON.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/jose/jws.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/common/jose/jws_rig.h"
#include "tests/unit/common/pki/fixture.h"

static struct arena *arena;
static struct jose_refusal refusal;
static const struct jws *jws;

#define REST "\"nonce\":\"bm9uY2U\",\"url\":\"https://a/acme/x\""
#define KID "\"kid\":\"https://a/acme/account/1\""
#define HEADER(alg) "{\"alg\":\"" alg "\"," REST "," KID "}"

static rc
parse(const char *text)
{
	refusal = (struct jose_refusal){0};
	jws = NULL;
	return jws_parse(arena, text, strlen(text), &jws, &refusal);
}

static rc
parse_use(const char *text, enum jws_use use)
{
	const struct cJSON *object;
	const char *why;

	refusal = (struct jose_refusal){0};
	jws = NULL;
	if (json_parse(arena, text, strlen(text), &object, &why) != RC_OK)
		abort();
	return jws_read(arena, object, use, &jws, &refusal);
}

/* A message with this header; what is signed is nobody's business here. */
static const char *
with_header(const char *header)
{
	return rig_jws_with(arena, header, "{}", (const uint8_t *)"sig", 3);
}

/* --- RFC vectors --- */

static void
test_vectors(void)
{
	static const struct {
		const char *jwk, *alg, *input, *signature;
	} known[] = {
	    {"{\"kty\":\"EC\",\"crv\":\"P-256\","
	     "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
		"ES256", /* RFC 7515 A.3 */
		"eyJhbGciOiJFUzI1NiJ9."
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leG"
		"FtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl"
		"SApmWQxfKTUJqPP3-Kg6NU1Q"},
	    {"{\"kty\":\"RSA\",\"n\":"
	     "\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfH"
	     "Qp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwO"
	     "WvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs"
	     "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG"
	     "4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PA"
	     "cDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}",
		"RS256", /* RFC 7515 A.2 */
		"eyJhbGciOiJSUzI1NiJ9."
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leG"
		"FtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
		"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZm"
		"h7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKB"
		"YNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L"
		"07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6Bf"
		"I7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWk"
		"WywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},
	    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
	     "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
		"EdDSA", /* RFC 8037 A.4 */
		"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg"
		"5BhVsPt9g7sVvpAr_MuM0KAg"},
	};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct jws j = {.alg = known[i].alg,
		    .input = span_of_text(known[i].input)};
		const struct cJSON *object;
		const struct jwk *k;
		const char *why;
		uint8_t *sig;

		CHECK_INT(json_parse(arena, known[i].jwk, strlen(known[i].jwk),
			      &object, &why),
		    RC_OK);
		CHECK_INT(jwk_read(arena, object, &k, &refusal), RC_OK);
		CHECK_INT(enc_unbase64url(arena, known[i].signature,
			      strlen(known[i].signature), &sig,
			      &j.signature.len),
		    RC_OK);
		j.signature.p = sig;
		CHECK_INT(jws_verify(arena, &j, k, &refusal), RC_OK);
		sig[j.signature.len / 2] ^= 1;
		CHECK_INT(jws_verify(arena, &j, k, &refusal), RC_INVALID);
		CHECK_INT(refusal.fault, JOSE_SIGNATURE);
	}
	arena_free(arena);
}

static void
test_mac_vector(void)
{
	/* RFC 7515 A.1 */
	static const char key_text[] =
	    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS"
	    "4hcgUuTwjAzZr1Z9CAow";
	struct jws j = {.alg = "HS256",
	    .use = JWS_BINDING,
	    .input = span_of_text(
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leG"
		"FtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ")};
	struct span key;
	uint8_t *bytes;

	arena = arena_new();
	CHECK_INT(enc_unbase64url(arena, key_text, strlen(key_text), &bytes,
		      &key.len),
	    RC_OK);
	key.p = bytes;
	CHECK_INT(enc_unbase64url(arena,
		      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", 43, &bytes,
		      &j.signature.len),
	    RC_OK);
	j.signature.p = bytes;
	CHECK_INT(jws_verify_mac(arena, &j, key, &refusal), RC_OK);
	j.signature.len--; /* a mac cut short */
	CHECK_INT(jws_verify_mac(arena, &j, key, &refusal), RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_SIGNATURE);
	j.signature.len++;
	bytes[31] ^= 1;
	CHECK_INT(jws_verify_mac(arena, &j, key, &refusal), RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_SIGNATURE);
	key.len = 31;
	CHECK_INT(jws_verify_mac(arena, &j, key, &refusal), RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_ALGORITHM);
	CHECK_STR(refusal.algorithms[0], "HS256");
	arena_free(arena);
}

/* --- form --- */

static void
test_taken(void)
{
	static const struct {
		const char *kind, *header;
	} rows[] = {{"P-256", HEADER("ES256")}, {"P-384", HEADER("ES384")},
	    {"RSA:2048", HEADER("RS256")}, {"ED25519", HEADER("EdDSA")}};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		EVP_PKEY *key = fixture_key(rows[i].kind);

		CHECK_INT(parse(
			      rig_jws(arena, key, rows[i].header, "{\"a\":1}")),
		    RC_OK);
		CHECK_STR(jws->kid, "https://a/acme/account/1");
		CHECK_STR(jws->url, "https://a/acme/x");
		CHECK_STR(jws->nonce, "bm9uY2U");
		CHECK(jws->jwk == NULL);
		CHECK(span_equal(jws->payload, span_of_text("{\"a\":1}")));
		CHECK_INT(jws_verify(arena, jws, rig_key(arena, key), &refusal),
		    RC_OK);
		/* The key itself in the header, POST-as-GET, typ. */
		CHECK_INT(parse(rig_jws(arena, key,
			      arena_printf(arena,
				  "{\"alg\":\"%s\",\"typ\":\"JOSE+JSON\","
				  "\"jwk\":%s,\"Kid\":1}",
				  jws->alg, rig_jwk(arena, key)),
			      "")),
		    RC_OK);
		CHECK(jws->payload.len == 0 && !jws->kid && !jws->nonce &&
		      !jws->url);
		CHECK_INT(jws_verify(arena, jws, jws->jwk, &refusal), RC_OK);
	}
	arena_free(arena);
}

static void
test_bad_form(void)
{
	static const char *const bad[] = {"", "[]", "null", "{}", "\"a\"",
	    "eyJhbGciOiJFUzI1NiJ9.e30.c2ln",
	    "{\"protected\":\"e30\",\"payload\":\"e30\"}",
	    "{\"protected\":\"e30\",\"signature\":\"c2ln\"}",
	    "{\"payload\":\"e30\",\"signature\":\"c2ln\"}",
	    "{\"protected\":{},\"payload\":\"e30\",\"signature\":\"c2ln\"}",
	    "{\"protected\":\"e30\",\"payload\":null,\"signature\":\"c2ln\"}",
	    "{\"protected\":\"e30\",\"payload\":\"e30\",\"signature\":\"\"}",
	    /* padding, other alphabet, white space, bits left over */
	    "{\"protected\":\"e30=\",\"payload\":\"e30\",\"signature\":\"AA\"}",
	    "{\"protected\":\"e30\",\"payload\":\"e+0\",\"signature\":\"AA\"}",
	    "{\"protected\":\"e30\",\"payload\":\"e 0\",\"signature\":\"AA\"}",
	    "{\"protected\":\"e30\",\"payload\":\"e31\",\"signature\":\"AA\"}",
	    "{\"protected\":\"e30\",\"payload\":\"e30\",\"signature\":\"A\"}",
	    "{\"Protected\":\"e30\",\"payload\":\"e30\",\"signature\":\"AA\"}",
	    /* the header is no object, no JSON, or has twins */
	    "{\"protected\":\"\",\"payload\":\"e30\",\"signature\":\"AA\"}",
	    "{\"protected\":\"W10\",\"payload\":\"e30\",\"signature\":\"AA\"}"};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(parse(bad[i]), RC_INVALID);
		CHECK(jws == NULL && refusal.fault == JOSE_MALFORMED);
		CHECK(refusal.why != NULL && refusal.algorithms == NULL);
	}
	arena_free(arena);
}

/* Members beside the three: what would change who signed what is refused. */
static void
test_other_members(void)
{
	const char *text, *open;

	arena = arena_new();
	text = rig_jws(arena, fixture_key("P-256"), HEADER("ES256"), "{}");
	open = text + 1;
	CHECK_INT(parse(arena_printf(arena, "{\"header\":{},%s", open)),
	    RC_INVALID);
	CHECK(strstr(refusal.why, "unprotected header") != NULL);
	CHECK_INT(parse(arena_printf(arena, "{\"signatures\":[],%s", open)),
	    RC_INVALID);
	CHECK(strstr(refusal.why, "several signatures") != NULL);
	CHECK_INT(parse(arena_printf(arena, "{\"payload\":\"e30\",%s", open)),
	    RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_MALFORMED);
	CHECK_INT(parse(arena_printf(arena, "{\"other\":{},%s", open)), RC_OK);
	arena_free(arena);
}

static void
test_bad_header(void)
{
	static const struct {
		const char *header, *why;
	} bad[] = {
	    {"{" REST "," KID "}", "no alg"},
	    {"{\"Alg\":\"ES256\"," REST "," KID "}", "no alg"},
	    {"{\"alg\":\"ES256\",\"alg\":\"ES256\"," REST "," KID "}",
		"duplicate"},
	    {"{\"alg\":\"ES256\",\"ALG\":\"none\"," REST "," KID "}",
		"duplicate"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"crit\":[\"b64\"],"
	     "\"b64\":false}",
		"crit"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"crit\":[]}", "crit"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"b64\":false}", "b64"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"b64\":\"true\"}", "b64"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"typ\":\"JWT\"}", "typ"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"typ\":1}", "typ"},
	    {"{\"alg\":\"ES256\"," REST "}", "neither kid nor jwk"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"jwk\":{}}", "both"},
	    {"{\"alg\":\"ES256\"," REST "," KID ",\"jwk\":null}", "both"},
	    {"{\"alg\":\"ES256\"," REST ",\"kid\":7}", "kid is no text"},
	    {"{\"alg\":\"ES256\"," REST ",\"jwk\":\"x\"}", "jwk is an object"},
	    {"{\"alg\":\"ES256\",\"url\":{}," KID "}", "url is no text"},
	    {"{\"alg\":\"ES256\",\"nonce\":\"\"," KID "}", "nonce is not"},
	    {"{\"alg\":\"ES256\",\"nonce\":\"a b\"," KID "}", "nonce is not"},
	    {"{\"alg\":\"ES256\",\"nonce\":\"YQ==\"," KID "}", "nonce is not"},
	    {"{\"alg\":\"ES256\",\"nonce\":1," KID "}", "nonce is no text"},
	};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(parse(with_header(bad[i].header)), RC_INVALID);
		if (!strstr(refusal.why, bad[i].why))
			printf("  %s: %s\n", bad[i].header, refusal.why);
		CHECK(jws == NULL && refusal.fault == JOSE_MALFORMED);
		CHECK(strstr(refusal.why, bad[i].why) != NULL);
	}
	CHECK_INT(parse(with_header("{\"alg\":\"ES256\",\"jwk\":{}}")),
	    RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_KEY);
	arena_free(arena);
}

static void
test_algorithms(void)
{
	static const char *const bad[] = {"\"none\"", "\"None\"", "\"\"",
	    "\"HS256\"", "\"RS1\"", "\"RS384\"", "\"RS512\"", "\"PS256\"",
	    "\"ES512\"", "\"ES256K\"", "\"es256\"", "\"EdDSA \"", "null", "1",
	    "[\"ES256\"]"};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(parse(with_header(arena_printf(arena,
			      "{\"alg\":%s," REST "," KID "}", bad[i]))),
		    RC_INVALID);
		CHECK_INT(refusal.fault, JOSE_ALGORITHM);
		CHECK_STR(refusal.algorithms[0], "ES256");
		CHECK_STR(refusal.algorithms[3], "EdDSA");
		CHECK(refusal.algorithms[4] == NULL);
	}
	arena_free(arena);
}

/* --- the two inner ones --- */

static void
test_inner(void)
{
	EVP_PKEY *key = fixture_key("P-256");
	const char *jwk, *text;

	arena = arena_new();
	jwk = rig_jwk(arena, key);
	text = rig_jws(arena, key,
	    arena_printf(arena, "{\"alg\":\"ES256\",\"url\":\"u\",\"jwk\":%s}",
		jwk),
	    "{}");
	CHECK_INT(parse_use(text, JWS_KEY_CHANGE), RC_OK);
	CHECK_INT(jws_verify(arena, jws, jws->jwk, &refusal), RC_OK);
	CHECK_INT(parse_use(text, JWS_BINDING), RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_ALGORITHM);
	CHECK_STR(refusal.algorithms[0], "HS256");
	CHECK_INT(parse_use(with_header("{\"alg\":\"ES256\"," KID "}"),
		      JWS_KEY_CHANGE),
	    RC_INVALID);
	CHECK(strstr(refusal.why, "inner JWS has a kid") != NULL);
	CHECK_INT(parse_use(with_header(HEADER("ES256")), JWS_KEY_CHANGE),
	    RC_INVALID);
	CHECK(strstr(refusal.why, "has a nonce") != NULL);
	CHECK_INT(parse_use(with_header(HEADER("HS256")), JWS_BINDING),
	    RC_INVALID);
	CHECK(strstr(refusal.why, "has a nonce") != NULL);
	CHECK_INT(parse_use(with_header(arena_printf(arena,
				"{\"alg\":\"HS256\",\"jwk\":%s}", jwk)),
		      JWS_BINDING),
	    RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_MALFORMED);
	arena_free(arena);
}

static void
test_macs(void)
{
	static const struct {
		const char *alg, *digest;
		size_t len;
	} rows[] = {{"HS256", "SHA256", 32}, {"HS384", "SHA384", 48},
	    {"HS512", "SHA512", 64}};
	const uint8_t secret[64] = {1, 2, 3};
	struct span key = {secret, sizeof(secret)};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *header = arena_printf(arena,
		    "{\"alg\":\"%s\",\"kid\":\"k\",\"url\":\"u\"}",
		    rows[i].alg);
		const char *input = rig_input(arena, header, "{}");
		uint8_t mac[64];
		unsigned len;

		CHECK(HMAC(EVP_get_digestbyname(rows[i].digest), secret,
		    sizeof(secret), (const uint8_t *)input, strlen(input), mac,
		    &len));
		CHECK_INT(parse_use(rig_jws_with(arena, header, "{}", mac, len),
			      JWS_BINDING),
		    RC_OK);
		CHECK_INT(jws_verify_mac(arena, jws, key, &refusal), RC_OK);
		CHECK_INT(jws_verify_mac(arena, jws,
			      (struct span){secret, rows[i].len - 1}, &refusal),
		    RC_INVALID);
		CHECK_INT(refusal.fault, JOSE_ALGORITHM);
	}
	arena_free(arena);
}

/* --- signatures --- */

static rc
verify_with(EVP_PKEY *key, const char *header, const uint8_t *sig, size_t len)
{
	CHECK_INT(parse(rig_jws_with(arena, header, "{}", sig, len)), RC_OK);
	return jws_verify(arena, jws, rig_key(arena, key), &refusal);
}

/* alg belongs to the key, whatever the signature is worth. */
static void
test_alg_of_key(void)
{
	static const struct {
		const char *kind, *header, *want;
	} rows[] = {{"P-384", HEADER("ES256"), "ES384"},
	    {"P-256", HEADER("ES384"), "ES256"},
	    {"RSA:2048", HEADER("ES256"), "RS256"},
	    {"P-256", HEADER("RS256"), "ES256"},
	    {"ED25519", HEADER("ES256"), "EdDSA"},
	    {"P-256", HEADER("EdDSA"), "ES256"}};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		EVP_PKEY *key = fixture_key(rows[i].kind);

		CHECK_INT(parse(rig_jws(arena, key, rows[i].header, "{}")),
		    RC_OK);
		CHECK_INT(jws_verify(arena, jws, rig_key(arena, key), &refusal),
		    RC_INVALID);
		CHECK_INT(refusal.fault, JOSE_ALGORITHM);
		CHECK_STR(refusal.algorithms[0], rows[i].want);
		CHECK(strstr(refusal.why, rows[i].want) != NULL);
	}
	arena_free(arena);
}

/* Of each key: other lengths, other bits, zeros, all ones, another message,
 * another key. */
static void
test_bad_signatures(void)
{
	static const struct {
		const char *kind, *header, *other;
	} rows[] = {{"P-256", HEADER("ES256"), HEADER("ES256")},
	    {"P-384", HEADER("ES384"), HEADER("ES384")},
	    {"RSA:2048", HEADER("RS256"), HEADER("RS256")},
	    {"ED25519", HEADER("EdDSA"), HEADER("EdDSA")}};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		EVP_PKEY *key = fixture_key(rows[i].kind);
		const char *h = rows[i].header;
		uint8_t *sig, *bad;
		size_t len;

		sig = rig_sign(arena, key, rig_input(arena, h, "{}"), &len);
		bad = arena_alloc(arena, len + 1);
		memcpy(bad, sig, len);
		CHECK_INT(verify_with(key, h, bad, len), RC_OK);
		CHECK_INT(verify_with(key, h, bad, len - 1), RC_INVALID);
		CHECK_INT(refusal.fault, JOSE_SIGNATURE);
		CHECK_INT(verify_with(key, h, bad, len + 1), RC_INVALID);
		CHECK_INT(refusal.fault, JOSE_SIGNATURE);
		for (size_t at = 0; at < len; at += 7) {
			bad[at] ^= 0x10;
			CHECK_INT(verify_with(key, h, bad, len), RC_INVALID);
			CHECK_INT(refusal.fault, JOSE_SIGNATURE);
			bad[at] ^= 0x10;
		}
		memset(bad, 0, len);
		CHECK_INT(verify_with(key, h, bad, len), RC_INVALID);
		memset(bad, 0xff, len);
		CHECK_INT(verify_with(key, h, bad, len), RC_INVALID);
		sig = rig_sign(arena, key, rig_input(arena, h, "{ }"), &len);
		CHECK_INT(verify_with(key, h, sig, len), RC_INVALID);
		CHECK_INT(refusal.fault, JOSE_SIGNATURE);
	}
	arena_free(arena);
}

/* The order of P-256, and what one may put where r or s is due. */
static void
test_ecdsa_range(void)
{
	static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
	    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
	    0x25, 0x51};
	static const uint8_t one[32] = {[31] = 1}, zero[32] = {0};
	const uint8_t *const numbers[] = {zero, one, order};
	EVP_PKEY *key = fixture_key("P-256");
	const char *h = HEADER("ES256");
	uint8_t *good, sig[64];
	size_t len;

	arena = arena_new();
	good = rig_sign(arena, key, rig_input(arena, h, "{}"), &len);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		memcpy(sig, numbers[i], 32);
		memcpy(sig + 32, good + 32, 32);
		CHECK_INT(verify_with(key, h, sig, 64), RC_INVALID);
		memcpy(sig, good, 32);
		memcpy(sig + 32, numbers[i], 32);
		CHECK_INT(verify_with(key, h, sig, 64), RC_INVALID);
		for (size_t k = 0; k < ARRAY_LEN(numbers); k++) {
			memcpy(sig, numbers[i], 32);
			memcpy(sig + 32, numbers[k], 32);
			CHECK_INT(verify_with(key, h, sig, 64), RC_INVALID);
			CHECK_INT(refusal.fault, JOSE_SIGNATURE);
		}
	}
	arena_free(arena);
}

/* DER, as OpenSSL and X.509 have it, is not the form of a JWS. */
static void
test_ecdsa_der(void)
{
	EVP_PKEY *key = fixture_key("P-256");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const char *h = HEADER("ES256"), *input;
	uint8_t der[80];
	size_t len = sizeof(der);

	arena = arena_new();
	input = rig_input(arena, h, "{}");
	CHECK_INT(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	CHECK_INT(EVP_DigestSign(ctx, der, &len, (const uint8_t *)input,
		      strlen(input)),
	    1);
	EVP_MD_CTX_free(ctx);
	CHECK_INT(verify_with(key, h, der, len), RC_INVALID);
	CHECK(strstr(refusal.why, "not DER") != NULL);
	arena_free(arena);
}

CHECK_MAIN(CHECK_ROW(test_vectors), CHECK_ROW(test_mac_vector),
    CHECK_ROW(test_taken), CHECK_ROW(test_bad_form),
    CHECK_ROW(test_other_members), CHECK_ROW(test_bad_header),
    CHECK_ROW(test_algorithms), CHECK_ROW(test_inner), CHECK_ROW(test_macs),
    CHECK_ROW(test_alg_of_key), CHECK_ROW(test_bad_signatures),
    CHECK_ROW(test_ecdsa_range), CHECK_ROW(test_ecdsa_der))
