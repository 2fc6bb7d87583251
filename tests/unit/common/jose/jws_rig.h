/*
 * jws_rig: keys as JSON and signed messages, made by OpenSSL.
 */
#ifndef TESTS_UNIT_COMMON_JOSE_JWS_RIG_H
#define TESTS_UNIT_COMMON_JOSE_JWS_RIG_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/jose/jws.h"

/* The key's public part. */
const char *rig_jwk(struct arena *a, EVP_PKEY *key);
/* The key's public part as ours. */
const struct jwk *rig_key(struct arena *a, EVP_PKEY *key);
/* The signature of "protected.payload" in the form of JWS, with the digest
 * that belongs to the key. */
uint8_t *rig_sign(struct arena *a, EVP_PKEY *key, const char *input,
    size_t *out_len);
/* A flattened JWS; header is the protected header's text. */
const char *rig_jws(struct arena *a, EVP_PKEY *key, const char *header,
    const char *payload);
/* The same around a signature that is given. */
const char *rig_jws_with(struct arena *a, const char *header,
    const char *payload, const uint8_t *signature, size_t len);
const char *rig_input(struct arena *a, const char *header, const char *payload);

#endif
