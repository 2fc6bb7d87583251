/*
 * envelope: secrets sealed to the holders of a key, whom the one who seals
 * them is not: CMS AuthEnvelopedData (RFC 5083, RFC 5652) with AES-256-GCM
 * (RFC 5084), the key agreed by ECDH with SHA-256 (RFC 5753).
 *
 * What is sealed is bound to its place, "DigiCert:api_key", and opens nowhere
 * else.  Its recipient is known by the SHA-256 of its certificate.
 */
#ifndef COMMON_PKI_KEY_ENVELOPE_H
#define COMMON_PKI_KEY_ENVELOPE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/base/secret.h"

/* Certificate and key in one file, each in PEM. */
struct envelope_keys; /* defined in envelope.c */

/* What is in a configuration: {"cms": ..., "to": ...}. */
struct envelope {
	const char *cms; /* base64 of DER */
	const char *to;  /* SHA-256 of the recipient's certificate, hex */
};

/* The certificate of a file, *out the caller's.  RC_INVALID or RC_IO with
 * *out_why in the arena: no certificate there of an EC key. */
rc envelope_cert_read(struct arena *a, const char *path, X509 **out,
    const char **out_why) MUST_CHECK;
/* Texts in the arena.  RC_CRYPTO. */
rc envelope_seal(struct arena *a, X509 *to, const char *place, const char *text,
    struct envelope *out) MUST_CHECK;

/* The key pairs in these files, NULL-terminated; NULL is none.  RC_INVALID:
 * the log says which file and why. */
rc envelope_keys_new(const char *const *paths,
    struct envelope_keys **out) MUST_CHECK;
/* NULL is a no-op. */
void envelope_keys_free(struct envelope_keys *k);
/* Whether something is sealed to the first of the keys. */
bool envelope_is_to_first(const struct envelope_keys *keys, const char *to);
/* Opened as below, and sealed to the first of the keys, of which there is one
 * at least.  Texts in the arena.  As envelope_open, and RC_CRYPTO. */
rc envelope_reseal(struct arena *a, const struct envelope_keys *keys,
    const char *place, const struct envelope *e,
    struct envelope *out) MUST_CHECK;
/* RC_NOT_FOUND: sealed to none of the keys; RC_CRYPTO: of another place, or
 * changed.  keys may be NULL. */
rc envelope_open(const struct envelope_keys *keys, const char *place,
    const struct envelope *e, struct secret **out) MUST_CHECK;

#endif
