/*
 * test_jws_tricks: signatures that come near to being right, as Wycheproof has
 * them: made with the key, but in another form than the one that there is.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "common/jose/jws.h"
#include "tests/unit/check.h"
#include "tests/unit/common/jose/jws_rig.h"
#include "tests/unit/common/pki/fixture.h"

#define HEADER(alg) "{\"alg\":\"" alg "\",\"kid\":\"k\"}"

enum { RSA_LEN = 256, HASH_LEN = 32 };

static struct arena *arena;
static struct jose_refusal refusal;

static rc
verify(EVP_PKEY *key, const char *header, const uint8_t *sig, size_t len)
{
	const char *text = rig_jws_with(arena, header, "{}", sig, len);
	const struct jws *j;

	refusal = (struct jose_refusal){0};
	CHECK_INT(jws_parse(arena, text, strlen(text), &j, &refusal), RC_OK);
	return jws_verify(arena, j, rig_key(arena, key), &refusal);
}

static void
refused(EVP_PKEY *key, const char *header, const uint8_t *sig, size_t len)
{
	CHECK_INT(verify(key, header, sig, len), RC_INVALID);
	CHECK_INT(refusal.fault, JOSE_SIGNATURE);
}

/* --- RSA: what stands in front of the digest (RFC 8017 section 9.2) --- */

#define SHA256_INFO \
	0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, \
	    0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20

/* The private operation over octets that no padding makes. */
static void
sign_raw(EVP_PKEY *key, const uint8_t em[RSA_LEN], uint8_t out[RSA_LEN])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t len = RSA_LEN;

	CHECK_INT(EVP_PKEY_sign_init(ctx), 1);
	CHECK_INT(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	CHECK_INT(EVP_PKEY_sign(ctx, out, &len, em, RSA_LEN), 1);
	CHECK_INT(len, RSA_LEN);
	EVP_PKEY_CTX_free(ctx);
}

struct padding {
	uint8_t first, type, fill; /* 0, 1 and 0xff */
	size_t short_by;           /* as many of the fill are zeros */
	size_t info_len;
	uint8_t info[24];
	size_t behind; /* octets between the digest and the end */
};

static void
pad(const struct padding *p, const char *input, uint8_t em[RSA_LEN])
{
	size_t at = RSA_LEN - p->behind - HASH_LEN;

	memset(em, p->fill, RSA_LEN);
	em[0] = p->first;
	em[1] = p->type;
	memset(em + RSA_LEN - p->behind, 0x5a, p->behind);
	SHA256((const uint8_t *)input, strlen(input), em + at);
	at -= p->info_len;
	memcpy(em + at, p->info, p->info_len);
	em[--at] = 0;
	memset(em + 2, 0, p->short_by);
}

static void
test_rsa_padding(void)
{
	static const struct padding good = {0, 1, 0xff, 0, 19, {SHA256_INFO},
	    0};
	static const struct padding bad[] = {
	    {1, 1, 0xff, 0, 19, {SHA256_INFO}, 0},
	    {0, 0, 0xff, 0, 19, {SHA256_INFO}, 0},
	    {0, 2, 0xff, 0, 19, {SHA256_INFO}, 0},
	    {0, 1, 0xfe, 0, 19, {SHA256_INFO}, 0},
	    {0, 1, 0x00, 0, 19, {SHA256_INFO}, 0},
	    {0, 1, 0xff, 1, 19, {SHA256_INFO}, 0},
	    {0, 1, 0xff, 190, 19, {SHA256_INFO}, 0},
	    /* more behind the digest: what CVE-2006-4339 was about */
	    {0, 1, 0xff, 0, 19, {SHA256_INFO}, 1},
	    {0, 1, 0xff, 0, 19, {SHA256_INFO}, 180},
	    /* no DigestInfo at all */
	    {0, 1, 0xff, 0, 0, {0}, 0},
	    /* without the NULL */
	    {0, 1, 0xff, 0, 17,
		{0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		    0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20},
		0},
	    /* lengths in the long form */
	    {0, 1, 0xff, 0, 20,
		{0x30, 0x81, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
		    0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
		0},
	    {0, 1, 0xff, 0, 20,
		{0x30, 0x32, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		    0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x81, 0x20},
		0},
	    /* of indefinite length */
	    {0, 1, 0xff, 0, 19,
		{0x30, 0x80, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		    0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
		0},
	    /* SHA-512/256's name, and SHA3-256's: as many octets */
	    {0, 1, 0xff, 0, 19,
		{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		    0x65, 0x03, 0x04, 0x02, 0x06, 0x05, 0x00, 0x04, 0x20},
		0},
	    {0, 1, 0xff, 0, 19,
		{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		    0x65, 0x03, 0x04, 0x02, 0x08, 0x05, 0x00, 0x04, 0x20},
		0},
	    /* other tags */
	    {0, 1, 0xff, 0, 19,
		{0x31, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		    0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
		0},
	    {0, 1, 0xff, 0, 19,
		{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
		    0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x03, 0x20},
		0},
	};
	EVP_PKEY *key = fixture_key("RSA:2048");
	const char *h = HEADER("RS256"), *input;
	uint8_t em[RSA_LEN], sig[RSA_LEN];

	arena = arena_new();
	input = rig_input(arena, h, "{}");
	pad(&good, input, em);
	sign_raw(key, em, sig);
	CHECK_INT(verify(key, h, sig, RSA_LEN), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		pad(&bad[i], input, em);
		sign_raw(key, em, sig);
		refused(key, h, sig, RSA_LEN);
	}
	arena_free(arena);
}

/* Above the modulus, the same number modulo it. */
static void
test_rsa_range(void)
{
	EVP_PKEY *key = fixture_key("RSA:2048");
	const char *h = HEADER("RS256");
	uint8_t *sig, same[RSA_LEN];
	BIGNUM *n = NULL, *s;
	bool has_room;
	size_t len;

	arena = arena_new();
	sig = rig_sign(arena, key, rig_input(arena, h, "{}"), &len);
	s = BN_bin2bn(sig, (int)len, NULL);
	CHECK_INT(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n), 1);
	CHECK_INT(BN_add(s, s, n), 1);
	has_room = BN_num_bytes(s) <= RSA_LEN;
	if (has_room) {
		CHECK_INT(BN_bn2binpad(s, same, RSA_LEN), RSA_LEN);
		refused(key, h, same, RSA_LEN);
	}
	CHECK_INT(BN_bn2binpad(n, same, RSA_LEN), RSA_LEN);
	refused(key, h, same, RSA_LEN);
	BN_free(n);
	BN_free(s);
	arena_free(arena);
}

/* --- ECDSA --- */

static BIGNUM *
order_of(EVP_PKEY *key)
{
	BIGNUM *n = NULL;

	CHECK_INT(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_ORDER, &n), 1);
	return n;
}

/* Both s and n - s verify: JWS has no rule which one it is (RFC 7518 section
 * 3.4), and half of what clients sign is the one above. */
static void
test_both_halves(void)
{
	static const struct {
		const char *kind, *header;
	} rows[] = {{"P-256", HEADER("ES256")}, {"P-384", HEADER("ES384")}};

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		EVP_PKEY *key = fixture_key(rows[i].kind);
		const char *h = rows[i].header;
		BIGNUM *n = order_of(key), *s;
		uint8_t *sig;
		size_t len;

		sig = rig_sign(arena, key, rig_input(arena, h, "{}"), &len);
		s = BN_bin2bn(sig + len / 2, (int)len / 2, NULL);
		CHECK_INT(BN_sub(s, n, s), 1);
		CHECK_INT(BN_bn2binpad(s, sig + len / 2, (int)len / 2),
		    (int)len / 2);
		CHECK_INT(verify(key, h, sig, len), RC_OK);
		/* -r is no r. */
		BN_bin2bn(sig, (int)len / 2, s);
		CHECK_INT(BN_sub(s, n, s), 1);
		CHECK_INT(BN_bn2binpad(s, sig, (int)len / 2), (int)len / 2);
		refused(key, h, sig, len);
		BN_free(s);
		BN_free(n);
	}
	arena_free(arena);
}

/* r and s at the ends of what P-384 has for them. */
static void
test_p384_range(void)
{
	static const int deltas[] = {-1, 0, 1};
	EVP_PKEY *key = fixture_key("P-384");
	const char *h = HEADER("ES384");
	BIGNUM *n = order_of(key);
	uint8_t ends[6][48] = {{0}}, sig[96];

	arena = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
		BIGNUM *x = BN_dup(n);

		CHECK_INT(deltas[i] < 0 ? BN_sub_word(x, 1)
					: BN_add_word(x, (BN_ULONG)deltas[i]),
		    1);
		CHECK_INT(BN_bn2binpad(x, ends[i], 48), 48);
		BN_free(x);
	}
	ends[3][47] = 1;
	memset(ends[4], 0xff, 48); /* ends[5] is 0 */
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
			memcpy(sig, ends[i], 48);
			memcpy(sig + 48, ends[k], 48);
			refused(key, h, sig, sizeof(sig));
		}
	}
	BN_free(n);
	arena_free(arena);
}

/* --- Ed25519 --- */

/* S and S + L are the same scalar; RFC 8032 section 5.1.7 takes the one below
 * L alone. */
static void
test_ed25519_malleable(void)
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63,
	    0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
	    0x14, [31] = 0x10};
	EVP_PKEY *key = fixture_key("ED25519");
	const char *h = HEADER("EdDSA");
	uint8_t *sig, bad[64];
	unsigned carry = 0;
	size_t len;

	arena = arena_new();
	sig = rig_sign(arena, key, rig_input(arena, h, "{}"), &len);
	CHECK_INT(verify(key, h, sig, len), RC_OK);
	memcpy(bad, sig, 64);
	for (size_t i = 0; i < 32; i++) {
		carry += sig[32 + i] + (unsigned)order[i];
		bad[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	CHECK_INT(carry, 0);
	refused(key, h, bad, 64);
	/* S is L, S is 0, and the neutral point for R. */
	memcpy(bad, sig, 32);
	memcpy(bad + 32, order, 32);
	refused(key, h, bad, 64);
	memset(bad + 32, 0, 32);
	refused(key, h, bad, 64);
	memset(bad, 0, 32);
	bad[0] = 1;
	refused(key, h, bad, 64);
	memcpy(bad + 32, sig + 32, 32);
	refused(key, h, bad, 64);
	/* R in another spelling: the sign of x turned about. */
	memcpy(bad, sig, 64);
	bad[31] ^= 0x80;
	refused(key, h, bad, 64);
	arena_free(arena);
}

CHECK_MAIN(CHECK_ROW(test_rsa_padding), CHECK_ROW(test_rsa_range),
    CHECK_ROW(test_both_halves), CHECK_ROW(test_p384_range),
    CHECK_ROW(test_ed25519_malleable))
