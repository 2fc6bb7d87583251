/*
 * conn_send: an answer straight to the TLS session, past the output of
 * libevent, which would copy it, ask epoll and tell us in another turn.
 */
#include <stdbool.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>

#include "apiserver/edge/conn.h"
#include "apiserver/edge/sockbio.h"

enum { RECORD_MAX = 16 * 1024 }; /* RFC 8446 section 5.1 */

/* What has not gone yet of some texts. */
struct rest {
	const struct iovec *text;
	size_t at; /* in the first */
	size_t left;
};

static void
go_on(struct rest *r, size_t n)
{
	r->left -= n;
	while (n > 0 && n >= r->text->iov_len - r->at) {
		n -= r->text->iov_len - r->at;
		r->at = 0;
		r->text++;
	}
	r->at += n;
}

/* The next record's text, as full as can be; where it stands in pieces it is
 * put together. */
static const char *
next_record(const struct rest *r, size_t *out_len)
{
	static char record[RECORD_MAX];
	const struct iovec *text = r->text;
	size_t len = r->left < RECORD_MAX ? r->left : RECORD_MAX;
	size_t at = r->at, done = 0, n;

	*out_len = len;
	if (text->iov_len - at >= len)
		return (const char *)text->iov_base + at;
	for (; done < len; done += n, text++, at = 0) {
		n = text->iov_len - at;
		if (n > len - done)
			n = len - done;
		memcpy(record + done, (const char *)text->iov_base + at, n);
	}
	return record;
}

/* What waits in the output comes first. */
static bool
may_go_at_once(const struct conn *c, SSL *ssl)
{
	return !c->is_half && c->state != CONN_DYING &&
	       evbuffer_get_length(conn_output(c)) == 0 &&
	       SSL_is_init_finished(ssl);
}

size_t
conn_send(struct conn *c, const struct iovec *texts, size_t ntexts)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
	struct rest r = {.text = texts};
	size_t all = 0, len;
	const char *record;
	int put = 1;

	for (size_t i = 0; i < ntexts; i++)
		all += texts[i].iov_len;
	if (!may_go_at_once(c, ssl))
		return 0;
	if (ERR_peek_error() != 0) /* SSL_write would take it for its own */
		ERR_clear_error();
	r.left = all;
	while (r.left > 0 && put > 0) {
		record = next_record(&r, &len);
		sockbio_set_more(SSL_get_wbio(ssl), r.left > len);
		put = SSL_write(ssl, record, (int)len);
		if (put > 0)
			go_on(&r, len);
	}
	sockbio_set_more(SSL_get_wbio(ssl), false);
	/* Whether it has to wait or has failed libevent finds out, too. */
	if (put <= 0)
		ERR_clear_error();
	return all - r.left;
}
