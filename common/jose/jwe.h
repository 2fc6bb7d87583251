/*
 * jwe: private keys encrypted by a password, as step-ca keeps those of its
 * provisioners: JWE (RFC 7516) by PBES2-HS256+A128KW (RFC 7518 section 4.8) and
 * AES-GCM (section 5.3), compact or flattened JSON, around a JWK (RFC 7517).
 *
 * The key that opens it comes of the password by jwe_salt and jwe_rounds
 * (derive.h), which takes long: that is the caller's to do, in parts.
 */
#ifndef COMMON_JOSE_JWE_H
#define COMMON_JOSE_JWE_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"

#define JWE_ROUNDS_MAX 2000000

struct jwe {                        /* all in the arena */
	const char *protected_text; /* as it came: it is authenticated */
	struct span salt;           /* of the derivation */
	unsigned rounds;
	size_t key_len; /* of the content's key, 16 or 32 */
	struct span encrypted_key, iv, ciphertext, tag;
};

/* RC_INVALID, with *out_why for people: it is none of these. */
rc jwe_read(struct arena *a, const char *text, const struct jwe **out,
    const char **out_why) MUST_CHECK;
/* derived: 16 octets of the password.  The key, the caller's, of P-256, and its
 * kid, in the arena, "" for none.  RC_FORBIDDEN: another password; RC_INVALID
 * with *out_why: what is in it is no such key. */
rc jwe_open_key(struct arena *a, const struct jwe *e, const uint8_t *derived,
    EVP_PKEY **out, const char **out_kid, const char **out_why) MUST_CHECK;

#endif
