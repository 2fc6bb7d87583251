/*
 * nonce: the text of one nonce of the ACME server (RFC 8555 section 6.5): made
 * with a key, taken apart, and held against a key.  nonces.h has the keys.
 *
 * The id of its key, when it expires, random bytes and a MAC over these.  What
 * is read are foreign bytes (fuzzed): one text for one nonce, and nothing is
 * allocated.
 */
#ifndef APISERVER_LIVE_NONCE_H
#define APISERVER_LIVE_NONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define NONCE_LEN 60
#define NONCE_KEY_ID_LEN 16

enum {
	NONCE_ID_BYTES = NONCE_KEY_ID_LEN / 2,
	NONCE_KEY_BYTES = 32,
	NONCE_TIME_BYTES = 5,
	NONCE_RANDOM_BYTES = 16,
	NONCE_SIGNED_BYTES =
	    NONCE_ID_BYTES + NONCE_TIME_BYTES + NONCE_RANDOM_BYTES,
	NONCE_MAC_BYTES = 16, /* of HMAC-SHA-256's 32 */
	/* 45: 60 characters, no rest. */
	NONCE_BYTES = NONCE_SIGNED_BYTES + NONCE_MAC_BYTES,
};

struct nonce_key {
	uint8_t id[NONCE_ID_BYTES];
	uint8_t bytes[NONCE_KEY_BYTES];
};

/* RC_INVALID: not the hex digits of an id and of a key. */
rc nonce_key_read(const char *id_hex, const char *key_hex,
    struct nonce_key *out) MUST_CHECK;

/* out: NONCE_LEN characters and a NUL. */
void nonce_make(const struct nonce_key *k, int64_t expires_unix,
    char out[NONCE_LEN + 1]);

/* The bytes of a text; RC_INVALID: it has another length, or a character that
 * is none of base64url's. */
rc nonce_read(const char *text, uint8_t out[NONCE_BYTES]) MUST_CHECK;
/* The text of the bytes, the only one. */
void nonce_put(const uint8_t bytes[NONCE_BYTES], char out[NONCE_LEN + 1]);

/* --- of bytes that were read --- */

/* Whether it names this key; whether that key has made it. */
bool nonce_names(const uint8_t bytes[NONCE_BYTES], const struct nonce_key *k);
bool nonce_is_by(const uint8_t bytes[NONCE_BYTES], const struct nonce_key *k);
/* Anybody's word, unless nonce_is_by. */
int64_t nonce_expires(const uint8_t bytes[NONCE_BYTES]);

#endif
