/*
 * http_out: HTTPS requests from the loop; the only file that joins curl's
 * multi interface to libevent.
 *
 * TLS 1.3, certificate verification on unless told otherwise, no redirects,
 * answers capped.  Connections are kept and reused.
 */
#ifndef COMMON_HTTP_HTTP_OUT_H
#define COMMON_HTTP_HTTP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct http_out;  /* defined in http_out.c */
struct http_call; /* one request under way */

struct http_out_opts {
	const char *ca_file; /* NULL: the system's roots */
	bool insecure;       /* skip verification; warned by the caller */
	const char *user_agent;
};

struct http_request {
	const char *method; /* "GET", "POST", "DELETE" */
	const char *url;
	const char *bearer; /* NULL: no Authorization header */
	const char *body;   /* NULL: none; sent as application/json */
	int64_t timeout_ms;
	size_t max_reply; /* bytes; past it the call fails */
};

/*
 * Called once.  code RC_OK: an answer arrived, whatever its status;
 * otherwise error says what failed, for people.  body is NUL-terminated and
 * valid during the call.
 */
typedef void http_done_fn(void *arg, rc code, int status, const char *body,
    size_t len, const char *error);

/* RC_INVALID: ca_file cannot be read or holds no PEM certificate; RC_INTERNAL.
 */
rc http_out_new(struct loop *l, const struct http_out_opts *opts,
    struct http_out **out) MUST_CHECK;
/* Cancels what is under way; not from a callback. */
void http_out_free(struct http_out *h);
/* RC_INVALID: not https://, no sensible method, time limit or cap, or a line
 * break in bearer; RC_INTERNAL.  done is then not called. */
rc http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out) MUST_CHECK;
/* Forgets the callback and drops the connection.  From its own callback it
 * does nothing; after that the call is gone. */
void http_call_cancel(struct http_call *c);

#endif
