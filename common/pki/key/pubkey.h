/*
 * pubkey: signatures checked by public keys that others sent.
 *
 * OpenSSL 3 spends more time on building an elliptic-curve key object than on
 * the signature, nearly all of it on the curve.  So one object per curve is
 * kept and only its point is replaced (which checks that the point lies on
 * the curve).  Event loop only.
 */
#ifndef COMMON_PKI_KEY_PUBKEY_H
#define COMMON_PKI_KEY_PUBKEY_H

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"
#include "common/pki/key/alg.h"

/* What its reader has found well-formed: an uncompressed point of that size,
 * an RSA key within ALG_RSA_BITS_*, 32 octets of Ed25519. */
struct pubkey {
	const char *algorithm; /* one of ALG_* */
	int size;              /* bits of the curve; else whatever */
	struct span spki;      /* SubjectPublicKeyInfo, DER */
};

/* RC_INVALID when OpenSSL takes it for no key: a point beside its curve. */
rc pubkey_check(const struct pubkey *k) MUST_CHECK;
/* RC_INVALID unless the key made the signature, in the form of X.509, of the
 * message.  What is no key made none. */
rc pubkey_verify(const struct pubkey *k, enum alg_md md, struct span sig,
    struct span message) MUST_CHECK;

#endif
