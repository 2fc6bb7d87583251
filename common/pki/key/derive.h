/*
 * derive: a key from a passphrase, by PBKDF2 with HMAC-SHA-256 (RFC 8018,
 * section 5.2), its first block.
 *
 * libcrypto 3.0's own spends three quarters of its time on copying contexts,
 * and whoever starts waits for it.  Any thread.
 */
#ifndef COMMON_PKI_KEY_DERIVE_H
#define COMMON_PKI_KEY_DERIVE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define DERIVE_SALT_LEN 16
#define DERIVE_KEY_LEN 32

/* rounds: one or more; every one costs the same.  RC_CRYPTO: out is wiped. */
rc derive_key(const void *passphrase, size_t len,
    const uint8_t salt[DERIVE_SALT_LEN], unsigned rounds,
    uint8_t out[DERIVE_KEY_LEN]) MUST_CHECK;

#endif
