/*
 * stepca_key: the keys of step-ca's provisioners, opened by their passwords.
 *
 * To open one takes some hundred thousand rounds of a hash, which a worker that
 * must renew its lease may not do at once: it is done in parts, on the loop, by
 * the first who asks, and what was opened is remembered for as long as this
 * process lives.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_STEPCA_KEY_H
#define WORKER_ISSUERS_STEPCA_KEY_H

#include "common/base/arena.h"
#include "common/jose/jws_sign.h"
#include "common/loop/loop.h"

struct stepca_keys; /* defined in stepca_key.c */

struct stepca_keys *stepca_keys_new(struct loop *l);
/* NULL is a no-op.  Nobody may be asking any more. */
void stepca_keys_free(struct stepca_keys *s);

/* key NULL: it can't be opened, and why says for people why.  Both live in the
 * arena; kid: by which step-ca knows it. */
typedef void stepca_key_fn(void *arg, const struct jws_key *key,
    const char *kid, const char *why);

/* jwe: the encrypted key's text.  done is called later, once, and never after
 * the arena has ended. */
void stepca_key_ask(struct stepca_keys *s, struct arena *a, const char *jwe,
    const char *password, stepca_key_fn *done, void *arg);

#endif
