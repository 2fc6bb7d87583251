/*
 * issuer_http: what connectors call a CA with: one client for all, whose
 * calls go where the operator's host allows.
 *
 * Who may write issuers by the API must not be able to send a secret anywhere:
 * a call goes to the CA's own addresses, or to those that the workers' host
 * names (CERTCTL_ISSUER_BASE_URLS).
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_ISSUER_HTTP_H
#define WORKER_ISSUERS_ISSUER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/cfg/cfg.h"
#include "common/http/http_out.h"
#include "common/json/json.h"
#include "common/loop/loop.h"
#include "worker/issuers/issuer.h"

/* Of one call.  A CA that says nothing for so long is asked again later. */
#define ISSUER_HTTP_MS 25000

/* RC_INVALID, and the log says which setting. */
rc issuer_http_new(struct loop *l, const struct cfg *cfg,
    struct http_out **out) MUST_CHECK;

/* Such a client for one issuer, whose calls are made with a certificate of ours
 * (PEM, with its chain).  RC_INVALID: it is none, or the key is another's. */
rc issuer_http_new_as(struct loop *l, const struct cfg *cfg,
    const char *cert_pem, const struct secret *key_pem,
    struct http_out **out) MUST_CHECK;

/* Likewise with roots of its own, or none: of what it has (the pair, the roots,
 * insecure), all else is the workers'. */
rc issuer_http_new_with(struct loop *l, const struct cfg *cfg,
    const struct http_out_opts *own, struct http_out **out) MUST_CHECK;

/* Whether calls may go to this base URL: one of the CA's own, NULL-terminated
 * without a "/" at the end (it may have none), or one of the host's.  NULL when
 * they may, else why not, for people, in the arena.  name: the key's that holds
 * it. */
const char *issuer_http_refuse_url(const struct issuer_env *env,
    struct arena *a, const char *const *own, const char *name, const char *url);

/* Whether that is so, for who says it in other words. */
bool issuer_http_allows_url(const struct issuer_env *env,
    const char *const *own, const char *url);

/* How a call ended. */
struct issuer_reply {
	rc code;          /* RC_OK: an answer came */
	int status;       /* of the answer */
	const char *text; /* len bytes and a NUL, foreign */
	size_t len;
	const struct cJSON *json; /* of the text; NULL: it is none */
	const char *location;     /* the header; "" for none */
	int64_t retry_after_s;    /* 0: it does not say */
	bool was_sent;            /* the CA may have got it */
	/* For people: the CA's own words where it said any. */
	const char *words;
	const struct http_call *call; /* for its headers, while done runs */
};

struct issuer_call; /* defined in issuer_http.c */
typedef void issuer_reply_fn(void *arg, const struct issuer_reply *reply);

/* The reply lives in the arena, and the call ends with it.  RC_INVALID,
 * RC_INTERNAL: nothing has left, and done is not called. */
rc issuer_http_start(const struct issuer_env *env, struct arena *a,
    const struct http_request *req, issuer_reply_fn *done,
    void *arg) MUST_CHECK;

/*
 * What an answer other than the one hoped for means.
 *
 * Of an order that was to be placed: REFUSED (4xx), RETRY where it is surely
 * not the order's fault (nothing was sent, 401, 403, 429), else UNSURE. Of a
 * question about an order: NO_ORDER (404, 410), else RETRY.
 */
enum issuer_verdict issuer_http_judge_order(const struct issuer_reply *r);
enum issuer_verdict issuer_http_judge_question(const struct issuer_reply *r);

#endif
