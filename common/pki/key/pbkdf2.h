/*
 * pbkdf2: PBKDF2-HMAC-SHA256 (RFC 8018) of one block, as fast as SHA-256 is.
 *
 * OpenSSL's own copies two contexts of its providers in each round, which
 * takes four times as long as the hashing.  A worker that starts derives its
 * keys before it takes work, and 600,000 rounds were most of a start.
 */
#ifndef COMMON_PKI_KEY_PBKDF2_H
#define COMMON_PKI_KEY_PBKDF2_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256's, and so what one block of PBKDF2 has. */
#define PBKDF2_KEY_LEN 32
/* What fits one block of the hash beside the block's number and the padding. */
#define PBKDF2_SALT_MAX 51

/* A salt of at most PBKDF2_SALT_MAX bytes, one round or more. */
void pbkdf2_sha256(const void *passphrase, size_t len, const uint8_t *salt,
    size_t salt_len, uint32_t rounds, uint8_t key[PBKDF2_KEY_LEN]);

#endif
