/*
 * seal: AES-256-GCM under a key derived from a passphrase.
 *
 * Format: 0x03, 16 bytes salt, 12 bytes nonce, ciphertext, 16 bytes tag; the
 * key is PBKDF2-HMAC-SHA256 of the passphrase, 600,000 rounds (RFC 8018).
 * Deriving is slow on purpose, so keys are cached by salt in the sealer.
 */
#ifndef COMMON_PKI_KEY_SEAL_H
#define COMMON_PKI_KEY_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/base/secret.h"

struct sealer; /* defined in seal.c */

/* RC_INVALID unless the passphrase has 32 bytes or more. */
rc sealer_new(const char *passphrase, struct sealer **out) MUST_CHECK;
void sealer_free(struct sealer *s);
/* Has unseal try a second passphrase on what the first does not open, while
 * people change it; nothing is sealed under that.  Once a sealer, RC_INVALID
 * unless it has 32 bytes or more. */
rc sealer_also(struct sealer *s, const char *passphrase) MUST_CHECK;
/* Whether the passphrase is too easy to guess (common/base/weak): it opens
 * what was sealed under it before that was asked, and seals nothing more. */
bool sealer_is_weak(const struct sealer *s);
/* Whoever has derived no key yet derives the one of that blob and seals under
 * it: processes that share what they seal share a salt, and derive one key.
 * RC_CRYPTO when it is no blob. */
rc sealer_follow(struct sealer *s, const uint8_t *blob, size_t len) MUST_CHECK;
/* RC_INVALID under a weak passphrase.  aad binds the blob to its place
 * ("ca_keys:iss-local"). */
rc seal(struct sealer *s, struct arena *a, const char *aad, const void *plain,
    size_t len, uint8_t **out, size_t *out_len) MUST_CHECK;
/* RC_CRYPTO: wrong passphrase, wrong place, or changed bytes. */
rc unseal(struct sealer *s, const char *aad, const uint8_t *blob, size_t len,
    struct secret **out) MUST_CHECK;
/* The same by the passphrase alone that new blobs are sealed under. */
rc unseal_own(struct sealer *s, const char *aad, const uint8_t *blob,
    size_t len, struct secret **out) MUST_CHECK;

#endif
