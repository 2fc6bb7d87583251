/*
 * conn: one client's connection: what it is doing and until when.
 *
 * evhttp has one inactivity time-out, which a client resets with every byte;
 * here each state has a deadline of its own.  A conn is made with its TLS
 * session and ends with it, whoever frees that, so it can never outlive or
 * miss its connection.  Event loop only.
 */
#ifndef APISERVER_EDGE_CONN_H
#define APISERVER_EDGE_CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/loop/loop.h"

struct bufferevent;
struct evhttp_request;
struct http_server;
struct request;
struct conn_set; /* defined in conn.c */

enum conn_state {
	CONN_NEW,     /* accepted; handshake and first byte are to come */
	CONN_IDLE,    /* between requests */
	CONN_HEAD,    /* a request line and headers are coming in */
	CONN_BODY,    /* their end was seen, the body is coming in */
	CONN_RUNNING, /* the request is ours; it has its own deadline */
	CONN_WRITING, /* the reply is going out */
	CONN_DYING,   /* told to go */
	CONN_STATES
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	struct conn_set *set;
	struct bufferevent *bev;
	enum conn_state state;
	int64_t due_ms;
	int line_end;    /* how far a blank line has been seen */
	bool is_surplus; /* over the cap: every request is answered 503 */
	/* http_conn's, both NULL unless a request is running */
	struct request *request;
	struct evhttp_request *wire;
	bool is_hooked; /* its close callback is set */
	struct http_server *server;
};

struct conn_limits {
	size_t max_conns; /* beyond it conns are surplus */
	size_t max_input; /* bytes read ahead of what was understood */
	int64_t new_ms;   /* handshake */
	int64_t idle_ms;
	int64_t head_ms;
	int64_t body_ms;
	int64_t write_ms;
};

/* on_gone is called whenever a conn ended. */
struct conn_set *conn_set_new(struct loop *l, const struct conn_limits *limits,
    loop_fn *on_gone, void *arg);
/* The last conn takes it along; on_gone is not called any more. */
void conn_set_free(struct conn_set *s);
size_t conn_set_count(const struct conn_set *s);
size_t conn_set_in(const struct conn_set *s, enum conn_state state);
/* Ends what waits for a client and does nothing else. */
void conn_set_end_idle(struct conn_set *s);
/* Ends all. */
void conn_set_end_all(struct conn_set *s);

/* A bufferevent for a connection yet to be accepted; owns ssl.  Never NULL.
 */
struct bufferevent *conn_new(struct conn_set *s, SSL *ssl);
struct conn *conn_of(struct bufferevent *bev);
/* Sets the state and its deadline. */
void conn_move(struct conn *c, enum conn_state to);
/* The reply is out: on to what the client may have sent meanwhile. */
void conn_next(struct conn *c);
/* Ends the connection as if it had timed out. */
void conn_kill(struct conn *c);

#endif
