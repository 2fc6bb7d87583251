#include "common/tls/tls_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/base/mem.h"
#include "common/tls/tls_probe_int.h"

/* What was not begun for so long may be begun at once after it. */
#define BURST_US 10000
#define ALPN_MAX 255

TAILQ_HEAD(probe_list, tls_probe);

struct tls_prober {
	struct loop *loop;
	SSL_CTX *ctx;
	struct outbound outbound;
	bool has_outbound;
	size_t parallel;
	int per_second;
	int64_t next_us; /* when the rate allows another */
	struct resolver resolver;
	struct timer *turn; /* begins those that may */
	struct probe_list waiting, running;
	size_t nwaiting, nrunning;
};

struct tls_probe {
	TAILQ_ENTRY(tls_probe) entry;
	struct tls_prober *prober;
	tls_probe_done_fn *done;
	void *arg;
	char *host, *server_name, *alpn;
	int port;
	int64_t timeout_ms;
	bool is_running; /* in that list, else in the other */
	int64_t ends_ms, connected_from_ms;
	struct timer *deadline;
	struct lookup *lookup;
	char addrs[LOOKUP_ADDRS_MAX][LOOKUP_ADDR_SIZE];
	size_t naddrs, at; /* at: the next one */
	int fd;            /* -1 */
	struct event *io;
	SSL *ssl; /* NULL until it is connected */
	char error[200];
	char address[LOOKUP_ADDR_SIZE];
	struct tls_probe_result result;
};

static void next_address(struct tls_probe *t);

const char *
tls_probe_fault_name(enum tls_probe_fault fault)
{
#define FAULT_NAME(value, name) [value] = (name),
	static const char *const names[] = {TLS_PROBE_FAULTS(FAULT_NAME)};
#undef FAULT_NAME

	return names[fault];
}

/* --- one probe's end --- */

static void
probe_close(struct tls_probe *t)
{
	if (t->io)
		event_free(t->io);
	t->io = NULL;
	SSL_free(t->ssl);
	t->ssl = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

static void
probe_free(void *arg)
{
	struct tls_probe *t = arg;

	timer_free(t->deadline);
	lookup_free(t->lookup);
	probe_close(t);
	tls_chain_free(&t->result);
	free(t->host);
	free(t->server_name);
	free(t->alpn);
	free(t);
}

/* It is in no list after that, and nothing calls it. */
static void
probe_leave(struct tls_probe *t)
{
	struct tls_prober *p = t->prober;

	if (t->is_running) {
		TAILQ_REMOVE(&p->running, t, entry);
		p->nrunning--;
	} else {
		TAILQ_REMOVE(&p->waiting, t, entry);
		p->nwaiting--;
	}
	timer_disarm(t->deadline);
	lookup_free(t->lookup);
	t->lookup = NULL;
	probe_close(t);
	if (p->nwaiting > 0 && !timer_is_armed(p->turn))
		timer_arm(p->turn, 0);
}

static void
probe_end(struct tls_probe *t)
{
	probe_leave(t);
	t->result.address = t->address;
	t->result.error = t->error;
	t->done(t->arg, &t->result);
	loop_defer(t->prober->loop, probe_free, t); /* never inside its own */
}

static void
probe_fail(struct tls_probe *t, enum tls_probe_fault fault, const char *what,
    const char *why)
{
	t->result.fault = fault;
	snprintf(t->error, sizeof(t->error), "%s%s", what, why);
	probe_end(t);
}

/* --- the handshake --- */

static bool
takes_alpn(const struct tls_probe *t)
{
	const unsigned char *chosen;
	unsigned len;

	SSL_get0_alpn_selected(t->ssl, &chosen, &len);
	return t->alpn && len == strlen(t->alpn) &&
	       memcmp(chosen, t->alpn, len) == 0;
}

static void
handshake_ended(struct tls_probe *t)
{
	struct tls_probe_result *r = &t->result;
	rc ret;

	r->response_ms = loop_now_ms(t->prober->loop) - t->connected_from_ms;
	ret = tls_chain_read(t->ssl, r);
	if (ret != RC_OK) {
		probe_fail(t, TLS_PROBE_NO_CERTIFICATE,
		    "the server showed no certificate that can be read", "");
		return;
	}
	r->takes_alpn = takes_alpn(t);
	r->fault = TLS_PROBE_OK;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl); /* polite, and not waited for */
	ERR_clear_error();
	probe_end(t);
}

static void
handshake_failed(struct tls_probe *t, int kind, int sys)
{
	unsigned long e = ERR_peek_error();
	const char *why = ERR_reason_error_string(e);

	/* One that wants a certificate of ours has shown its own before, and
	 * proven its key. */
	if (t->result.asks_certificate &&
	    SSL_get0_peer_certificate(t->ssl) != NULL) {
		handshake_ended(t);
		return;
	}
	/* The end of the stream is an error of its own since OpenSSL 3. */
	if (kind == SSL_ERROR_SSL && e != 0 &&
	    ERR_GET_REASON(e) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		probe_fail(t, TLS_PROBE_NO_HANDSHAKE,
		    "the TLS handshake failed: ", why ? why : "unknown reason");
	else if (kind == SSL_ERROR_SYSCALL && sys != 0)
		probe_fail(t, TLS_PROBE_NO_HANDSHAKE,
		    "the TLS handshake failed: ", strerror(sys));
	else
		probe_fail(t, TLS_PROBE_NO_HANDSHAKE,
		    "the server closed the connection during the TLS "
		    "handshake",
		    "");
	ERR_clear_error();
}

static void
wait_for(struct tls_probe *t, short what, event_callback_fn fn)
{
	if (t->io)
		event_free(t->io);
	t->io = event_new(loop_base(t->prober->loop), t->fd, what, fn, t);
	if (!t->io || event_add(t->io, NULL) != 0)
		probe_fail(t, TLS_PROBE_NO_ROOM,
		    "the connection cannot be watched", "");
}

static void
on_handshake(evutil_socket_t fd, short what, void *arg)
{
	struct tls_probe *t = arg;
	int n, sys, kind;

	ERR_clear_error();
	errno = 0;
	n = SSL_connect(t->ssl);
	sys = errno;
	if (n == 1) {
		handshake_ended(t);
		return;
	}
	kind = SSL_get_error(t->ssl, n);
	if (kind == SSL_ERROR_WANT_READ)
		wait_for(t, EV_READ, on_handshake);
	else if (kind == SSL_ERROR_WANT_WRITE)
		wait_for(t, EV_WRITE, on_handshake);
	else
		handshake_failed(t, kind, sys);
}

/* As the list of one that OpenSSL wants: a byte of length before it.  It
 * returns 0 for success. */
static bool
offer_alpn(struct tls_probe *t)
{
	unsigned char list[1 + ALPN_MAX];
	size_t len;

	if (!t->alpn)
		return true;
	len = strlen(t->alpn);
	list[0] = (unsigned char)len;
	memcpy(list + 1, t->alpn, len);
	return SSL_set_alpn_protos(t->ssl, list, (unsigned)len + 1) == 0;
}

static void
handshake_start(struct tls_probe *t)
{
	t->ssl = SSL_new(t->prober->ctx);
	if (!t->ssl || SSL_set_fd(t->ssl, t->fd) != 1 || !offer_alpn(t) ||
	    (t->server_name &&
		SSL_set_tlsext_host_name(t->ssl, t->server_name) != 1)) {
		ERR_clear_error();
		probe_fail(t, TLS_PROBE_NO_ROOM,
		    "the TLS handshake cannot be started", "");
		return;
	}
	SSL_set_app_data(t->ssl, &t->result);
	timer_arm(t->deadline, t->ends_ms - loop_now_ms(t->prober->loop));
	on_handshake(t->fd, 0, t);
}

/* --- the connection --- */

/* Files, memory or ports of this host are used up. */
static bool
is_own_lack(int sys)
{
	return sys == EMFILE || sys == ENFILE || sys == ENOBUFS ||
	       sys == ENOMEM || sys == EADDRNOTAVAIL;
}

static void
connect_failed(struct tls_probe *t, int sys)
{
	t->result.fault =
	    is_own_lack(sys) ? TLS_PROBE_NO_ROOM : TLS_PROBE_NO_CONNECTION;
	snprintf(t->error, sizeof(t->error), "no connection to %s: %s",
	    t->address, strerror(sys));
	next_address(t);
}

static void
on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct tls_probe *t = arg;
	socklen_t len = sizeof(int);
	int sys = 0;

	if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0)
		sys = errno;
	if (sys != 0)
		connect_failed(t, sys);
	else
		handshake_start(t);
}

static void
connect_start(struct tls_probe *t, const struct sockaddr *address,
    socklen_t len)
{
	int64_t now = loop_now_ms(t->prober->loop);

	t->connected_from_ms = now;
	/* Those after it get their share of the time. */
	timer_arm(t->deadline,
	    (t->ends_ms - now) / (int64_t)(t->naddrs - t->at + 1));
	t->fd = socket(address->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0) {
		connect_failed(t, errno);
		return;
	}
	if (connect(t->fd, address, len) != 0 && errno != EINPROGRESS) {
		connect_failed(t, errno);
		return;
	}
	wait_for(t, EV_WRITE, on_connected);
}

/* What the address before it came to stands in the result. */
static void
next_address(struct tls_probe *t)
{
	struct tls_prober *p = t->prober;
	struct sockaddr_storage address;
	const char *refused;
	char text[LOOKUP_ADDR_SIZE + 10];

	probe_close(t);
	while (t->at < t->naddrs) {
		const char *addr = t->addrs[t->at++];
		/* Room going in, the address's length coming out: each anew. */
		int len = (int)sizeof(address);

		snprintf(t->address, sizeof(t->address), "%s", addr);
		snprintf(text, sizeof(text),
		    strchr(addr, ':') ? "[%s]:%d" : "%s:%d", addr, t->port);
		if (evutil_parse_sockaddr_port(text,
			(struct sockaddr *)&address, &len) != 0) {
			t->result.fault = TLS_PROBE_NO_CONNECTION;
			snprintf(t->error, sizeof(t->error), "%s is no address",
			    addr);
			continue;
		}
		refused = p->has_outbound ? outbound_refuses(&p->outbound,
						(struct sockaddr *)&address)
					  : NULL;
		if (!refused) {
			connect_start(t, (struct sockaddr *)&address,
			    (socklen_t)len);
			return;
		}
		t->result.fault = TLS_PROBE_REFUSED;
		snprintf(t->error, sizeof(t->error),
		    "%s is %s, which may not be asked", addr, refused);
	}
	probe_end(t);
}

static void
on_found(void *arg, const char (*addrs)[LOOKUP_ADDR_SIZE], size_t n)
{
	struct tls_probe *t = arg;

	if (n == 0) {
		probe_fail(t, TLS_PROBE_NO_NAME, "no address is known of ",
		    t->host);
		return;
	}
	memcpy(t->addrs, addrs, n * sizeof(addrs[0]));
	t->naddrs = n;
	next_address(t);
}

static void
on_deadline(void *arg)
{
	struct tls_probe *t = arg;

	if (t->at < t->naddrs && !t->ssl)
		connect_failed(t, ETIMEDOUT);
	else
		probe_fail(t, TLS_PROBE_TIMEOUT,
		    t->lookup && t->naddrs == 0
			? "no answer of the name servers within the time limit"
		    : t->ssl ? "no handshake within the time limit"
			     : "no connection within the time limit",
		    "");
}

/* --- turns --- */

static void
probe_begin(struct tls_probe *t)
{
	struct tls_prober *p = t->prober;

	TAILQ_REMOVE(&p->waiting, t, entry);
	p->nwaiting--;
	TAILQ_INSERT_TAIL(&p->running, t, entry);
	p->nrunning++;
	t->is_running = true;
	t->ends_ms = loop_now_ms(p->loop) + t->timeout_ms;
	timer_arm(t->deadline, t->timeout_ms);
	if (lookup_is_needed(t->host)) {
		t->lookup = lookup_start(&p->resolver, t->host, on_found, t);
		return;
	}
	snprintf(t->addrs[0], sizeof(t->addrs[0]), "%s", t->host);
	t->naddrs = 1;
	next_address(t);
}

static void
on_turn(void *arg)
{
	struct tls_prober *p = arg;
	int64_t now_us = loop_now_ms(p->loop) * 1000;

	if (p->next_us < now_us - BURST_US)
		p->next_us = now_us - BURST_US;
	while (p->nwaiting > 0 && p->nrunning < p->parallel) {
		if (p->per_second > 0 && p->next_us > now_us) {
			timer_arm(p->turn, (p->next_us - now_us) / 1000 + 1);
			return;
		}
		if (p->per_second > 0)
			p->next_us += 1000000 / p->per_second;
		probe_begin(TAILQ_FIRST(&p->waiting));
	}
}

static bool
is_protocol(const char *alpn)
{
	size_t len = strlen(alpn);

	return len > 0 && len <= ALPN_MAX;
}

rc
tls_probe_start(struct tls_prober *p, const struct tls_probe_target *target,
    tls_probe_done_fn *done, void *arg, struct tls_probe **out)
{
	struct tls_probe *t;

	if (target->host[0] == '\0' || target->port < 1 ||
	    target->port > 65535 || target->timeout_ms < 1 ||
	    (target->alpn && !is_protocol(target->alpn)))
		return RC_INVALID;
	t = mem_zalloc(sizeof(*t));
	t->prober = p;
	t->done = done;
	t->arg = arg;
	t->host = mem_strdup(target->host);
	t->server_name =
	    target->server_name ? mem_strdup(target->server_name) : NULL;
	t->alpn = target->alpn ? mem_strdup(target->alpn) : NULL;
	t->port = target->port;
	t->timeout_ms = target->timeout_ms;
	t->fd = -1;
	t->deadline = timer_new(p->loop, on_deadline, t);
	t->result.version = t->result.cipher = "";
	TAILQ_INSERT_TAIL(&p->waiting, t, entry);
	p->nwaiting++;
	if (!timer_is_armed(p->turn))
		timer_arm(p->turn, 0);
	*out = t;
	return RC_OK;
}

void
tls_probe_cancel(struct tls_probe *t)
{
	probe_leave(t);
	loop_defer(t->prober->loop, probe_free, t);
}

/* --- the prober --- */

rc
tls_prober_new(struct loop *l, const struct tls_prober_opts *opts,
    struct tls_prober **out)
{
	struct tls_prober *p;

	if (opts->parallel < 1 || opts->parallel > TLS_PROBE_PARALLEL_MAX ||
	    opts->per_second < 0)
		return RC_INVALID;
	p = mem_zalloc(sizeof(*p));
	p->ctx = tls_probe_ctx_new();
	if (!p->ctx) {
		free(p);
		return RC_CRYPTO;
	}
	p->loop = l;
	p->has_outbound = opts->outbound != NULL;
	if (opts->outbound)
		p->outbound = *opts->outbound;
	p->parallel = opts->parallel;
	p->per_second = opts->per_second;
	resolver_init(&p->resolver, l);
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->running);
	p->turn = timer_new(l, on_turn, p);
	*out = p;
	return RC_OK;
}

static void
free_all(struct probe_list *list)
{
	struct tls_probe *t;

	while ((t = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, t, entry);
		probe_free(t);
	}
}

void
tls_prober_free(struct tls_prober *p)
{
	if (!p)
		return;
	free_all(&p->waiting);
	free_all(&p->running);
	resolver_fini(&p->resolver);
	timer_free(p->turn);
	SSL_CTX_free(p->ctx);
	free(p);
}

size_t
tls_prober_running(const struct tls_prober *p)
{
	return p->nrunning;
}

size_t
tls_prober_waiting(const struct tls_prober *p)
{
	return p->nwaiting;
}
