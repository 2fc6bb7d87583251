/*
 * acme_binding: how an account at an ACME CA is bound to an external one (RFC
 * 8555 section 7.3.4), and ZeroSSL's own way of giving one to an address.
 */
#ifndef WORKER_ISSUERS_ACME_BINDING_H
#define WORKER_ISSUERS_ACME_BINDING_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/jose/jws_sign.h"
#include "worker/issuers/acme_config.h"

struct acme_binding {
	const char *kid;
	struct span mac;
};

/* The externalAccountBinding of the account of this key, JSON in the arena;
 * url is where the account is made. */
const char *acme_binding_write(struct arena *a, const struct acme_binding *b,
    const struct jws_key *key, const char *url);

/* Whether it is a CA that binds an address to an account by itself. */
bool acme_binding_is_automatic(const struct acme_config *c);
/* binding NULL: words say why not, and the CA may ask to wait so long (0: it
 * does not).  The MAC key is wiped with the arena.  Called later, once. */
typedef void acme_binding_fn(void *arg, const struct acme_binding *binding,
    const char *words, int64_t retry_after_s);
/* RC_INVALID, RC_INTERNAL: nothing was asked, and done is not called. */
rc acme_binding_fetch(const struct issuer_env *env, struct arena *a,
    const struct acme_config *c, acme_binding_fn *done, void *arg) MUST_CHECK;

#endif
