/*
 * keygen: an RSA key made beside the loop.
 *
 * Looking for two primes takes from a tenth of a second to many seconds, in
 * which a loop would do nothing else, not even keep its lease.  So a thread of
 * its own looks, and the loop asks now and then whether it has found them.  The
 * one thread that we start ourselves: it holds nothing but its two numbers.
 */
#ifndef COMMON_PKI_KEY_KEYGEN_H
#define COMMON_PKI_KEY_KEYGEN_H

#include <openssl/evp.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define KEYGEN_BITS_LEAST 2048
#define KEYGEN_BITS_MOST 4096

struct keygen; /* defined in keygen.c */

/* RC_INVALID unless bits is from KEYGEN_BITS_LEAST to _MOST; RC_BUSY when the
 * system gives no thread. */
rc keygen_start(int bits, struct keygen **out) MUST_CHECK;
/* RC_BUSY while it is looking; RC_CRYPTO when there is no key.  The caller
 * frees the key, which is taken once. */
rc keygen_take(struct keygen *g, EVP_PKEY **out) MUST_CHECK;
/* Stops looking, which takes some milliseconds.  NULL is a no-op. */
void keygen_free(struct keygen *g);

#endif
