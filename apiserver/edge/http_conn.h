/*
 * http_conn: HTTP/1.1 over TLS: bytes in, requests out, replies back.
 *
 * The only file that includes <event2/http.h>.  A request whose client goes
 * away loses its connection (request.conn) and its op is aborted; what it
 * still answers goes nowhere.  Event loop only.
 */
#ifndef APISERVER_EDGE_HTTP_CONN_H
#define APISERVER_EDGE_HTTP_CONN_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct api;
struct request;
struct tls;
struct http_server; /* defined in http_conn.c */

struct http_server_opts {
	const char *host; /* an address, or a name that stands for one */
	int port;
	size_t max_conns;
	size_t max_body;
};

/* Listens.  RC_INVALID or RC_IO after a log line.  tls outlives *out. */
rc http_server_new(struct api *api, struct tls *tls,
    const struct http_server_opts *opts, struct http_server **out) MUST_CHECK;
/* Ends all connections; the requests among them are aborted. */
void http_server_free(struct http_server *s);
/* Takes no more connections and finishes what runs, at most for patience_ms;
 * then drained is called, once. */
void http_server_stop(struct http_server *s, int64_t patience_ms,
    loop_fn *drained, void *arg);

/* Sends what stands in r, if its client is still there, and frees r. */
void http_conn_reply(struct request *r);

#endif
