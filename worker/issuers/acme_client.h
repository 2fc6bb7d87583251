/*
 * acme_client: requests to an ACME CA (RFC 8555), signed by one account's key,
 * with all that has to go before them: the directory, a nonce, the account,
 * which is made where there is none, bound to an external one where the CA
 * asks for that (section 7.3.4).
 *
 * One request at a time, for one order.  A nonce that is refused is replaced
 * and the same sent again, which is safe: the CA did nothing with it.  What is
 * asked goes to the directory's own host only, whatever an answer says.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_ACME_CLIENT_H
#define WORKER_ISSUERS_ACME_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/jose/jws_sign.h"
#include "worker/issuers/acme_config.h"
#include "worker/issuers/issuer.h"
#include "worker/issuers/issuer_http.h"

struct acme_client; /* defined in acme_client.c */

struct acme_reply {
	/* Of the request itself; NULL: something before it failed, and it was
	 * not sent. */
	const struct issuer_reply *http;
	bool is_good;         /* 2xx */
	const char *problem;  /* the type without its URN, of what failed; "" */
	const char *words;    /* for people: the CA's own where it has any */
	const char *location; /* of a new resource; NULL: the CA does not say */
	int64_t retry_after_s; /* 0: the CA does not say */
};
typedef void acme_reply_fn(void *arg, const struct acme_reply *reply);

/* Lives in the arena, as what its replies point to does; config and key outlive
 * it. */
struct acme_client *acme_client_new(const struct issuer_env *env,
    struct arena *a, const struct acme_config *config,
    const struct jws_key *key);
/* All that is asked from now on is answered within this time. */
void acme_client_limit(struct acme_client *c, int64_t ms);
/* Of that. */
int64_t acme_client_left_ms(const struct acme_client *c);

struct acme_request {
	const char *resource; /* of the directory, as "newOrder"; or NULL */
	const char *url;      /* then this; NULL too: the account itself */
	const char *payload;  /* JSON; NULL: POST-as-GET */
	/* Nothing is asked but the directory, where it is not remembered; the
	 * reply has no http. */
	bool is_directory;
};
/* An earlier request that was not answered is forgotten.  done is called
 * later, once. */
void acme_client_ask(struct acme_client *c, const struct acme_request *req,
    acme_reply_fn *done, void *arg);
/* Once a request was answered: the account's URL, and whether the CA has that
 * resource (RFC 9773 for instance). */
const char *acme_client_account(const struct acme_client *c);
bool acme_client_has(const struct acme_client *c, const char *resource);
/* Its URL there; NULL: it has none. */
const char *acme_client_resource(struct acme_client *c, const char *resource);
/* The directory as it came, and asks for it anew next time. */
const struct cJSON *acme_client_directory(const struct acme_client *c);
void acme_client_forget_directory(struct acme_client *c);
/* The CA was told of that challenge; and how long ago this worker did so,
 * INT64_MAX: not that it knows. */
void acme_client_note_told(struct acme_client *c, const char *url);
int64_t acme_client_told_ms(const struct acme_client *c, const char *url);

#endif
