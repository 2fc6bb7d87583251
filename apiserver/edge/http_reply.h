/*
 * http_reply: an answer as bytes: status line, headers, body or pieces of it.
 *
 * Writes into a connection's output and does nothing else with it.  Each
 * answer carries the request's id, the security headers, and "Cache-Control:
 * no-store" unless the handler said otherwise.
 */
#ifndef APISERVER_EDGE_HTTP_REPLY_H
#define APISERVER_EDGE_HTTP_REPLY_H

struct evbuffer;
struct request;

/* The whole answer that stands in r. */
void http_reply_whole(struct evbuffer *out, struct request *r);
/* What stands in r->reply as a piece; the head before the first one. */
void http_reply_piece(struct evbuffer *out, struct request *r);
/* The end of an answer in pieces, with what stands in r->reply. */
void http_reply_end(struct evbuffer *out, struct request *r);

#endif
