/*
 * http_reply: an answer as bytes: status line, headers, body or pieces of it.
 *
 * Sends it, or writes into a connection's output, and does nothing else with
 * either.  Each answer carries the request's id, the security headers, and
 * "Cache-Control: no-store" unless the handler said otherwise.
 */
#ifndef APISERVER_EDGE_HTTP_REPLY_H
#define APISERVER_EDGE_HTTP_REPLY_H

#include <stdbool.h>

struct conn;
struct evbuffer;
struct request;

/* The whole answer that stands in r.  true: it left; false: it, or the rest of
 * it, waits in the output, and conn_ops.on_output tells when that went. */
bool http_reply_whole(struct conn *c, struct request *r);
/* What stands in r->reply as a piece; the head before the first one. */
void http_reply_piece(struct evbuffer *out, struct request *r);
/* The end of an answer in pieces, with what stands in r->reply. */
void http_reply_end(struct evbuffer *out, struct request *r);

#endif
