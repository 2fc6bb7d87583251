/*
 * derive: a key from a passphrase, by PBKDF2 with HMAC-SHA-256 (RFC 8018,
 * section 5.2), its first block.
 *
 * libcrypto 3.0's own spends three quarters of its time on copying contexts,
 * and whoever starts waits for it.  Any thread.
 */
#ifndef COMMON_PKI_KEY_DERIVE_H
#define COMMON_PKI_KEY_DERIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define DERIVE_SALT_LEN 16
#define DERIVE_KEY_LEN 32
#define DERIVE_SALT_MAX 256

struct derive; /* defined in derive.c */

/* rounds: one or more; every one costs the same.  RC_CRYPTO: out is wiped. */
rc derive_key(const void *passphrase, size_t len,
    const uint8_t salt[DERIVE_SALT_LEN], unsigned rounds,
    uint8_t out[DERIVE_KEY_LEN]) MUST_CHECK;

/* The same in parts, for who has an event loop to go on with: whole rounds of
 * any salt.  RC_INVALID: the salt is longer than DERIVE_SALT_MAX; RC_CRYPTO. */
rc derive_new(const void *passphrase, size_t len, const void *salt,
    size_t salt_len, unsigned rounds, struct derive **out) MUST_CHECK;
void derive_free(struct derive *d);
/* So many rounds more; true with out when that were all. */
bool derive_go_on(struct derive *d, unsigned rounds,
    uint8_t out[DERIVE_KEY_LEN]) MUST_CHECK;

#endif
