#include "apiserver/edge/http_conn.h"

#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "apiserver/api.h"
#include "apiserver/edge/http_reply.h"
#include "apiserver/edge/render_acme.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/live/latency.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"

enum {
	/* Memory for a chunked body is asked for in steps. */
	BODY_STEP = 16 * 1024,
	/* More output than this, and a producer waits. */
	PIECES_AHEAD = 256 * 1024,
};

/* --- replies --- */

static void
log_request(const struct request *r)
{
	bool is_news = r->status >= 500 && r->conn && r->refusal.status == 0;
	enum log_level level = is_news ? LOG_INFO : LOG_DEBUG;
	char status[16], op[32], us[32], peer[PEER_TEXT_MAX];

	if (!log_is_on(level))
		return;
	(void)snprintf(status, sizeof(status), "%d", r->status);
	(void)snprintf(op, sizeof(op), "%llu",
	    (unsigned long long)(r->op ? op_id(r->op) : 0));
	(void)snprintf(us, sizeof(us), "%lld",
	    (long long)(clock_boot_us() - r->started_us));
	peer_text(&r->peer, peer);
	log_peer_fields(level, "HTTP", peer,
	    r->conn ? "answered" : "client gone", "method", r->head.method,
	    "route", r->match.route ? r->match.route->pattern : "-", "status",
	    status, "us", us, "op", op, "request", r->id, "principal",
	    r->principal.id, "peer", peer, NULL);
}

/* A body that nobody asked for.  It is skipped when it is here already; else
 * the connection ends, since its bytes would be read as the next request. */
static void
skip_body(struct conn *c, struct request *r)
{
	struct evbuffer *in = conn_input(c);

	if (r->has_all)
		return;
	if (r->head.framing == HTTP1_LENGTH && !r->body &&
	    !r->head.expects_continue &&
	    r->head.length <= evbuffer_get_length(in))
		(void)evbuffer_drain(in, (size_t)r->head.length);
	else
		r->must_close = true;
}

/* Whether what goes out now is the connection's last. */
static void
decide_close(struct conn *c, struct request *r)
{
	skip_body(c, r);
	if (r->head.must_close || c->server->is_stopping ||
	    (c->is_half && evbuffer_get_length(conn_input(c)) == 0))
		r->must_close = true;
	c->must_close = r->must_close;
}

static void
send_whole(struct conn *c, struct request *r)
{
	decide_close(c, r);
	if (!http_reply_whole(c, r)) {
		conn_move(c, CONN_WRITING);
		return;
	}
	/* What comes next may be answered at once, too: not from in here, or
	 * a client that sends many requests ahead has them nested. */
	if (!c->must_close && evbuffer_get_length(conn_input(c)) == 0) {
		conn_move(c, CONN_IDLE);
		return;
	}
	conn_move(c, CONN_WRITING);
	conn_sent(c);
}

static void
send_reply(struct conn *c, struct request *r)
{
	c->request = NULL;
	if (r->is_broken) {
		log_peer(LOG_WARN, "HTTP-BROKEN", r->match.route->pattern,
		    "an answer was cut off: %s (%s)", r->match.route->pattern,
		    r->id);
		conn_kill(c);
		return;
	}
	if (!r->is_pieces) {
		send_whole(c, r);
		return;
	}
	http_reply_end(conn_output(c), r);
	conn_move(c, CONN_WRITING);
	conn_push(c);
}

static void
note_latency(const struct request *r)
{
	const struct route *route = r->match.route;

	if (r->api->latency && !r->is_stream)
		latency_note(r->api->latency, r->match.number,
		    route ? route->method : "-", route ? route->pattern : "-",
		    r->status, clock_boot_us() - r->started_us);
	acme_note_answer(r);
}

static void
carrier_reply(struct request *r)
{
	note_latency(r);
	log_request(r);
	if (r->conn)
		send_reply(r->conn, r);
	request_free(r);
}

static rc
carrier_send_piece(struct request *r)
{
	struct conn *c = r->conn;

	if (!r->is_pieces)
		decide_close(c, r);
	http_reply_piece(conn_output(c), r);
	conn_push(c);
	if (evbuffer_get_length(conn_output(c)) <= PIECES_AHEAD)
		return RC_OK;
	conn_move(c, CONN_WRITING);
	return RC_BUSY;
}

/* --- bodies --- */

/* Makes room for len bytes of body; refuses past the process's ceiling. */
static bool
grow_body(struct request *r, size_t len)
{
	size_t cap = len;
	rc ret;

	if (len <= r->body_cap)
		return true;
	if (r->head.framing == HTTP1_CHUNKED) {
		cap = r->body_cap > 0 ? 2 * r->body_cap : BODY_STEP;
		if (cap < len)
			cap = len;
	}
	ret = bodymem_take(r->mem, cap - r->body_cap);
	if (ret != RC_OK) {
		r->refusal = (struct http1_error){503,
		    "too many request bodies are coming in; try again"};
		return false;
	}
	r->body = mem_realloc(r->body, cap + 1, 1);
	r->body_cap = cap;
	return true;
}

static rc
read_plain(struct request *r, struct evbuffer *in)
{
	size_t n = evbuffer_get_length(in);
	int got;

	if (n > r->body_left)
		n = (size_t)r->body_left;
	if (n == 0)
		return RC_BUSY;
	got = evbuffer_remove(in, r->body + r->body_len, n);
	if (got > 0) {
		r->body_len += (size_t)got;
		r->body_left -= (uint64_t)got;
	}
	return r->body_left == 0 ? RC_OK : RC_BUSY;
}

static rc
read_chunked(struct request *r, struct evbuffer *in)
{
	size_t len = evbuffer_get_length(in), at = 0, used, n;
	const char *bytes = (const char *)evbuffer_pullup(in, -1);
	const char *data;
	rc ret = RC_BUSY;

	while (ret == RC_BUSY && at < len) {
		ret = http1_chunks_take(&r->chunks, bytes + at, len - at, &used,
		    &data, &n, &r->refusal);
		if (ret == RC_INVALID || !grow_body(r, r->body_len + n))
			return RC_INVALID;
		if (n > 0)
			memcpy(r->body + r->body_len, data, n);
		r->body_len += n;
		at += used;
	}
	(void)evbuffer_drain(in, at);
	return ret;
}

static rc
read_body(struct conn *c, struct request *r)
{
	struct evbuffer *in = conn_input(c);
	rc ret = r->head.framing == HTTP1_CHUNKED ? read_chunked(r, in)
						  : read_plain(r, in);

	if (ret == RC_OK) {
		r->has_all = true;
		if (r->body)
			r->body[r->body_len] = '\0';
	}
	return ret;
}

static void
send_continue(struct conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	(void)evbuffer_add(conn_output(c), text, sizeof(text) - 1);
	conn_push(c);
}

static rc
carrier_take_body(struct request *r)
{
	struct conn *c = r->conn;
	bool is_waiting =
	    r->head.expects_continue && evbuffer_get_length(conn_input(c)) == 0;
	rc ret;

	if (r->has_all)
		return RC_OK;
	if (r->head.framing == HTTP1_CHUNKED) {
		http1_chunks_init(&r->chunks, r->max_body);
	} else {
		r->body_left = r->head.length;
		if (!grow_body(r, (size_t)r->head.length))
			return RC_INVALID;
	}
	ret = read_body(c, r);
	if (ret != RC_BUSY)
		return ret;
	if (c->is_half) {
		r->refusal = (struct http1_error){400,
		    "the request body ended before its end"};
		return RC_INVALID;
	}
	conn_move(c, CONN_BODY);
	if (is_waiting)
		send_continue(c);
	return RC_BUSY;
}

/* The op waits for its body: it is here, or it is known why not. */
static void
end_body(struct conn *c)
{
	conn_move(c, CONN_RUNNING);
	op_wake(c->request->op);
}

/* --- requests --- */

static const struct request_carrier carrier = {
    .reply = carrier_reply,
    .take_body = carrier_take_body,
    .send_piece = carrier_send_piece,
};

/* The client's address, where a proxy speaks for it. */
static void
find_peer(const struct http_shared *s, struct request *r)
{
	char all[HTTP1_HEAD_MAX];
	size_t len = 0, n;

	if (!peer_nets_have(s->trusted, &r->peer))
		return;
	for (size_t i = 0; i < r->head.nfields; i++) {
		if (strcasecmp(r->head.fields[i].name, "X-Forwarded-For") != 0)
			continue;
		/* All of them together are shorter than the head. */
		n = strlen(r->head.fields[i].value);
		memcpy(all + len, r->head.fields[i].value, n);
		len += n;
		all[len++] = ',';
	}
	if (len == 0)
		return;
	all[len - 1] = '\0';
	r->peer = peer_behind(s->trusted, &r->peer, all);
}

/* bytes: a whole head, or what came of one that is refused. */
static struct request *
new_request(struct conn *c, const char *bytes, size_t len)
{
	struct request *r =
	    request_new(c->server->api, &carrier, c, bytes, len);

	r->mem = c->server->mem;
	r->peer = c->addr;
	c->request = r;
	conn_move(c, CONN_RUNNING);
	return r;
}

static void
start_request(struct conn *c, const char *bytes, size_t len)
{
	struct request *r = new_request(c, bytes, len);

	(void)evbuffer_drain(conn_input(c), len);
	if (r->refusal.status != 0) {
		request_refuse(r, r->refusal.status, r->refusal.why);
		return;
	}
	find_peer(c->server, r);
	if (c->is_surplus)
		request_refuse(r, 503, "too many connections; try again");
	else
		request_run(r);
}

/* Whether it is whole, or refused: then there is a request, which may have
 * been answered. */
static bool
read_head(struct conn *c)
{
	struct evbuffer *in = conn_input(c);
	size_t len = evbuffer_get_length(in), n;
	struct http1_error error;
	const char *bytes;
	rc ret;

	if (len > HTTP1_HEAD_MAX)
		len = HTTP1_HEAD_MAX;
	bytes = (const char *)evbuffer_pullup(in, (ev_ssize_t)len);
	ret = http1_scan(&c->scan, bytes, len, &n, &error);
	if (ret == RC_OK)
		start_request(c, bytes, n);
	else if (ret == RC_INVALID)
		request_refuse(new_request(c, "", 0), error.status, error.why);
	return ret != RC_BUSY;
}

/* --- what the connection tells --- */

static void
begin_head(struct conn *c)
{
	c->scan = (struct http1_scan){0};
	if (read_head(c))
		return;
	if (c->is_half)
		conn_linger(c);
	else
		conn_move(c, CONN_HEAD);
}

void
http_conn_input(struct conn *c)
{
	rc ret;

	switch (c->state) {
	case CONN_NEW:
	case CONN_IDLE:
		begin_head(c);
		break;
	case CONN_HEAD:
		(void)read_head(c); /* its state tells */
		break;
	case CONN_BODY:
		ret = read_body(c, c->request);
		if (ret != RC_BUSY)
			end_body(c);
		break;
	default:
		break; /* read when its turn comes */
	}
}

void
http_conn_output(struct conn *c)
{
	if (c->request) { /* it has more to say, and room for it now */
		conn_move(c, CONN_RUNNING);
		op_wake(c->request->op);
	} else if (evbuffer_get_length(conn_output(c)) > 0) {
		return;
	} else if (!c->must_close && evbuffer_get_length(conn_input(c)) > 0) {
		begin_head(c);
	} else if (c->must_close || c->is_half) {
		conn_linger(c);
	} else {
		conn_move(c, CONN_IDLE);
	}
}

void
http_conn_late(struct conn *c)
{
	if (c->state == CONN_HEAD) {
		request_refuse(new_request(c, "", 0), 408,
		    "the request took too long to come in");
		return;
	}
	c->request->refusal = (struct http1_error){408,
	    "the request body took too long to come in"};
	end_body(c);
}

void
http_conn_gone(struct conn *c)
{
	struct request *r = c->request;

	if (!r)
		return;
	c->request = NULL;
	r->conn = NULL;
	if (r->op)
		op_abort(r->op, RC_PEER_GONE);
}
