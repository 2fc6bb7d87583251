/*
 * conn: one client's connection: its TLS session, what it is doing and until
 * when.
 *
 * Knows nothing of HTTP: what comes in and when output went out is told to
 * conn_ops.  Each state has a deadline of its own that no trickle of bytes
 * moves.  A conn is freed on the turn after it was told to go, never inside a
 * callback.  Event loop only.
 */
#ifndef APISERVER_EDGE_CONN_H
#define APISERVER_EDGE_CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "apiserver/edge/http1.h"
#include "apiserver/edge/peer.h"
#include "common/loop/loop.h"

struct bufferevent;
struct evbuffer;
struct http_shared;
struct request;
struct conn_set; /* defined in conn.c */

enum conn_state {
	CONN_NEW,       /* accepted; handshake and first byte are to come */
	CONN_IDLE,      /* between requests */
	CONN_HEAD,      /* a request line and headers are coming in */
	CONN_BODY,      /* a body is coming in that was asked for */
	CONN_RUNNING,   /* the request is ours; it has its own deadline */
	CONN_HALF,      /* so it is, and the client said its last */
	CONN_WRITING,   /* a reply, or a piece of one, is going out */
	CONN_LINGERING, /* said goodbye; what still comes is thrown away */
	CONN_DYING,     /* told to go */
	CONN_STATES
};

struct conn {
	TAILQ_ENTRY(conn) entry;
	struct conn_set *set;
	struct bufferevent *bev;
	enum conn_state state;
	int64_t due_ms;
	struct peer_addr addr; /* of the socket */
	bool is_surplus;       /* over a cap: every request is answered 503 */
	bool is_half; /* the client sends no more; what it asked is answered */
	unsigned looks; /* since then, whether it closed its socket */
	/* http_conn's */
	struct http_shared *server;
	struct http1_scan scan;  /* of the head that is coming in */
	struct request *request; /* NULL unless one is running */
	bool must_close;         /* after what is being written */
};

struct conn_ops {
	/* There are bytes to read. */
	void (*on_input)(struct conn *c);
	/* Output went out, down to the low mark or further. */
	void (*on_output)(struct conn *c);
	/* A head or a body took too long; conn_kill unless there is more to
	 * say. */
	void (*on_late)(struct conn *c);
	/* It ends, for whatever reason; once. */
	void (*on_gone)(struct conn *c);
};

struct conn_limits {
	size_t max_input; /* bytes read ahead of what was understood */
	size_t low_output;
	int64_t new_ms; /* handshake */
	int64_t idle_ms;
	int64_t head_ms;
	int64_t body_ms;
	int64_t write_ms;
	int64_t linger_ms;
};

struct conn_set *conn_set_new(struct loop *l, const struct conn_limits *limits,
    const struct conn_ops *ops);
/* The last conn takes it along.  All must have been told to go. */
void conn_set_free(struct conn_set *s);
/* Those that are not dying. */
size_t conn_set_count(const struct conn_set *s);
/* Ends what waits for a client and does nothing else. */
void conn_set_end_idle(struct conn_set *s);
/* Ends all. */
void conn_set_end_all(struct conn_set *s);

/* For an accepted socket; owns fd and ssl.  Never NULL. */
struct conn *conn_new(struct conn_set *s, SSL *ssl, int fd,
    const struct peer_addr *addr);
/* Sets the state and its deadline.  What is running of a client that ended its
 * side is CONN_HALF. */
void conn_move(struct conn *c, enum conn_state to);
struct evbuffer *conn_input(const struct conn *c);
struct evbuffer *conn_output(const struct conn *c);
/*
 * Sends texts as if they were one, if nothing waits before them, and gives back
 * how many of their bytes left.  The caller puts the rest into the output, and
 * pushes; it is right to put it there in any case of 0.
 */
size_t conn_send(struct conn *c, const struct iovec *texts, size_t ntexts);
/* What stands in the output leaves in this turn. */
void conn_push(struct conn *c);
/* Tells conn_ops.on_output in the next turn, as if output had gone out. */
void conn_sent(struct conn *c);
/* Ends our side once all is out, and the whole when the client has had the
 * time to read it: closing at once with bytes unread would reset the
 * connection and take the reply away. */
void conn_linger(struct conn *c);
/* Ends the connection. */
void conn_kill(struct conn *c);

#endif
