#include "apiserver/edge/conn.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum { SWEEP_MS = 250 };

/* struct conn.line_end: a header block ends in an empty line, with or without
 * carriage returns. */
enum { IN_LINE, AFTER_NL, AFTER_NL_CR, BLANK_LINE };

TAILQ_HEAD(conn_list, conn);

struct conn_set {
	struct loop *loop;
	struct conn_limits limits;
	loop_fn *on_gone;
	void *arg;
	struct timer *sweep;
	bool is_closing;
	size_t n;
	size_t nin[CONN_STATES];
	/* All of one state have the same patience, so the first of a list is
	 * the first that is due. */
	struct conn_list lists[CONN_STATES];
};

static void on_sweep(void *arg);

struct conn_set *
conn_set_new(struct loop *l, const struct conn_limits *limits, loop_fn *on_gone,
    void *arg)
{
	struct conn_set *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	s->limits = *limits;
	s->on_gone = on_gone;
	s->arg = arg;
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
	return s->n;
}

size_t
conn_set_in(const struct conn_set *s, enum conn_state state)
{
	return s->nin[state];
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

	TAILQ_REMOVE(&s->lists[c->state], c, entry);
	s->nin[c->state]--;
	c->state = to;
	TAILQ_INSERT_TAIL(&s->lists[to], c, entry);
	s->nin[to]++;
	if (s->is_closing)
		return;
	c->due_ms = loop_now_ms(s->loop) + patience_ms(&s->limits, to);
}

void
conn_kill(struct conn *c)
{
	if (c->state == CONN_DYING)
		return;
	conn_move(c, CONN_DYING);
	/* evhttp frees the connection, whatever it was doing. */
	bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_TIMEOUT,
	    0);
}

static void
expire(struct conn *c)
{
	if (c->state == CONN_NEW &&
	    SSL_is_init_finished(bufferevent_openssl_get_ssl(c->bev))) {
		/* Connected ahead of use. */
		conn_move(c, CONN_IDLE);
		return;
	}
	log_debug("HTTP-TIMEOUT", "a connection was closed in state %d",
	    (int)c->state);
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

/* --- what comes in --- */

static int
scan_lines(const char *p, size_t len, int at)
{
	const char *end = p + len, *nl;

	while (p < end) {
		if (at == IN_LINE) {
			nl = memchr(p, '\n', (size_t)(end - p));
			if (!nl)
				return IN_LINE;
			p = nl + 1;
			at = AFTER_NL;
		} else if (*p == '\n') {
			return BLANK_LINE;
		} else {
			at = at == AFTER_NL && *p == '\r' ? AFTER_NL_CR
							  : IN_LINE;
			p++;
		}
	}
	return at;
}

/* Looks at the buffer's last n bytes for the end of the headers. */
static void
scan_input(struct conn *c, struct evbuffer *in, size_t n)
{
	struct evbuffer_iovec v[16];
	struct evbuffer_ptr from;
	int count;

	if (evbuffer_ptr_set(in, &from, evbuffer_get_length(in) - n,
		EVBUFFER_PTR_SET) < 0)
		return;
	count = evbuffer_peek(in, -1, &from, v, 16);
	for (int i = 0; i < count && i < 16; i++) {
		c->line_end =
		    scan_lines(v[i].iov_base, v[i].iov_len, c->line_end);
		if (c->line_end == BLANK_LINE) {
			conn_move(c, CONN_BODY);
			return;
		}
	}
}

static void
on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_added == 0)
		return;
	if (c->state == CONN_NEW || c->state == CONN_IDLE) {
		c->line_end = IN_LINE;
		conn_move(c, CONN_HEAD);
	}
	if (c->state == CONN_HEAD)
		scan_input(c, in, info->n_added);
}

void
conn_next(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_length(in);

	if (len == 0) {
		conn_move(c, CONN_IDLE);
		return;
	}
	c->line_end = IN_LINE;
	conn_move(c, CONN_HEAD);
	scan_input(c, in, len);
}

/* --- life --- */

static void
on_session_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx,
    long argl, void *argp)
{
	struct conn *c = ptr;
	struct conn_set *s;

	if (!c)
		return;
	s = c->set;
	TAILQ_REMOVE(&s->lists[c->state], c, entry);
	s->nin[c->state]--;
	s->n--;
	free(c);
	if (!s->is_closing)
		s->on_gone(s->arg);
	else if (s->n == 0)
		free(s);
}

static int
session_index(void)
{
	static int index = -1;

	if (index < 0)
		index =
		    SSL_get_ex_new_index(0, NULL, NULL, NULL, on_session_freed);
	if (index < 0)
		log_fatal("CONN-INDEX", "OpenSSL has no index for us");
	return index;
}

struct bufferevent *
conn_new(struct conn_set *s, SSL *ssl)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	c->set = s;
	if (SSL_set_ex_data(ssl, session_index(), c) != 1)
		log_fatal("CONN-MEMORY", "out of memory");
	c->bev = bufferevent_openssl_socket_new(loop_base(s->loop), -1, ssl,
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	/* evhttp would go on without TLS if this were NULL. */
	if (!c->bev ||
	    !evbuffer_add_cb(bufferevent_get_input(c->bev), on_input, c))
		log_fatal("CONN-MEMORY", "out of memory");
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	bufferevent_setwatermark(c->bev, EV_READ, 0, s->limits.max_input);
	c->is_surplus = s->n >= s->limits.max_conns;
	c->state = CONN_NEW;
	c->due_ms = loop_now_ms(s->loop) + s->limits.new_ms;
	TAILQ_INSERT_TAIL(&s->lists[CONN_NEW], c, entry);
	s->nin[CONN_NEW]++;
	s->n++;
	return c->bev;
}

struct conn *
conn_of(struct bufferevent *bev)
{
	return SSL_get_ex_data(bufferevent_openssl_get_ssl(bev),
	    session_index());
}
