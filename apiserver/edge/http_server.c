#include "apiserver/edge/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "apiserver/api.h"
#include "apiserver/edge/addrs.h"
#include "apiserver/edge/bodymem.h"
#include "apiserver/edge/conn.h"
#include "apiserver/edge/http_conn.h"
#include "apiserver/edge/peer.h"
#include "apiserver/edge/tls.h"
#include "common/base/mem.h"
#include "common/log/log_peer.h"

enum {
	IDLE_MS = 60000,
	WRITE_MS = 120000,
	LINGER_MS = 2000,
	/* Of a streamed answer so much waits for a slow reader. */
	LOW_OUTPUT = 64 * 1024,
	/* Past a cap a client is told so; past this it waits in the kernel's
	 * queue, or is cut when the cap was its address's. */
	SURPLUS_MAX = 256,
	SURPLUS_PER_ADDRESS = 8,
	ACCEPT_PAUSE_MS = 100,
	BACKLOG = 4096,
	/* What an idle connection takes, its TLS session included. */
	CONN_BYTES = 20 * 1024,
};

struct http_server {
	struct http_shared shared; /* first: conns know this part */
	struct tls *tls;
	struct conn_set *conns;
	struct addrs *addrs;
	size_t max_conns;
	size_t max_per_address;
	struct evconnlistener *listener; /* NULL once it stopped */
	struct timer *resume;            /* accepts again */
	struct timer *patience;          /* for what runs when stopping */
	loop_fn *drained;
	void *drained_arg;
};

static struct loop *
loop_of(const struct http_server *s)
{
	return s->shared.api->loop;
}

/* --- the end of what runs --- */

static void
tell_drained(struct http_server *s)
{
	loop_fn *drained = s->drained;

	if (!drained)
		return;
	s->drained = NULL;
	timer_disarm(s->patience);
	loop_defer(loop_of(s), drained, s->drained_arg);
}

static void
on_gone(struct conn *c)
{
	struct http_server *s = (struct http_server *)c->server;

	http_conn_gone(c);
	addrs_remove(s->addrs, &c->addr);
	bodymem_note_less(s->shared.mem, CONN_BYTES);
	if (s->shared.is_stopping && conn_set_count(s->conns) == 0)
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

/* --- accepting --- */

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

	log_peer(LOG_WARN, "HTTP-ACCEPT", "", "accept: %s; pausing for %d ms",
	    strerror(EVUTIL_SOCKET_ERROR()), ACCEPT_PAUSE_MS);
	pause_accepting(s);
}

static void
tell_address(const struct peer_addr *addr, size_t n)
{
	char text[PEER_TEXT_MAX];

	peer_text(addr, text);
	log_peer(LOG_WARN, "HTTP-ADDRESS", text,
	    "%s holds %zu connections; more of it are refused", text, n - 1);
}

/* Whether the connection is one too many of its address; sets *out_cut when
 * it is not even told. */
static bool
is_over_address(struct http_server *s, const struct peer_addr *addr, size_t n,
    bool *out_cut)
{
	*out_cut = false;
	if (n <= s->max_per_address || peer_nets_have(s->shared.trusted, addr))
		return false;
	tell_address(addr, n);
	*out_cut = n > s->max_per_address + SURPLUS_PER_ADDRESS;
	return true;
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *sa, int len, void *arg)
{
	struct http_server *s = arg;
	const struct peer_addr addr = peer_of_socket(sa);
	size_t n = addrs_add(s->addrs, &addr);
	size_t all = conn_set_count(s->conns);
	struct conn *c;
	bool must_cut, is_over = is_over_address(s, &addr, n, &must_cut);

	if (all >= s->max_conns + SURPLUS_MAX)
		pause_accepting(s);
	if (must_cut) {
		addrs_remove(s->addrs, &addr);
		(void)evutil_closesocket(fd);
		return;
	}
	c = conn_new(s->conns, tls_session(s->tls), fd, &addr);
	c->server = &s->shared;
	c->is_surplus = is_over || all >= s->max_conns;
	bodymem_note_more(s->shared.mem, CONN_BYTES);
}

/* --- the listener --- */

static int
bind_to(const struct addrinfo *ai)
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
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

static rc
failed_listen(const char *host, int port)
{
	log_error("HTTP-LISTEN",
	    "CERTCTL_SERVER_HOST: cannot listen on %s port %d: %s", host, port,
	    strerror(errno));
	return RC_IO;
}

/* *out: a socket that is bound; with RC_BUSY, to a port that others have,
 * there is none, and nothing was logged. */
static rc
bound_socket(const char *host, int port, int *out)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *ai = NULL;
	char service[16];

	(void)snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(host, service, &hints, &ai) != 0) {
		log_error("HTTP-LISTEN",
		    "CERTCTL_SERVER_HOST \"%s\" is no address of ours", host);
		return RC_INVALID;
	}
	*out = bind_to(ai);
	freeaddrinfo(ai);
	if (*out >= 0)
		return RC_OK;
	return errno == EADDRINUSE ? RC_BUSY : failed_listen(host, port);
}

static rc
server_listen(struct http_server *s, const char *host, int port)
{
	int fd = -1;
	rc ret = bound_socket(host, port, &fd);

	if (ret == RC_BUSY)
		return failed_listen(host, port);
	if (ret != RC_OK)
		return ret;
	if (listen(fd, BACKLOG) != 0) {
		ret = failed_listen(host, port);
		close(fd);
		return ret;
	}
	s->listener = evconnlistener_new(loop_base(loop_of(s)), on_accept, s,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!s->listener) {
		close(fd);
		return RC_IO;
	}
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return RC_OK;
}

rc
http_server_check_address(const char *host, int port)
{
	int fd = -1;
	rc ret = bound_socket(host, port, &fd);

	if (fd >= 0)
		close(fd);
	/* Who has the port may be the process that the next one replaces. */
	return ret == RC_BUSY ? RC_OK : ret;
}

/* --- life --- */

rc
http_server_new(struct api *api, struct tls *tls,
    const struct http_server_opts *opts, struct http_server **out)
{
	static const struct conn_ops ops = {http_conn_input, http_conn_output,
	    http_conn_late, on_gone};
	const struct conn_limits limits = {
	    .max_input = HTTP1_HEAD_MAX,
	    .low_output = LOW_OUTPUT,
	    .new_ms = opts->head_ms,
	    .idle_ms = IDLE_MS,
	    .head_ms = opts->head_ms,
	    .body_ms = opts->body_ms,
	    .write_ms = WRITE_MS,
	    .linger_ms = LINGER_MS,
	};
	struct http_server *s = mem_zalloc(sizeof(*s));
	rc ret;

	s->shared.api = api;
	s->shared.mem = bodymem_new(api->loop, opts->max_body_memory);
	s->shared.trusted = opts->trusted_proxies;
	s->tls = tls;
	s->max_conns = opts->max_conns;
	s->max_per_address = opts->max_per_address;
	s->addrs = addrs_new();
	s->conns = conn_set_new(api->loop, &limits, &ops);
	s->resume = timer_new(api->loop, on_resume, s);
	s->patience = timer_new(api->loop, on_out_of_patience, s);
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
	if (s->listener)
		evconnlistener_free(s->listener);
	timer_free(s->resume);
	timer_free(s->patience);
	addrs_free(s->addrs);
	bodymem_free(s->shared.mem);
	free(s);
}

void
http_server_stop(struct http_server *s, int64_t patience_ms, loop_fn *drained,
    void *arg)
{
	if (s->shared.is_stopping)
		return;
	s->shared.is_stopping = true;
	s->drained = drained;
	s->drained_arg = arg;
	timer_disarm(s->resume);
	evconnlistener_free(s->listener);
	s->listener = NULL;
	conn_set_end_idle(s->conns);
	if (conn_set_count(s->conns) == 0)
		tell_drained(s);
	else
		timer_arm(s->patience, patience_ms);
}
