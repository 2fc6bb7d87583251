/*
 * jws: signed messages of ACME, flattened JSON (RFC 7515 section 7.2.2 as RFC
 * 8555 section 6.2 narrows it): requests, and the two that travel inside
 * requests.
 *
 * Reading checks form and algorithm, and the key that a message brings along;
 * verifying checks the signature.  Whether url and nonce are the right ones is
 * the caller's business.  Event loop only.
 */
#ifndef COMMON_JOSE_JWS_H
#define COMMON_JOSE_JWS_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/jose/jwk.h"
#include "common/jose/refusal.h"
#include "common/pki/asn1/span.h"

#define JWS_URL_MAX 2048
#define JWS_KID_MAX 1024
#define JWS_NONCE_MAX 256

struct cJSON;

enum jws_use {
	JWS_REQUEST,    /* RFC 8555 section 6.2 */
	JWS_KEY_CHANGE, /* inside one: section 7.3.5 */
	JWS_BINDING     /* externalAccountBinding: section 7.3.4 */
};

struct jws {
	enum jws_use use;
	const char *alg;
	const char *url;       /* NULL when absent */
	const char *nonce;     /* base64url; NULL when absent */
	const char *kid;       /* kid or jwk, the other is NULL */
	const struct jwk *jwk; /* of the header */
	struct span payload;   /* decoded; of length 0: POST-as-GET */
	struct span input;     /* what is signed */
	struct span signature;
};

/*
 * The message and what it points to live in the arena.  RC_INVALID with
 * *out_refusal: anything but protected, payload and signature of strict
 * base64url; a header beside the protected one, several signatures, twins;
 * crit, b64: false; kid and jwk as the use forbids; a nonce where none may be;
 * an "alg" not taken (JOSE_ALGORITHM); a jwk that jwk_read refuses.
 * Other members are ignored (RFC 7515 sections 4 and 7.2.1), and nothing that
 * they name is ever fetched.
 */
rc jws_parse(struct arena *a, const char *text, size_t len,
    const struct jws **out, struct jose_refusal *out_refusal) MUST_CHECK;
/* The same of one that was read as JSON with what it travels in. */
rc jws_read(struct arena *a, const struct cJSON *object, enum jws_use use,
    const struct jws **out, struct jose_refusal *out_refusal) MUST_CHECK;
/* RC_INVALID: alg is not the key's (JOSE_ALGORITHM), or the key has not made
 * the signature (JOSE_SIGNATURE).  Of JWS_REQUEST and JWS_KEY_CHANGE. */
rc jws_verify(struct arena *a, const struct jws *j, const struct jwk *key,
    struct jose_refusal *out_refusal) MUST_CHECK;
/* The same of JWS_BINDING: a key shorter than its digest is refused (RFC 7518
 * section 3.2), so one of 64 bytes does for all three. */
rc jws_verify_mac(struct arena *a, const struct jws *j, struct span key,
    struct jose_refusal *out_refusal) MUST_CHECK;

#endif
