/*
 * http_int: what http_out.c, http_set.c and mail_out.c share; nobody else
 * includes it.
 */
#ifndef COMMON_HTTP_HTTP_INT_H
#define COMMON_HTTP_HTTP_INT_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "common/base/buf.h"
#include "common/base/secret.h"
#include "common/http/http_out.h"

struct watch;

struct http_call {
	struct http_out *owner;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char *body;
	size_t body_len, body_read; /* read: of a message to a mail server */
	bool is_mail;
	const char *refused; /* what the address was that it may not go to */
	struct buf reply;
	size_t header_bytes; /* of the answer */
	size_t max_reply;
	bool is_too_large;
	bool is_finishing; /* its done callback is running */
	http_done_fn *done;
	void *arg;
	char error[CURL_ERROR_SIZE];
	struct http_call *prev, *next;
};

struct http_out {
	struct loop *loop;
	CURLM *multi;
	struct timer *timer;
	struct watch *idle;
	struct http_call *calls;
	char *ca_file;
	char *ca_pem;
	char *cert_pem;         /* ours, as a client, or NULL */
	struct secret *key_pem; /* its key */
	enum http_tls least_tls;
	char *user_agent;
	bool is_insecure, is_plain_allowed, keeps_none;
	bool is_guarded;
	struct outbound outbound;
};

/* How a call becomes what it is. */
struct http_begin {
	CURLcode (*set)(struct http_call *c, const void *req);
	const void *req;
	size_t max_reply;
};

/* --- http_out.c --- */

/* A call that set makes of its request. */
rc http_call_begin(struct http_out *h, const struct http_begin *b,
    http_done_fn *done, void *arg, struct http_call **out) MUST_CHECK;

/* --- http_set.c --- */

/* Whether a request keeps to what http_out_start asks of it. */
bool http_set_is_valid(const struct http_out *h,
    const struct http_request *req) MUST_CHECK;
/* Headers, body, TLS and limits of a call whose easy handle is made; req is a
 * struct http_request. */
CURLcode http_set_all(struct http_call *c, const void *req);
/* Of any call: TLS, and where it may go. */
CURLcode http_set_policy(struct http_call *c);
CURLcode http_set_limits(struct http_call *c, int64_t timeout_ms);

#endif
