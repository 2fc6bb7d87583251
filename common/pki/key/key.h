/*
 * key: private keys, P-256 unless said otherwise.
 */
#ifndef COMMON_PKI_KEY_KEY_H
#define COMMON_PKI_KEY_KEY_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/base/secret.h"

/* A new ECDSA P-256 key.  The caller frees it with EVP_PKEY_free. */
rc key_new_p256(EVP_PKEY **out) MUST_CHECK;
/* PKCS#8, PKCS#1 or SEC1 PEM, without a passphrase, of a kind that
 * key_algorithm names; RC_INVALID otherwise. */
rc key_from_pem(const void *pem, size_t len, EVP_PKEY **out) MUST_CHECK;
/* For OpenSSL, whose own asks on the terminal while the loop waits: a key that
 * needs a passphrase is refused. */
int key_no_passphrase(char *buf, int size, int rwflag, void *arg);
/* PKCS#8 PEM. */
rc key_to_pem(const EVP_PKEY *key, struct secret **out) MUST_CHECK;
/* "RSA" 2048, "ECDSA" 256, "Ed25519" 0; "" 0 for any other kind. */
const char *key_algorithm(const EVP_PKEY *key, int *out_size);

#endif
