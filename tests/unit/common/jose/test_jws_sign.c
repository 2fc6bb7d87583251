/*
 * test_jws_sign: what a client of ACME signs, as a server reads it.
 */
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/jose/jws.h"
#include "common/jose/jws_sign.h"
#include "common/json/json.h"
#include "common/pki/key/key.h"
#include "tests/unit/check.h"
#include "tests/unit/common/jose/jws_rig.h"

#define URL "\"nonce\":\"bm9uY2U\",\"url\":\"https://a/acme/x\""

static struct arena *arena;
static EVP_PKEY *pkey;
static const struct jws_key *key;
static struct jose_refusal refusal;

static const char *
text_of(struct span s)
{
	return arena_strndup(arena, (const char *)s.p, s.len);
}

static const struct jws *
read_as(const char *text, enum jws_use use)
{
	const struct cJSON *object;
	const struct jws *jws = NULL;
	const char *why;

	CHECK_INT(json_parse(arena, text, strlen(text), &object, &why), RC_OK);
	CHECK_INT(jws_read(arena, object, use, &jws, &refusal), RC_OK);
	return jws;
}

static void
test_a_request_verifies(void)
{
	const char *header = arena_printf(arena,
	    "{\"alg\":\"ES256\",\"jwk\":%s," URL "}", key->jwk);
	const struct jws *jws = NULL;
	const char *text;

	/* Often enough that numbers with zeros in front are among them. */
	for (unsigned i = 0; i < 600; i++) {
		CHECK_INT(jws_sign(arena, key, header, "{\"a\":1}", &text),
		    RC_OK);
		jws = read_as(text, JWS_REQUEST);
		CHECK_INT(jws_verify(arena, jws, jws->jwk, &refusal), RC_OK);
	}
	CHECK_STR(text_of(jws->payload), "{\"a\":1}");
	CHECK_STR(jws->jwk->thumbprint, key->thumbprint);
	CHECK_STR(jws->jwk->thumbprint, rig_key(arena, pkey)->thumbprint);
}

static void
test_post_as_get_is_empty(void)
{
	const char *text;

	CHECK_INT(jws_sign(arena, key,
		      "{\"alg\":\"ES256\",\"kid\":\"https://a/1\"," URL "}",
		      NULL, &text),
	    RC_OK);
	CHECK_INT(read_as(text, JWS_REQUEST)->payload.len, 0);
}

static void
test_a_binding_verifies(void)
{
	uint8_t mac[32] = {1, 2, 3};
	const struct span secret = {mac, sizeof(mac)};
	const char *text = jws_sign_mac(arena, secret,
	    "{\"alg\":\"HS256\",\"kid\":\"k-1\",\"url\":\"https://a/acme/x\"}",
	    key->jwk);
	const struct jws *jws = read_as(text, JWS_BINDING);

	CHECK_INT(jws_verify_mac(arena, jws, secret, &refusal), RC_OK);
	CHECK_STR(text_of(jws->payload), key->jwk);
	mac[0]++;
	CHECK_INT(jws_verify_mac(arena, jws, secret, &refusal), RC_INVALID);
}

static void
test_other_keys_are_refused(void)
{
	EVP_PKEY *other = EVP_EC_gen("P-384");
	const struct jws_key *none;

	CHECK_INT(jws_key_of(arena, other, &none), RC_INVALID);
	EVP_PKEY_free(other);
	other = EVP_RSA_gen(2048);
	CHECK_INT(jws_key_of(arena, other, &none), RC_INVALID);
	EVP_PKEY_free(other);
}

/* --- one arena and key for each test --- */

static void
with_key(void (*test)(void))
{
	arena = arena_new();
	CHECK_INT(key_new_p256(&pkey), RC_OK);
	CHECK_INT(jws_key_of(arena, pkey, &key), RC_OK);
	test();
	EVP_PKEY_free(pkey);
	arena_free(arena);
}

static void
test_request(void)
{
	with_key(test_a_request_verifies);
}

static void
test_post_as_get(void)
{
	with_key(test_post_as_get_is_empty);
}

static void
test_binding(void)
{
	with_key(test_a_binding_verifies);
}

static void
test_other_keys(void)
{
	with_key(test_other_keys_are_refused);
}

CHECK_MAIN(CHECK_ROW(test_request), CHECK_ROW(test_post_as_get),
    CHECK_ROW(test_binding), CHECK_ROW(test_other_keys))
