/*
 * bare_evhttp: the floor an HTTP benchmark is measured against: evhttp over
 * TLS 1.3 that answers every request with the same few bytes, with the same
 * socket settings as the apiserver and nothing else.
 *
 * usage: bare_evhttp PORT CERT KEY
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>

#include "common/base/enc.h"

static struct bufferevent *
make_bev(struct event_base *base, void *arg)
{
	return bufferevent_openssl_socket_new(base, -1, SSL_new(arg),
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void
answer(struct evhttp_request *req, void *arg)
{
	static const char body[] = "{\"status\":\"healthy\"}\n";
	struct evhttp_connection *c = evhttp_request_get_connection(req);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(c);

	evbuffer_add_reference(evhttp_request_get_output_buffer(req), body,
	    sizeof(body) - 1, NULL, NULL);
	evhttp_add_header(evhttp_request_get_output_headers(req),
	    "Content-Type", "application/json");
	evhttp_send_reply(req, 200, "OK", NULL);
	/* Header and body in one TLS record, as the apiserver does. */
	evbuffer_pullup(bufferevent_get_output(bev), -1);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	struct event_config *config = event_config_new();
	struct evconnlistener *listener;
	struct event_base *base;
	struct evhttp *http;
	int64_t port;
	SSL_CTX *ctx;
	int on = 1;

	if (argc != 4 || enc_parse_i64(argv[1], 1, 65535, &port) != RC_OK) {
		fprintf(stderr, "usage: bare_evhttp PORT CERT KEY\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	http = evhttp_new(base);
	ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	if (SSL_CTX_use_certificate_chain_file(ctx, argv[2]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, argv[3], SSL_FILETYPE_PEM) != 1)
		return 1;
	evhttp_set_bevcb(http, make_bev, ctx);
	evhttp_set_gencb(http, answer, NULL);
	at.sin_port = htons((uint16_t)port);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = evconnlistener_new_bind(base, NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1,
	    (struct sockaddr *)&at, sizeof(at));
	if (!listener)
		return 1;
	(void)setsockopt(evconnlistener_get_fd(listener), IPPROTO_TCP,
	    TCP_NODELAY, &on, sizeof(on)); /* a slower floor at worst */
	evhttp_bind_listener(http, listener);
	return event_base_dispatch(base);
}
