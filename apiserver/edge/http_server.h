/*
 * http_server: the listening socket, and the limits that hold for all its
 * connections together.
 *
 * HTTP/1.1 over TLS.  Beyond a number of connections, in all or from one
 * address, a client is told 503; far beyond it is not served at all.  Event
 * loop only.
 */
#ifndef APISERVER_EDGE_HTTP_SERVER_H
#define APISERVER_EDGE_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct api;
struct peer_nets;
struct tls;
struct http_server; /* defined in http_server.c */

struct http_server_opts {
	const char *host; /* an address, or a name that stands for one */
	int port;
	size_t max_conns;
	size_t max_per_address;
	size_t max_body_memory;
	int64_t head_ms; /* for a handshake, and for a head */
	int64_t body_ms;
	/* Proxies whose X-Forwarded-For is believed; outlives the server. */
	const struct peer_nets *trusted_proxies;
};

/* Whether host and port could be listened on but for others who have the port;
 * RC_INVALID or RC_IO after a log line.  Blocks while a name is looked up. */
rc http_server_check_address(const char *host, int port) MUST_CHECK;
/* Listens.  RC_INVALID or RC_IO after a log line.  tls outlives *out. */
rc http_server_new(struct api *api, struct tls *tls,
    const struct http_server_opts *opts, struct http_server **out) MUST_CHECK;
/* Ends all connections; the requests among them are aborted. */
void http_server_free(struct http_server *s);
/* Takes no more connections and finishes what runs, at most for patience_ms;
 * then drained is called, once. */
void http_server_stop(struct http_server *s, int64_t patience_ms,
    loop_fn *drained, void *arg);

#endif
