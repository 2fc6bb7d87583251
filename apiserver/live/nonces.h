/*
 * nonces: what ACME clients put into one signed request each (RFC 8555 section
 * 6.5), made without a word to the database.
 *
 * What a nonce is, nonce.h says.  The keys stand in the database, for all
 * replicas; that a nonce was used is written there when it is.  Both are lost
 * together in a crash: what a key that is gone has signed is refused.  Event
 * loop only.
 */
#ifndef APISERVER_LIVE_NONCES_H
#define APISERVER_LIVE_NONCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/live/nonce.h"
#include "common/base/attr.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"

struct nonces; /* defined in nonces.c */

enum nonce_state {
	NONCE_GOOD,    /* by its MAC and age */
	NONCE_NONE,    /* nothing that we made */
	NONCE_EXPIRED, /* it was one */
	NONCE_UNKNOWN  /* of a key that this process does not know */
};

struct nonce {
	char key_id[NONCE_KEY_ID_LEN + 1];
	int64_t expires_unix;
};

/* ttl_ms: how long a nonce may be used. */
struct nonces *nonces_new(struct loop *l, struct db_pool *pool, int64_t ttl_ms);
/* No op may be waiting; NULL is a no-op. */
void nonces_free(struct nonces *n);

/* out: NONCE_LEN characters and a NUL.  False: no key is known by now. */
bool nonces_make(struct nonces *n, char out[NONCE_LEN + 1]) MUST_CHECK;
/* What text is; *out is set when it is NONCE_GOOD. */
enum nonce_state nonces_check(const struct nonces *n, const char *text,
    struct nonce *out);
/* The key is not in the database any more: none of ours is. */
void nonces_forget(struct nonces *n);
/* Reads the keys, and wakes op once that is over; park it.  False: they were
 * read just now, there is nothing to wait for. */
bool nonces_ask(struct nonces *n, struct op *op) MUST_CHECK;

#endif
