#include "common/jose/jwk.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/jose/jwk_int.h"
#include "common/pki/asn1/der.h"
#include "common/pki/asn1/pem.h"

#define ED25519_LEN 32
#define PEM_LABEL "PUBLIC KEY"
#define PEM_MAX 2048 /* RSA of 8192 bits takes 1,500 */

/* FIPS 186-4, D.1.2.3 and D.1.2.4. */
static const uint8_t order_p256[] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00,
    0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25,
    0x51};
static const uint8_t order_p384[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d,
    0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19,
    0x6a, 0xcc, 0xc5, 0x29, 0x73};

static const char *const es256[] = {"ES256", NULL};
static const char *const es384[] = {"ES384", NULL};
static const char *const rs256[] = {"RS256", NULL};
static const char *const eddsa[] = {"EdDSA", NULL};

static const struct jwk_kind kinds[] = {
    {"EC", "P-256", "ES256", ALG_ECDSA, 256, ALG_SHA256, es256, "a P-256 key",
	order_p256},
    {"EC", "P-384", "ES384", ALG_ECDSA, 384, ALG_SHA384, es384, "a P-384 key",
	order_p384},
    {"RSA", NULL, "RS256", ALG_RSA, 0, ALG_SHA256, rs256, "an RSA key", NULL},
    {"OKP", "Ed25519", "EdDSA", ALG_ED25519, 0, ALG_MD_NONE, eddsa,
	"an Ed25519 key", NULL},
};

const struct jwk_kind *
jwk_kind_find(const char *kty, const char *crv)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].kty, kty) == 0 &&
		    (!kinds[i].crv || (crv && strcmp(kinds[i].crv, crv) == 0)))
			return &kinds[i];
	}
	return NULL;
}

/* --- what is right --- */

static size_t
bits_of(struct span n)
{
	size_t bits = n.len * 8;

	for (unsigned top = 0x80; top && !(n.p[0] & top); top >>= 1)
		bits--;
	return bits;
}

static const char *
rsa_wrong(struct span n, struct span e)
{
	if (n.len == 0 || e.len == 0 || n.p[0] == 0 || e.p[0] == 0)
		return "n and e are the octets of the number, big end first, "
		       "without zeros before it (RFC 7518 section 6.3.1)";
	if (bits_of(n) < ALG_RSA_BITS_MIN)
		return "n has fewer than 2048 bits: use a longer RSA key";
	if (bits_of(n) > ALG_RSA_BITS_MAX)
		return "n has more than 8192 bits: use a shorter RSA key";
	if ((n.p[n.len - 1] & 1) == 0)
		return "n is even, so it is the modulus of no RSA key";
	if ((e.p[e.len - 1] & 1) == 0 || bits_of(e) < 17 || e.len > 8)
		return "e is odd, 65537 or more, and has at most 64 bits: make "
		       "the key with e = 65537";
	return NULL;
}

/*
 * Points of small order, of which anybody can sign anything: y is 0, 1, -1 or
 * one of the two of order 8; the top bit is the sign of x.
 */
static bool
is_small_order(struct span x)
{
	static const uint8_t ys[][ED25519_LEN] = {{0}, {1},
	    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x7f},
	    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
		0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3,
		0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc,
		0x05},
	    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
		0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c,
		0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03,
		0x7a}};
	uint8_t y[ED25519_LEN];

	memcpy(y, x.p, sizeof(y));
	y[ED25519_LEN - 1] &= 0x7f;
	for (size_t i = 0; i < ARRAY_LEN(ys); i++) {
		if (memcmp(y, ys[i], sizeof(y)) == 0)
			return true;
	}
	return false;
}

/* RFC 8032 section 5.1.3: y is below 2^255 - 19. */
static bool
is_past_prime(struct span x)
{
	if ((x.p[ED25519_LEN - 1] & 0x7f) != 0x7f || x.p[0] < 0xed)
		return false;
	for (size_t i = 1; i < ED25519_LEN - 1; i++) {
		if (x.p[i] != 0xff)
			return false;
	}
	return true;
}

const char *
jwk_numbers_wrong(const struct jwk_kind *kind, const struct jwk_numbers *n)
{
	size_t coordinate = (size_t)kind->size / 8;

	if (strcmp(kind->kty, "RSA") == 0)
		return rsa_wrong(n->first, n->second);
	if (kind->order) {
		if (n->first.len == coordinate && n->second.len == coordinate)
			return NULL;
		return coordinate == 32
			   ? "x and y have 32 octets each on P-256, zeros "
			     "before them included (RFC 7518 section 6.2.1)"
			   : "x and y have 48 octets each on P-384, zeros "
			     "before them included (RFC 7518 section 6.2.1)";
	}
	if (n->first.len != ED25519_LEN)
		return "x has 32 octets (RFC 8037 section 2)";
	if (is_past_prime(n->first) || is_small_order(n->first))
		return "x is no point that a key can have: make a new key";
	return NULL;
}

/* --- the key of numbers --- */

/* A positive INTEGER. */
static void
put_number(struct der_out *w, struct span n)
{
	uint8_t *mark = der_mark(w);

	der_put_span(w, n);
	if (n.p[0] & 0x80)
		der_put_byte(w, 0);
	der_put_head(w, DER_INTEGER, mark);
}

static struct span
spki_of(struct arena *a, const struct jwk_kind *kind,
    const struct jwk_numbers *n)
{
	const struct alg_key *alg = alg_key_named(kind->key, kind->size);
	size_t room = alg->der.len + n->first.len + n->second.len + 64;
	struct der_out w;
	uint8_t *mark;

	/* From the end towards the start. */
	der_out_init(&w, arena_alloc(a, room), room);
	mark = der_mark(&w);
	if (strcmp(kind->kty, "RSA") == 0) {
		put_number(&w, n->second);
		put_number(&w, n->first);
		der_put_head(&w, DER_SEQUENCE, mark);
	} else {
		der_put_span(&w, n->second);
		der_put_span(&w, n->first);
		if (kind->order)
			der_put_byte(&w,
			    0x04); /* uncompressed (SEC 1, 2.3.3) */
	}
	der_put_byte(&w, 0); /* unused bits */
	der_put_head(&w, DER_BIT_STRING, mark);
	der_put_span(&w, alg->der);
	der_put_head(&w, DER_SEQUENCE, mark);
	return der_out_span(&w);
}

/* RFC 7638 section 3: what a key must have, by name, without white space. */
static const char *
thumbprint_of(struct arena *a, const struct jwk_kind *kind,
    const struct jwk_numbers *n)
{
	const char *x = enc_base64url(a, n->first.p, n->first.len);
	const char *y = enc_base64url(a, n->second.p, n->second.len);
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const char *text;

	if (kind->order)
		text = arena_printf(a,
		    "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
		    kind->crv, x, y);
	else if (kind->crv)
		text = arena_printf(a,
		    "{\"crv\":\"%s\",\"kty\":\"OKP\",\"x\":\"%s\"}", kind->crv,
		    x);
	else
		text = arena_printf(a,
		    "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", y, x);
	if (SHA256((const uint8_t *)text, strlen(text), digest) == NULL)
		abort(); /* only without a working libcrypto */
	return enc_base64url(a, digest, sizeof(digest));
}

const struct jwk *
jwk_make(struct arena *a, const struct jwk_kind *kind,
    const struct jwk_numbers *n)
{
	struct jwk *k = arena_alloc(a, sizeof(*k));

	k->kind = kind;
	k->key.algorithm = kind->key;
	k->key.size = kind->size;
	k->key.spki = spki_of(a, kind, n);
	if (kind->order)
		k->sig_len = 2 * (size_t)kind->size / 8;
	else if (kind->crv)
		k->sig_len = 2 * ED25519_LEN;
	else
		k->sig_len = n->first.len;
	k->thumbprint = thumbprint_of(a, kind, n);
	return k;
}

/* --- SubjectPublicKeyInfo --- */

/* Without the sign octet. */
static struct span
take_positive(struct der *d)
{
	struct span s = der_take(d, DER_INTEGER);

	if (!der_value_ok(DER_INTEGER, s) || s.p[0] >= 0x80)
		*d->bad = true;
	else if (s.p[0] == 0 && s.len > 1)
		s = (struct span){s.p + 1, s.len - 1};
	return s;
}

static void
take_numbers(const struct jwk_kind *kind, struct span bits,
    struct jwk_numbers *n, bool *bad)
{
	size_t coordinate = (size_t)kind->size / 8;
	struct der top, pair;

	if (kind->order) {
		if (bits.len != 1 + 2 * coordinate || bits.p[0] != 0x04) {
			*bad = true;
			return;
		}
		n->first = (struct span){bits.p + 1, coordinate};
		n->second = (struct span){bits.p + 1 + coordinate, coordinate};
	} else if (kind->crv) {
		n->first = bits;
	} else {
		der_init(&top, bits, bad);
		pair = der_enter(&top, DER_SEQUENCE);
		der_end(&top);
		n->first = take_positive(&pair);
		n->second = take_positive(&pair);
		der_end(&pair);
	}
}

static const struct jwk_kind *
kind_of_alg(const struct alg_key *alg)
{
	for (size_t i = 0; alg && i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].key, alg->name) == 0 &&
		    kinds[i].size == alg->size)
			return &kinds[i];
	}
	return NULL;
}

rc
jwk_from_spki(struct arena *a, struct span spki, const struct jwk **out)
{
	const struct jwk_kind *kind;
	struct jwk_numbers n = {0};
	struct der top, inner;
	struct span id, bits;
	bool bad = false;

	der_init(&top, spki, &bad);
	inner = der_enter(&top, DER_SEQUENCE);
	der_end(&top);
	id = der_take_whole(&inner, DER_SEQUENCE);
	bits = der_take_bits(&inner);
	der_end(&inner);
	kind = bad ? NULL : kind_of_alg(alg_key_find(id));
	if (!kind)
		return RC_INVALID;
	take_numbers(kind, bits, &n, &bad);
	if (bad || jwk_numbers_wrong(kind, &n) != NULL)
		return RC_INVALID;
	*out = jwk_make(a, kind, &n);
	return RC_OK;
}

rc
jwk_from_pem(struct arena *a, const char *pem, const struct jwk **out)
{
	size_t len = strnlen(pem, PEM_MAX + 1);
	struct span der;
	rc ret;

	if (len > PEM_MAX)
		return RC_INVALID;
	ret = pem_read(a, PEM_LABEL, pem, len, &der, NULL);
	if (ret != RC_OK)
		return RC_INVALID;
	return jwk_from_spki(a, der, out);
}

const char *
jwk_pem(struct arena *a, const struct jwk *k)
{
	return pem_write(a, PEM_LABEL, k->key.spki);
}
