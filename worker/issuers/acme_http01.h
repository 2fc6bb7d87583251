/*
 * acme_http01: answers to http-01 challenges (RFC 8555 section 8.3), by a
 * listener of our own that is there while an answer is wanted, or by a file
 * below the root of a web server that is there anyway.
 *
 * An answer is named by the order that it belongs to, and gone soon after it is
 * withdrawn with it, or by itself after some minutes: whoever goes on with the
 * order puts it up again where it is still wanted.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_ACME_HTTP01_H
#define WORKER_ISSUERS_ACME_HTTP01_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct acme_http01; /* defined in acme_http01.c */

/* Never NULL; nothing is listened on yet.  What is withdrawn is answered for
 * linger_ms more. */
struct acme_http01 *acme_http01_new(struct loop *l, int64_t linger_ms);
/* NULL is a no-op. */
void acme_http01_free(struct acme_http01 *h);

struct acme_answer {
	const char *order; /* its URL */
	const char *token;
	const char *key_authorization;
};

/* Up until it is withdrawn.  RC_IO: the port can't be listened on, RC_BUSY: too
 * many are up; with *out_why. */
rc acme_http01_put(struct acme_http01 *h, struct arena *a, int port,
    const struct acme_answer *answer, const char **out_why) MUST_CHECK;
/* All of the order. */
void acme_http01_withdraw(struct acme_http01 *h, const char *order);

/* base64url, as RFC 8555 section 8.1 has it: fit for a file's name. */
bool acme_token_is_valid(const char *token);
/* The same by files below a directory that exists; directories are made. */
rc acme_webroot_put(struct arena *a, const char *webroot,
    const struct acme_answer *answer, const char **out_why) MUST_CHECK;
void acme_webroot_withdraw(struct arena *a, const char *webroot,
    const char *token);

#endif
