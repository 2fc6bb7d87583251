/*
 * http_conn: one connection's HTTP/1.1: bytes in, requests out, replies back.
 *
 * One request at a time; what a client sends ahead stays in the buffer, up to
 * a cap.  A head is read whole and decides: what it says wrongly is answered
 * and the connection ends, and a body is read only when the gate asks for it.
 * A request whose client goes away loses its connection (request.conn) and
 * its op is aborted; what it still answers goes nowhere.  Event loop only.
 */
#ifndef APISERVER_EDGE_HTTP_CONN_H
#define APISERVER_EDGE_HTTP_CONN_H

#include "apiserver/edge/bodymem.h"
#include "apiserver/edge/conn.h"
#include "apiserver/edge/peer.h"

struct api;

/* What the connections of a server share. */
struct http_shared {
	struct api *api;
	struct bodymem *mem;
	const struct peer_nets *trusted;
	bool is_stopping; /* each reply is its connection's last */
};

/* Of conn_ops; all but on_gone, which the server wraps. */
void http_conn_input(struct conn *c);
void http_conn_output(struct conn *c);
void http_conn_late(struct conn *c);
/* The client is gone. */
void http_conn_gone(struct conn *c);

#endif
