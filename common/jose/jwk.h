/*
 * jwk: public keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037), and as
 * SubjectPublicKeyInfo.
 *
 * EC on P-256 and P-384, RSA of ALG_RSA_BITS_MIN to _MAX, Ed25519.  One key has
 * one text here: numbers have the length that RFC 7518 gives them and nothing
 * in front.  Whatever names a certificate (x5u, x5c ...) is ignored, like any
 * member that is not understood (RFC 7517 section 4).
 */
#ifndef COMMON_JOSE_JWK_H
#define COMMON_JOSE_JWK_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/jose/refusal.h"
#include "common/pki/asn1/span.h"
#include "common/pki/key/pubkey.h"

struct cJSON;

/* A kind of key; there is one "alg" by which it signs. */
struct jwk_kind {
	const char *kty, *crv; /* crv NULL: none */
	const char *alg;
	const char *key; /* ALG_* */
	int size;        /* bits of the curve; 0: not a curve of pubkey's */
	enum alg_md md;
	const char *const *algs; /* alg alone, ends with NULL */
	const char *people;      /* "a P-256 key" */
	const uint8_t *order;    /* of the curve, size / 8 octets; or NULL */
};

struct jwk {
	const struct jwk_kind *kind;
	struct pubkey key;
	size_t sig_len;         /* of a signature in a JWS */
	const char *thumbprint; /* RFC 7638, SHA-256, base64url */
};

/* The key lives in the arena.  RC_INVALID: JOSE_KEY, also for private keys and
 * for points beside their curve; JOSE_MALFORMED when it is not an object. */
rc jwk_read(struct arena *a, const struct cJSON *object, const struct jwk **out,
    struct jose_refusal *out_refusal) MUST_CHECK;
/* RC_INVALID unless it is the SubjectPublicKeyInfo of such a key.  That its
 * point lies on the curve is left to jws_verify. */
rc jwk_from_spki(struct arena *a, struct span spki,
    const struct jwk **out) MUST_CHECK;
/* The same of the first "PUBLIC KEY" block. */
rc jwk_from_pem(struct arena *a, const char *pem,
    const struct jwk **out) MUST_CHECK;
/* SubjectPublicKeyInfo PEM, in the arena. */
const char *jwk_pem(struct arena *a, const struct jwk *k);

#endif
