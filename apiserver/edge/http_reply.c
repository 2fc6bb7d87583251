#include "apiserver/edge/http_reply.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "apiserver/edge/conn.h"
#include "apiserver/edge/reason.h"
#include "apiserver/edge/request_io.h"
#include "common/base/blob.h"
#include "common/base/enc.h"
#include "common/log/log.h"

enum {
	/* Up to this much body is copied behind its head, so that both are
	 * one piece and one TLS record; a larger one is handed over. */
	COPY_MAX = 16 * 1024,
};

#define SECURITY_HEADERS \
	"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n" \
	"X-Frame-Options: DENY\r\n" \
	"X-Content-Type-Options: nosniff\r\n" \
	"Referrer-Policy: no-referrer-when-downgrade\r\n" \
	"Content-Security-Policy: default-src 'self'; img-src 'self' data:; " \
	"style-src 'self' 'unsafe-inline'; script-src 'self'; " \
	"connect-src 'self'; frame-ancestors 'none'\r\n" \
	"Permissions-Policy: accelerometer=(), camera=(), geolocation=(), " \
	"microphone=(), payment=(), usb=(), interest-cohort=()\r\n"

/* Once a second, not once a request. */
static const char *
date_text(void)
{
	static char text[64];
	static time_t made;
	time_t now = time(NULL);

	if (now != made) {
		(void)evutil_date_rfc1123(text, sizeof(text), NULL);
		made = now;
	}
	return text;
}

static void
put_header(struct buf *b, const char *name, const char *value)
{
	buf_puts(b, name);
	buf_puts(b, ": ");
	buf_puts(b, value);
	buf_puts(b, "\r\n");
}

static void
put_status(struct buf *b, int status)
{
	char digits[24];

	buf_puts(b, "HTTP/1.1 ");
	buf_puts(b, enc_put_u64((uint64_t)status, digits));
	buf_puts(b, " ");
	buf_puts(b, reason_of(status));
	buf_puts(b, "\r\n");
}

/* Whether such an answer has a body, and so a length (RFC 9110 6.4.1). */
static bool
has_body(int status)
{
	return status != 204 && status != 304;
}

/* length: NULL when the framing says where the body ends. */
static void
put_head(struct buf *b, const struct request *r, const char *framing,
    const char *value)
{
	/* What a 304 says of caching would count for the stored answer. */
	bool is_cacheable = r->status == 304;

	put_status(b, r->status);
	put_header(b, "Date", date_text());
	if (r->content_type)
		put_header(b, "Content-Type", r->content_type);
	if (framing)
		put_header(b, framing, value);
	for (size_t i = 0; i < r->nheaders; i++) {
		put_header(b, r->headers[i].name, r->headers[i].value);
		if (strcasecmp(r->headers[i].name, "Cache-Control") == 0)
			is_cacheable = true;
	}
	if (!is_cacheable)
		put_header(b, "Cache-Control", "no-store");
	if (r->must_close)
		put_header(b, "Connection", "close");
	put_header(b, "X-Request-ID", r->id);
	buf_puts(b, SECURITY_HEADERS "\r\n");
}

static void
free_data(const void *data, size_t len, void *arg)
{
	free(arg);
}

static void
let_go(const void *data, size_t len, void *blob)
{
	blob_let_go(blob);
}

/* Appends the reply's body from there on, handing it over when it is long. */
static void
put_body(struct evbuffer *out, struct request *r, size_t from)
{
	size_t len;
	const char *body = request_reply(r, &len) + from;
	int failed;

	len -= from;
	if (len <= COPY_MAX) {
		failed = evbuffer_add(out, body, len);
	} else if (r->shared) {
		failed = evbuffer_add_reference(out, body, len, let_go,
		    blob_hold(r->shared));
	} else {
		failed = evbuffer_add_reference(out, body, len, free_data,
		    r->reply.data);
		buf_init(&r->reply, r->reply.max);
	}
	if (failed)
		log_fatal("HTTP-MEMORY", "out of memory");
}

static bool
is_head(const struct request *r)
{
	return strcmp(r->head.method, "HEAD") == 0;
}

/* The head of an answer, made in the same memory each time. */
static struct buf *
scratch(void)
{
	static struct buf b;

	buf_reset(&b);
	return &b;
}

bool
http_reply_whole(struct conn *c, struct request *r)
{
	struct evbuffer *out = conn_output(c);
	struct buf *b = scratch();
	struct iovec texts[2];
	char digits[24];
	size_t len, sent;
	const char *body = request_reply(r, &len);

	put_head(b, r, has_body(r->status) ? "Content-Length" : NULL,
	    enc_put_u64(len, digits));
	if (!has_body(r->status) || is_head(r))
		len = 0;
	texts[0] = (struct iovec){b->data, b->len};
	texts[1] = (struct iovec){(void *)(uintptr_t)body, len};
	sent = conn_send(c, texts, len > 0 ? 2 : 1);
	if (sent == b->len + len)
		return true;
	if (sent < b->len &&
	    evbuffer_add(out, b->data + sent, b->len - sent) != 0)
		log_fatal("HTTP-MEMORY", "out of memory");
	if (len > 0)
		put_body(out, r, sent > b->len ? sent - b->len : 0);
	conn_push(c);
	return false;
}

/* What is written next is written to the same memory. */
static void
put_text(struct evbuffer *out, struct request *r)
{
	put_body(out, r, 0);
	buf_reset(&r->reply);
}

static void
put_piece(struct evbuffer *out, struct request *r)
{
	if (r->reply.len == 0 || is_head(r))
		return; /* an empty piece would be the last */
	if (r->head.is_1_0) {
		put_text(out, r);
		return;
	}
	(void)evbuffer_add_printf(out, "%zx\r\n", r->reply.len);
	put_text(out, r);
	(void)evbuffer_add(out, "\r\n", 2);
}

void
http_reply_piece(struct evbuffer *out, struct request *r)
{
	struct buf *b = scratch();

	if (!r->is_pieces) {
		/* An answer to HTTP/1.0 ends with its connection. */
		put_head(b, r, r->head.is_1_0 ? NULL : "Transfer-Encoding",
		    "chunked");
		if (evbuffer_add(out, b->data, b->len) != 0)
			log_fatal("HTTP-MEMORY", "out of memory");
	}
	put_piece(out, r);
}

void
http_reply_end(struct evbuffer *out, struct request *r)
{
	put_piece(out, r);
	if (!r->head.is_1_0 && !is_head(r))
		(void)evbuffer_add(out, "0\r\n\r\n", 5);
}
