/*
 * jws_sign: signed messages.  Those of an ACME client are flattened JSON (RFC
 * 7515 section 7.2.2, RFC 8555 section 6.2): by its account's key, P-256 with
 * ES256, and by the MAC key of an external account, HS256.  Those that tell an
 * authorization server who we are (RFC 7523 section 2.1) are compact (RFC 7515
 * section 3.1), by RS256.
 *
 * Event loop only.
 */
#ifndef COMMON_JOSE_JWS_SIGN_H
#define COMMON_JOSE_JWS_SIGN_H

#include <openssl/evp.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

struct jws_key {
	EVP_PKEY *pkey;         /* the caller's */
	const char *jwk;        /* the public key, as RFC 7638 writes it */
	const char *thumbprint; /* of that, SHA-256, base64url */
};

/* The key stays the caller's and outlives *out, which lives in the arena.
 * RC_INVALID unless it is a P-256 key. */
rc jws_key_of(struct arena *a, EVP_PKEY *pkey,
    const struct jws_key **out) MUST_CHECK;
/* The message, in the arena.  header is JSON, and says "alg":"ES256"; payload
 * NULL is the empty one of POST-as-GET.  RC_CRYPTO. */
rc jws_sign(struct arena *a, const struct jws_key *key, const char *header,
    const char *payload, const char **out) MUST_CHECK;
/* The same as a token: compact (RFC 7515 section 7.1), as JWT is (RFC 7519). */
rc jws_sign_token(struct arena *a, const struct jws_key *key,
    const char *header, const char *payload, const char **out) MUST_CHECK;
/* The same by HMAC-SHA-256; its header says "alg":"HS256". */
const char *jws_sign_mac(struct arena *a, struct span key, const char *header,
    const char *payload);
/* A compact one, in the arena; its header says "alg":"RS256".  RC_INVALID
 * unless the key is RSA's, of 2048 bits or more; RC_CRYPTO. */
rc jws_sign_compact(struct arena *a, EVP_PKEY *key, const char *header,
    const char *payload, const char **out) MUST_CHECK;

#endif
