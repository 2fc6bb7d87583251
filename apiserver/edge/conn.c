#include "apiserver/edge/conn.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/bufferevent_struct.h>
#include <event2/event.h>
#include <openssl/err.h>

#include "apiserver/edge/sockbio.h"
#include "common/base/mem.h"
#include "common/log/log.h"

enum {
	SWEEP_MS = 250,
	/* So much output is made one piece, so that it is one TLS record; a
	 * record that conn_send began is a piece of it. */
	ONE_RECORD = 16 * 1024,
};

TAILQ_HEAD(conn_list, conn);

struct conn_set {
	struct loop *loop;
	struct conn_limits limits;
	const struct conn_ops *ops;
	struct timer *sweep;
	bool is_closing;
	size_t n; /* the dying among them */
	size_t ndying;
	/* All of one state have the same patience, so the first of a list is
	 * the first that is due. */
	struct conn_list lists[CONN_STATES];
};

static void on_sweep(void *arg);

struct conn_set *
conn_set_new(struct loop *l, const struct conn_limits *limits,
    const struct conn_ops *ops)
{
	struct conn_set *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	s->limits = *limits;
	s->ops = ops;
	for (int i = 0; i < CONN_STATES; i++)
		TAILQ_INIT(&s->lists[i]);
	s->sweep = timer_new(l, on_sweep, s);
	timer_arm(s->sweep, SWEEP_MS);
	return s;
}

void
conn_set_free(struct conn_set *s)
{
	if (!s)
		return;
	timer_free(s->sweep);
	s->sweep = NULL;
	s->is_closing = true;
	if (s->n == 0)
		free(s);
}

size_t
conn_set_count(const struct conn_set *s)
{
	return s->n - s->ndying;
}

/* --- states --- */

static int64_t
patience_ms(const struct conn_limits *l, enum conn_state state)
{
	switch (state) {
	case CONN_NEW:
		return l->new_ms;
	case CONN_IDLE:
		return l->idle_ms;
	case CONN_HEAD:
		return l->head_ms;
	case CONN_BODY:
		return l->body_ms;
	case CONN_WRITING:
		return l->write_ms;
	case CONN_LINGERING:
		return l->linger_ms;
	case CONN_HALF:
		return SWEEP_MS; /* until it is looked at again */
	case CONN_RUNNING:
	case CONN_DYING:
	case CONN_STATES:
		break;
	}
	return INT64_MAX / 2;
}

void
conn_move(struct conn *c, enum conn_state to)
{
	struct conn_set *s = c->set;

	if (to == CONN_RUNNING && c->is_half)
		to = CONN_HALF;
	TAILQ_REMOVE(&s->lists[c->state], c, entry);
	c->state = to;
	TAILQ_INSERT_TAIL(&s->lists[to], c, entry);
	c->due_ms = loop_now_ms(s->loop) + patience_ms(&s->limits, to);
}

/* Something of TLS that is nothing of HTTP: whoever closed the socket answers
 * it with a reset, and a client that waits for its answer does not notice.  One
 * is not enough: who reads it and closes then leaves nothing to be reset for.
 * Few are: clients take so many in a row for an attack (BoringSSL: 32). */
static void
probe(struct conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
		(void)SSL_do_handshake(ssl);
	ERR_clear_error();
}

/* Ends it when the client closed its socket, and did not only end its side:
 * then what we sent was answered by a reset. */
static void
look_for_half(struct conn *c)
{
	struct pollfd p = {.fd = bufferevent_getfd(c->bev)};

	if (poll(&p, 1, 0) == 1) {
		conn_kill(c);
		return;
	}
	c->looks++;
	if ((c->looks & (c->looks - 1)) == 0) /* after 1, 2, 4, 8, ... */
		probe(c);
	conn_move(c, CONN_HALF);
}

static void
expire(struct conn *c)
{
	if (c->state == CONN_HALF) {
		look_for_half(c);
		return;
	}
	if (c->state == CONN_NEW &&
	    SSL_is_init_finished(bufferevent_openssl_get_ssl(c->bev))) {
		/* Connected ahead of use. */
		conn_move(c, CONN_IDLE);
		return;
	}
	log_debug("HTTP-TIMEOUT", "a connection was too slow in state %d",
	    (int)c->state);
	if (c->state == CONN_HEAD || c->state == CONN_BODY)
		c->set->ops->on_late(c);
	else
		conn_kill(c);
}

static void
on_sweep(void *arg)
{
	struct conn_set *s = arg;
	int64_t now_ms = loop_now_ms(s->loop);
	struct conn *c;

	for (int i = 0; i < CONN_DYING; i++) {
		while ((c = TAILQ_FIRST(&s->lists[i])) && c->due_ms <= now_ms)
			expire(c);
	}
	timer_arm(s->sweep, SWEEP_MS);
}

static void
end_in(struct conn_set *s, enum conn_state state)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&s->lists[state])))
		conn_kill(c);
}

void
conn_set_end_idle(struct conn_set *s)
{
	end_in(s, CONN_NEW);
	end_in(s, CONN_IDLE);
}

void
conn_set_end_all(struct conn_set *s)
{
	for (int i = 0; i < CONN_DYING; i++)
		end_in(s, (enum conn_state)i);
}

/* --- bytes --- */

struct evbuffer *
conn_input(const struct conn *c)
{
	return bufferevent_get_input(c->bev);
}

struct evbuffer *
conn_output(const struct conn *c)
{
	return bufferevent_get_output(c->bev);
}

void
conn_push(struct conn *c)
{
	struct evbuffer *out = conn_output(c);
	size_t len = evbuffer_get_length(out);

	(void)evbuffer_pullup(out,
	    (ev_ssize_t)(len < ONE_RECORD ? len : ONE_RECORD));
	/* Without a trip through epoll to hear that the socket takes it. */
	event_active(&c->bev->ev_write, EV_WRITE, 1);
}

static void
on_sent(void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_WRITING)
		c->set->ops->on_output(c);
}

void
conn_sent(struct conn *c)
{
	loop_defer(c->set->loop, on_sent, c);
}

/* Reading stops at max_input, which may be in the middle of a TLS record.  Its
 * rest lies in the SSL, where no epoll tells of it: once there is room again we
 * have to go on by ourselves. */
static void
on_room(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_deleted > 0 && c->state != CONN_DYING &&
	    SSL_pending(bufferevent_openssl_get_ssl(c->bev)) > 0)
		event_active(&c->bev->ev_read, EV_READ, 1);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;
	struct evbuffer *in = conn_input(c);

	if (c->state == CONN_LINGERING)
		(void)evbuffer_drain(in, evbuffer_get_length(in));
	else if (c->state != CONN_DYING)
		c->set->ops->on_input(c);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_WRITING)
		c->set->ops->on_output(c);
}

static void
on_half(void *arg)
{
	struct conn *c = arg;

	if (c->state == CONN_RUNNING)
		conn_move(c, CONN_HALF);
	if (c->state == CONN_HALF)
		probe(c);
	if (c->state == CONN_HALF || c->state == CONN_WRITING) {
		/* libevent stopped writing, too. */
		bufferevent_enable(c->bev, EV_WRITE);
		conn_push(c);
	} else {
		conn_kill(c);
	}
}

/* The client ended its side: perhaps it left, perhaps it waits for the answer.
 * What it said last comes after this, in the same turn. */
static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	const short half = BEV_EVENT_EOF | BEV_EVENT_READING;
	struct conn *c = arg;

	ERR_clear_error();
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0)
		return;
	if (what != half || c->state == CONN_DYING) {
		conn_kill(c);
	} else if (!c->is_half) {
		c->is_half = true;
		bufferevent_disable(c->bev, EV_READ);
		loop_defer(c->set->loop, on_half, c);
	}
}

/* --- life --- */

struct conn *
conn_new(struct conn_set *s, SSL *ssl, int fd, const struct peer_addr *addr)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	BIO *bio = sockbio_new(fd);

	c->set = s;
	c->addr = *addr;
	SSL_set_bio(ssl, bio, bio);
	c->bev = bufferevent_openssl_socket_new(loop_base(s->loop), fd, ssl,
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		log_fatal("CONN-MEMORY", "out of memory");
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	bufferevent_setwatermark(c->bev, EV_READ, 0, s->limits.max_input);
	bufferevent_setwatermark(c->bev, EV_WRITE, s->limits.low_output, 0);
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	(void)evbuffer_add_cb(conn_input(c), on_room, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	c->state = CONN_NEW;
	c->due_ms = loop_now_ms(s->loop) + s->limits.new_ms;
	TAILQ_INSERT_TAIL(&s->lists[CONN_NEW], c, entry);
	s->n++;
	return c;
}

static void
conn_free(void *arg)
{
	struct conn *c = arg;
	struct conn_set *s = c->set;

	TAILQ_REMOVE(&s->lists[c->state], c, entry);
	s->n--;
	s->ndying--;
	bufferevent_free(c->bev);
	free(c);
	if (s->is_closing && s->n == 0)
		free(s);
}

void
conn_kill(struct conn *c)
{
	struct conn_set *s = c->set;

	if (c->state == CONN_DYING)
		return;
	conn_move(c, CONN_DYING);
	s->ndying++;
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	s->ops->on_gone(c);
	loop_defer(s->loop, conn_free, c);
}

void
conn_linger(struct conn *c)
{
	struct evbuffer *in = conn_input(c);

	(void)SSL_shutdown(bufferevent_openssl_get_ssl(c->bev));
	ERR_clear_error();
	(void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	(void)evbuffer_drain(in, evbuffer_get_length(in));
	if (c->is_half)
		conn_kill(c);
	else
		conn_move(c, CONN_LINGERING);
}
