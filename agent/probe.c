#include "agent/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/base/arena.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/pki/cert/cert.h"

struct probe {
	struct loop *loop;
	SSL_CTX *ctx;
	struct bufferevent *bev;
	struct evdns_base *dns;
	struct timer *deadline;
	probe_done_fn *done;
	void *arg;
	struct probe_result result;
};

static void
probe_free(void *arg)
{
	struct probe *p = arg;

	timer_free(p->deadline);
	if (p->bev)
		bufferevent_free(p->bev);
	if (p->dns)
		evdns_base_free(p->dns, 0);
	SSL_CTX_free(p->ctx);
	free(p);
}

static void
probe_end(struct probe *p, rc code, const char *error)
{
	probe_done_fn *done = p->done;

	if (!done)
		return;
	p->done = NULL;
	timer_disarm(p->deadline);
	bufferevent_disable(p->bev, EV_READ | EV_WRITE);
	bufferevent_setcb(p->bev, NULL, NULL, NULL, NULL);
	snprintf(p->result.error, sizeof(p->result.error), "%s", error);
	done(p->arg, code, &p->result);
	loop_defer(p->loop, probe_free, p); /* never inside its callback */
}

/* Told beside what identifies it, so that an odd one is told all the same. */
static void
read_rest(X509 *leaf, struct probe_result *r)
{
	struct arena *a = arena_new();
	struct cert_info info;

	if (cert_read(a, leaf, &info) == RC_OK) {
		snprintf(r->issuer, sizeof(r->issuer), "%s", info.issuer_dn);
		r->not_after_unix = info.not_after_unix;
	}
	arena_free(a);
}

static void
probe_read_leaf(struct probe *p)
{
	SSL *ssl = bufferevent_openssl_get_ssl(p->bev);
	X509 *leaf = SSL_get1_peer_certificate(ssl);
	unsigned char *der = NULL;
	int len;
	rc ret;

	if (!leaf) {
		probe_end(p, RC_IO, "the server showed no certificate");
		return;
	}
	len = i2d_X509(leaf, &der);
	ret = cert_serial_hex(X509_get0_serialNumber(leaf), p->result.serial);
	read_rest(leaf, &p->result);
	X509_free(leaf);
	if (len <= 0 || ret != RC_OK) {
		OPENSSL_free(der);
		probe_end(p, RC_IO, "the served certificate is not readable");
		return;
	}
	enc_sha256_hex(der, (size_t)len, p->result.fingerprint);
	OPENSSL_free(der);
	probe_end(p, RC_OK, "");
}

static void
probe_on_event(struct bufferevent *bev, short what, void *arg)
{
	struct probe *p = arg;
	int socket_error, dns_error;
	unsigned long e;
	char text[120];

	if (what & BEV_EVENT_CONNECTED) {
		probe_read_leaf(p);
		return;
	}
	socket_error = EVUTIL_SOCKET_ERROR(); /* before it is written over */
	dns_error = bufferevent_socket_get_dns_error(bev);
	e = bufferevent_get_openssl_error(bev);
	/* Library 0: what libevent says when the socket itself failed. */
	if (ERR_GET_LIB(e) != 0)
		ERR_error_string_n(e, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%s",
		    dns_error      ? evutil_gai_strerror(dns_error)
		    : socket_error ? evutil_socket_error_to_string(socket_error)
				   : "the connection was closed");
	probe_end(p, RC_IO, text);
}

static void
probe_on_deadline(void *arg)
{
	probe_end(arg, RC_TIMEOUT, "no handshake within the time limit");
}

/* Addresses need no resolver; names do. */
static rc
probe_connect(struct probe *p, const char *host, int port)
{
	struct event_base *base = loop_base(p->loop);
	struct sockaddr_storage address;
	int len = (int)sizeof(address);
	char text[300];
	int n;

	n = snprintf(text, sizeof(text),
	    strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
	if (n < 0 || (size_t)n >= sizeof(text))
		return RC_INVALID;
	if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address,
		&len) == 0)
		n = bufferevent_socket_connect(p->bev,
		    (struct sockaddr *)&address, len);
	else {
		p->dns =
		    evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
					     EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		if (!p->dns)
			return RC_IO;
		n = bufferevent_socket_connect_hostname(p->bev, p->dns,
		    AF_UNSPEC, host, port);
	}
	return n == 0 ? RC_OK : RC_IO;
}

rc
probe_start(struct loop *l, const char *host, int port, const char *server_name,
    int64_t timeout_ms, probe_done_fn *done, void *arg, struct probe **out)
{
	struct probe *p = mem_zalloc(sizeof(*p));
	SSL *ssl;
	rc ret;

	p->loop = l;
	p->ctx = SSL_CTX_new(TLS_client_method());
	if (!p->ctx) {
		free(p);
		return RC_CRYPTO;
	}
	/* What is served is compared by fingerprint, not judged. */
	SSL_CTX_set_verify(p->ctx, SSL_VERIFY_NONE, NULL);
	ssl = SSL_new(p->ctx);
	if (!ssl) {
		SSL_CTX_free(p->ctx);
		free(p);
		return RC_CRYPTO;
	}
	if (server_name)
		(void)SSL_set_tlsext_host_name(ssl, server_name);
	p->bev = bufferevent_openssl_socket_new(loop_base(l), -1, ssl,
	    BUFFEREVENT_SSL_CONNECTING,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!p->bev) {
		SSL_free(ssl);
		SSL_CTX_free(p->ctx);
		free(p);
		return RC_IO;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(p->bev, 1);
	bufferevent_setcb(p->bev, NULL, NULL, probe_on_event, p);
	p->deadline = timer_new(l, probe_on_deadline, p);
	ret = probe_connect(p, host, port);
	if (ret != RC_OK) {
		probe_free(p);
		return ret;
	}
	p->done = done;
	p->arg = arg;
	timer_arm(p->deadline, timeout_ms);
	*out = p;
	return RC_OK;
}

void
probe_cancel(struct probe *p)
{
	if (!p->done)
		return;
	p->done = NULL;
	bufferevent_setcb(p->bev, NULL, NULL, NULL, NULL);
	loop_defer(p->loop, probe_free, p);
}
