/*
 * google_auth: how an issuer is let in at Google Cloud: a service account's key
 * signs a token, which is exchanged for an access token (RFC 7523), which is
 * good for an hour.
 *
 * https://developers.google.com/identity/protocols/oauth2/service-account#httprest
 */
#ifndef WORKER_ISSUERS_GOOGLE_AUTH_H
#define WORKER_ISSUERS_GOOGLE_AUTH_H

#include <openssl/evp.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "worker/issuers/issuer_http.h"

struct cJSON;

struct google_account {
	const char *client_email, *key_id;
	EVP_PKEY *key;
	const char *token_url;
	/* Of all that the access token depends on (token_memory.h). */
	const char *memory_key;
};

/* json: the key file of a service account, as Google gives it out; what is read
 * of it lives in the arena.  RC_INVALID with *out_why. */
rc google_account_read(struct arena *a, const char *json, const char *token_url,
    struct google_account *out, const char **out_why) MUST_CHECK;

/* Asks for an access token; "done" gets its answer with arg.  As
 * issuer_http_start; RC_CRYPTO: the key can't sign. */
rc google_token_ask(const struct issuer_env *env, struct arena *a,
    const struct google_account *account, int64_t now_unix,
    issuer_reply_fn *done, void *arg) MUST_CHECK;
/* The token in that answer, and the seconds for which it is worth keeping;
 * NULL: it has none. */
const char *google_token_read(const struct cJSON *json, int64_t *out_s);

#endif
