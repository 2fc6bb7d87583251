/*
 * http_out: HTTPS requests from the loop; the only file that joins curl's
 * multi interface to libevent.
 *
 * For the agent's requests and for connectors to CAs outside.  TLS 1.3, or 1.2
 * with forward secrecy where a peer has no better, certificate verification on
 * unless told otherwise, client certificates, no redirects, no proxies, answers
 * capped.  Connections are kept and reused; one http_out for each set of
 * credentials.
 */
#ifndef COMMON_HTTP_HTTP_OUT_H
#define COMMON_HTTP_HTTP_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/base/secret.h"
#include "common/http/outbound.h"
#include "common/loop/loop.h"

struct http_out;  /* defined in http_out.c */
struct http_call; /* one request under way */

enum http_tls { HTTP_TLS_1_3, HTTP_TLS_1_2 };

struct http_out_opts { /* copied */
	/* The roots: one of these, or neither for the system's. */
	const char *ca_file;
	const char *ca_pem;
	/* Ours as a client, with its chain, and the key; both or neither. */
	const char *cert_pem;
	const struct secret *key_pem;
	enum http_tls least_tls;
	bool insecure;    /* skip verification; warned by the caller */
	bool allow_plain; /* http:// too, where the caller was told to */
	/* Each call has a connection of its own: on one that was kept curl
	 * sends a request twice by itself, when it ends without an answer. */
	bool keep_none;
	/* Connections that are kept, those that a call is on counted in; the
	 * one that was idle longest goes.  0: four times the calls at once. */
	size_t keep_most;
	/* Where its calls may go; NULL: anywhere. */
	const struct outbound *outbound;
	const char *user_agent;
};

#define HTTP_HEADERS_MAX 32

struct http_header {
	const char *name;
	const char *value; /* no control characters, 8 KiB at most */
};

struct http_request {       /* copied; texts may be secrets, and are wiped */
	const char *method; /* "GET", "POST", "DELETE" */
	const char *url;
	/* "192.0.2.1:80", "[2001:db8::1]:80": what is connected to instead of
	 * the URL's host and port, which are still asked for; NULL: they are.
	 */
	const char *connect_to;
	const char *bearer; /* NULL: no Authorization header */
	const void *body;   /* NULL: none; any bytes */
	size_t body_len;
	const char *content_type; /* of body; NULL: application/json */
	const char *accept;       /* NULL: application/json */
	/* Others, ended by one without a name; NULL: none.  Not those above,
	 * nor what frames the message. */
	const struct http_header *headers;
	int64_t timeout_ms;
	size_t max_reply; /* bytes; past it the call fails */
};

/*
 * Called once.  code RC_OK: an answer arrived, whatever its status, and
 * RC_TOO_LARGE: so it did, but for its end, and status is known; otherwise
 * error says what failed, for people; RC_FORBIDDEN: it leads to where calls may
 * not go.  body is NUL-terminated and valid during the call.
 */
typedef void http_done_fn(void *arg, rc code, int status, const char *body,
    size_t len, const char *error);

/* RC_INVALID: no PEM certificate among the roots, or certificate and key are
 * none or no pair; RC_INTERNAL. */
rc http_out_new(struct loop *l, const struct http_out_opts *opts,
    struct http_out **out) MUST_CHECK;
/* Cancels what is under way; not from a callback. */
void http_out_free(struct http_out *h);
/* RC_INVALID: not https://, no sensible method, time limit, cap or header;
 * RC_INTERNAL.  done is then not called. */
rc http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out) MUST_CHECK;
/* From within done: the answer's last header of that name, in any case, or
 * NULL. */
const char *http_call_header(const struct http_call *c, const char *name);
/* Likewise the i-th of that name; NULL: it has no more. */
const char *http_call_header_at(const struct http_call *c, const char *name,
    size_t i);
/* From within done: the seconds that the answer asks to wait (Retry-After, a
 * number or a date); 0: it does not say. */
int64_t http_call_retry_after(const struct http_call *c);
/* From within done: whether any of the request may have left. */
bool http_call_was_sent(const struct http_call *c);
/* Forgets the callback and drops the connection.  From its own callback it
 * does nothing; after that the call is gone. */
void http_call_cancel(struct http_call *c);

#endif
