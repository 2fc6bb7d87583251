#include "apiserver/edge/http_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_struct.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "apiserver/api.h"
#include "apiserver/edge/conn.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/edge/tls.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"

enum {
	NEW_MS = 5000,
	IDLE_MS = 60000,
	HEAD_MS = 5000,
	BODY_MS = 30000,
	WRITE_MS = 120000,
	HEAD_MAX = 16 * 1024,
	/* A body up to this much over the limit is read and answered with our
	 * own 413; evhttp cuts what is larger. */
	BODY_SLACK = 64 * 1024,
	/* Past the cap a client is told so; past this it waits in the
	 * kernel's queue. */
	SURPLUS_MAX = 256,
	ACCEPT_PAUSE_MS = 100,
	BACKLOG = 4096,
};

#define SECURITY_HEADERS \
	"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n" \
	"X-Frame-Options: DENY\r\n" \
	"X-Content-Type-Options: nosniff\r\n" \
	"Referrer-Policy: no-referrer-when-downgrade\r\n" \
	"Content-Security-Policy: default-src 'self'; img-src 'self' data:; " \
	"style-src 'self' 'unsafe-inline'; script-src 'self'; " \
	"connect-src 'self'; frame-ancestors 'none'\r\n" \
	"Permissions-Policy: accelerometer=(), camera=(), geolocation=(), " \
	"microphone=(), payment=(), usb=(), interest-cohort=()"

struct http_server {
	struct api *api;
	struct tls *tls;
	struct conn_set *conns;
	size_t max_conns;
	struct evhttp *http;
	struct evhttp_bound_socket *bound;
	struct evconnlistener *listener; /* NULL once it stopped */
	struct timer *resume;            /* accepts again */
	struct timer *patience;          /* for what runs when stopping */
	bool is_stopping;
	loop_fn *drained;
	void *drained_arg;
};

/* --- replies --- */

/* Once a second, not once a request. */
static const char *
date_text(void)
{
	static char text[64];
	static time_t made;
	time_t now = time(NULL);

	if (now != made) {
		(void)evutil_date_rfc1123(text, sizeof(text), NULL);
		made = now;
	}
	return text;
}

/*
 * The headers that are the same in every reply, as the value of one: evhttp
 * prints each header by itself, with two allocations and a printf, which is
 * as dear as the rest of a small reply.  evhttp_add_header refuses line
 * breaks, which is right for all that comes from elsewhere.
 */
static void
add_fixed_headers(struct evkeyvalq *headers, const char *request_id)
{
	static const char fixed[] = "\r\n" SECURITY_HEADERS;
	struct evkeyval *kv = mem_zalloc(sizeof(*kv));
	size_t len = strlen(request_id);

	kv->key = mem_strdup("X-Request-ID");
	kv->value = mem_zalloc(len + sizeof(fixed));
	memcpy(kv->value, request_id, len);
	memcpy(kv->value + len, fixed, sizeof(fixed));
	TAILQ_INSERT_TAIL(headers, kv, next);
}

static void
add_headers(struct evhttp_request *wire, const struct request *r)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(wire);

	evhttp_add_header(headers, "Date", date_text());
	if (r->content_type)
		evhttp_add_header(headers, "Content-Type", r->content_type);
	for (size_t i = 0; i < r->nheaders; i++) {
		if (evhttp_add_header(headers, r->headers[i].name,
			r->headers[i].value) != 0)
			log_warn("HTTP-HEADER", "%s was left out",
			    r->headers[i].name);
	}
	if (r->must_close)
		evhttp_add_header(headers, "Connection", "close");
	add_fixed_headers(headers, r->id);
}

static void
on_sent(struct evhttp_request *wire, void *arg)
{
	conn_next(arg);
}

static void
send_reply(struct conn *c, struct request *r)
{
	struct evhttp_request *wire = c->wire;
	struct bufferevent *bev = c->bev;

	c->request = NULL;
	c->wire = NULL;
	conn_move(c, CONN_WRITING);
	if (c->server->is_stopping)
		r->must_close = true;
	add_headers(wire, r);
	if (r->reply.len > 0 &&
	    evhttp_request_get_command(wire) != EVHTTP_REQ_HEAD)
		evbuffer_add(evhttp_request_get_output_buffer(wire),
		    r->reply.data, r->reply.len);
	evhttp_request_set_on_complete_cb(wire, on_sent, c);
	evhttp_send_reply(wire, r->status, render_reason(r->status), NULL);
	/* One piece is one TLS record; and it leaves in this turn, without a
	 * trip through epoll to hear that the socket takes it. */
	(void)evbuffer_pullup(bufferevent_get_output(bev), -1);
	event_active(&bev->ev_write, EV_WRITE, 1);
}

static void
log_request(const struct request *r)
{
	bool is_news = r->status >= 500 && r->conn;
	enum log_level level = is_news ? LOG_INFO : LOG_DEBUG;
	char status[16], op[32], us[32];

	if (!log_is_on(level))
		return;
	(void)snprintf(status, sizeof(status), "%d", r->status);
	(void)snprintf(op, sizeof(op), "%llu",
	    (unsigned long long)(r->op ? op_id(r->op) : 0));
	(void)snprintf(us, sizeof(us), "%lld",
	    (long long)(clock_wall_us() - r->started_us));
	log_fields(level, "HTTP", r->conn ? "answered" : "client gone",
	    "method", r->method, "route",
	    r->match.route ? r->match.route->pattern : "-", "status", status,
	    "us", us, "op", op, "request", r->id, "principal", r->principal.id,
	    NULL);
}

void
http_conn_reply(struct request *r)
{
	log_request(r);
	if (r->conn)
		send_reply(r->conn, r);
	request_free(r);
}

/* --- requests --- */

static const char *
method_name(enum evhttp_cmd_type type)
{
	switch (type) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_TRACE:
		return "TRACE";
	case EVHTTP_REQ_CONNECT:
		return "CONNECT";
	}
	return "UNKNOWN";
}

/* Reads what concerns us; false when the framing is ambiguous (RFC 9112
 * section 6.1), which no honest client sends. */
static bool
read_headers(struct evhttp_request *wire, struct request *r)
{
	const struct evkeyvalq *headers =
	    evhttp_request_get_input_headers(wire);
	const char *authorization = NULL;
	int nlengths = 0, nencodings = 0, nauthorizations = 0, nkeys = 0;
	const struct evkeyval *kv;

	TAILQ_FOREACH (kv, headers, next) {
		if (strcasecmp(kv->key, "Content-Length") == 0) {
			nlengths++;
		} else if (strcasecmp(kv->key, "Transfer-Encoding") == 0) {
			nencodings++;
		} else if (strcasecmp(kv->key, "Authorization") == 0) {
			nauthorizations++;
			authorization = kv->value;
		} else if (strcasecmp(kv->key, "If-None-Match") == 0 &&
			   strlen(kv->value) < sizeof(r->if_none_match)) {
			memcpy(r->if_none_match, kv->value,
			    strlen(kv->value) + 1);
		} else if (strcasecmp(kv->key, "Idempotency-Key") == 0) {
			nkeys++;
			(void)snprintf(r->idempotency_key,
			    sizeof(r->idempotency_key), "%s", kv->value);
		}
	}
	auth_read(authorization, &r->credential);
	return nlengths + nencodings <= 1 && nauthorizations <= 1 && nkeys <= 1;
}

static void
refuse(struct request *r, int status, const char *message)
{
	r->must_close = true;
	render_error(r, status, message);
	http_conn_reply(r);
}

static void
on_closed(struct evhttp_connection *evcon, void *arg)
{
	struct conn *c = arg;
	struct request *r = c->request;
	struct evhttp_request *wire = c->wire;

	if (c->state != CONN_DYING)
		conn_move(c, CONN_DYING);
	if (!r)
		return;
	c->request = NULL;
	c->wire = NULL;
	r->conn = NULL;
	r->body = "";
	r->body_len = 0;
	/* evhttp cut it loose and leaves it to us, or frees it itself. */
	if (!evhttp_request_get_connection(wire))
		evhttp_request_free(wire);
	if (r->op)
		op_abort(r->op, RC_PEER_GONE);
}

/*
 * evhttp stops reading while a request is answered, and so would not see that
 * the client left.  Reading goes on, without the callback that would take
 * further bytes for a request; evhttp does the same while it writes.
 */
static void
watch_peer(struct bufferevent *bev)
{
	bufferevent_data_cb on_write;
	bufferevent_event_cb on_event;
	void *arg;

	bufferevent_getcb(bev, NULL, &on_write, &on_event, &arg);
	bufferevent_setcb(bev, NULL, on_write, on_event, arg);
	bufferevent_enable(bev, EV_READ);
}

static void
on_request(struct evhttp_request *wire, void *arg)
{
	struct http_server *s = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(wire);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	struct evbuffer *body = evhttp_request_get_input_buffer(wire);
	struct conn *c = conn_of(bev);
	struct request *r;
	bool is_clear;

	if (!c->is_hooked)
		evhttp_connection_set_closecb(evcon, on_closed, c);
	c->is_hooked = true;
	conn_move(c, CONN_RUNNING);
	watch_peer(bev);
	r = request_new(s->api, c,
	    method_name(evhttp_request_get_command(wire)),
	    evhttp_request_get_uri(wire));
	c->request = r;
	c->wire = wire;
	r->body_len = evbuffer_get_length(body);
	if (r->body_len > 0)
		r->body = (const char *)evbuffer_pullup(body, -1);
	is_clear = read_headers(wire, r);
	if (!is_clear)
		refuse(r, 400, "ambiguous or repeated headers");
	else if (c->is_surplus)
		refuse(r, 503, "too many connections; try again");
	else
		request_run(r);
}

/* --- connections --- */

static void
pause_accepting(struct http_server *s)
{
	if (!s->listener)
		return;
	evconnlistener_disable(s->listener);
	timer_arm(s->resume, ACCEPT_PAUSE_MS);
}

static void
on_resume(void *arg)
{
	struct http_server *s = arg;

	if (!s->listener)
		return;
	if (conn_set_count(s->conns) < s->max_conns + SURPLUS_MAX)
		evconnlistener_enable(s->listener);
	else
		timer_arm(s->resume, ACCEPT_PAUSE_MS);
}

static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct http_server *s = arg;

	log_warn("HTTP-ACCEPT", "accept: %s; pausing for %d ms",
	    strerror(EVUTIL_SOCKET_ERROR()), ACCEPT_PAUSE_MS);
	pause_accepting(s);
}

static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	struct http_server *s = arg;
	struct bufferevent *bev;

	if (conn_set_count(s->conns) >= s->max_conns + SURPLUS_MAX)
		pause_accepting(s);
	bev = conn_new(s->conns, tls_session(s->tls));
	conn_of(bev)->server = s;
	return bev;
}

static void
tell_drained(struct http_server *s)
{
	loop_fn *drained = s->drained;

	if (!drained)
		return;
	s->drained = NULL;
	timer_disarm(s->patience);
	loop_defer(s->api->loop, drained, s->drained_arg);
}

static void
on_gone(void *arg)
{
	struct http_server *s = arg;

	if (s->is_stopping && conn_set_count(s->conns) == 0)
		tell_drained(s);
}

static void
on_out_of_patience(void *arg)
{
	struct http_server *s = arg;

	log_warn("HTTP-STOP", "%zu connections were still busy and are cut",
	    conn_set_count(s->conns));
	tell_drained(s);
}

/* --- the listener --- */

static int
listen_on(const struct addrinfo *ai)
{
	int fd, on = 1;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (fd < 0)
		return -1;
	/* Several processes share one port.  Accepted sockets inherit
	 * TCP_NODELAY; without it a reply waits 40 ms for an ACK. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

static rc
server_listen(struct http_server *s, const char *host, int port)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *ai = NULL;
	char service[16];
	int fd;

	(void)snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(host, service, &hints, &ai) != 0) {
		log_error("HTTP-LISTEN",
		    "CERTCTL_SERVER_HOST \"%s\" is no address of ours", host);
		return RC_INVALID;
	}
	fd = listen_on(ai);
	freeaddrinfo(ai);
	if (fd < 0) {
		log_error("HTTP-LISTEN", "cannot listen on %s port %d: %s",
		    host, port, strerror(errno));
		return RC_IO;
	}
	s->listener = evconnlistener_new(loop_base(s->api->loop), NULL, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!s->listener) {
		close(fd);
		return RC_IO;
	}
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	s->bound = evhttp_bind_listener(s->http, s->listener);
	return s->bound ? RC_OK : RC_IO;
}

rc
http_server_new(struct api *api, struct tls *tls,
    const struct http_server_opts *opts, struct http_server **out)
{
	const struct conn_limits limits = {
	    .max_conns = opts->max_conns,
	    .max_input = opts->max_body + BODY_SLACK + 2 * HEAD_MAX,
	    .new_ms = NEW_MS,
	    .idle_ms = IDLE_MS,
	    .head_ms = HEAD_MS,
	    .body_ms = BODY_MS,
	    .write_ms = WRITE_MS,
	};
	struct http_server *s = mem_zalloc(sizeof(*s));
	rc ret;

	s->api = api;
	s->tls = tls;
	s->max_conns = opts->max_conns;
	s->conns = conn_set_new(api->loop, &limits, on_gone, s);
	s->resume = timer_new(api->loop, on_resume, s);
	s->patience = timer_new(api->loop, on_out_of_patience, s);
	s->http = evhttp_new(loop_base(api->loop));
	if (!s->http)
		log_fatal("HTTP-MEMORY", "out of memory");
	evhttp_set_gencb(s->http, on_request, s);
	evhttp_set_bevcb(s->http, on_connection, s);
	evhttp_set_max_headers_size(s->http, HEAD_MAX);
	evhttp_set_max_body_size(s->http,
	    (ev_ssize_t)(opts->max_body + BODY_SLACK));
	evhttp_set_default_content_type(s->http, NULL);
	evhttp_set_allowed_methods(s->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
		EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	ret = server_listen(s, opts->host, opts->port);
	if (ret != RC_OK) {
		http_server_free(s);
		return ret;
	}
	*out = s;
	return RC_OK;
}

void
http_server_free(struct http_server *s)
{
	if (!s)
		return;
	s->drained = NULL;
	conn_set_end_all(s->conns);
	conn_set_free(s->conns);
	evhttp_free(s->http); /* and the listener, unless it stopped */
	timer_free(s->resume);
	timer_free(s->patience);
	free(s);
}

void
http_server_stop(struct http_server *s, int64_t patience_ms, loop_fn *drained,
    void *arg)
{
	if (s->is_stopping)
		return;
	s->is_stopping = true;
	s->drained = drained;
	s->drained_arg = arg;
	timer_disarm(s->resume);
	evhttp_del_accept_socket(s->http, s->bound);
	s->bound = NULL;
	s->listener = NULL;
	conn_set_end_idle(s->conns);
	if (conn_set_count(s->conns) == 0)
		tell_drained(s);
	else
		timer_arm(s->patience, patience_ms);
}
