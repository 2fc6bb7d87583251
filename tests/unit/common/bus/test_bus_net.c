/*
 * The bus at its edges: who is told what at once, who may connect, foreign
 * bytes, TCP and TLS.
 */
#include "common/bus/bus.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <netinet/in.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/reqrep0/req.h>
#include <openssl/ssl.h>

#include "common/bus/addr.h"
#include "tests/unit/check.h"
#include "tests/unit/common/bus/rig.h"
#include "tests/unit/common/bus/testcert.h"

#define LONG_MS 10000

static struct rig rig;
static struct rig_server a, b;
static struct rig_client c;
static char url[160];

static void
set_path(struct sockaddr_un *sun, const char *suffix)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "%s%s", url + 6, suffix);
	CHECK(strlen(path) < sizeof(sun->sun_path));
	memcpy(sun->sun_path, path, strlen(path) + 1);
}

/* Who connects is told the leader without waiting for a beat; who wants events
 * only once he would hear them. */
static void
test_told_at_once(void)
{
	const char *urls[] = {url, NULL};

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 7, true), RC_OK);
	a.is_mute = true;
	CHECK_INT(rig_client_start_deaf(&rig, &c, urls), RC_OK);
	CHECK(rig_follows(&rig, &c, 7, LONG_MS));
	CHECK_INT(a.hellos, 1);
	rig_client_stop(&c);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	a.hellos = 0;
	CHECK(rig_until(&rig, rig_is_positive, &a.hellos, LONG_MS));
	rig_pass(&rig, 200);
	CHECK_INT(c.leaders, 0);
	a.is_mute = false;
	CHECK(rig_follows(&rig, &c, 7, LONG_MS));
	rig_stop(&rig, &c, &a, &b);
}

static void
test_bad_configuration(void)
{
	const char *none[] = {NULL};
	const char *bad[] = {"tcp://192.0.2.1:7400", NULL};
	const char *tls[] = {"tls+tcp://localhost:7400", NULL};
	const struct bus_tls missing = {"/nonexistent/ca", "/nonexistent/cert",
	    "/nonexistent/key"};

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_client_start(&rig, &c, none, NULL), RC_INVALID);
	CHECK_INT(rig_client_start(&rig, &c, bad, NULL), RC_INVALID);
	CHECK_INT(rig_client_start(&rig, &c, tls, NULL), RC_INVALID);
	CHECK_INT(rig_client_start(&rig, &c, tls, &missing), RC_INVALID);
	CHECK_INT(rig_server_start(&rig, &a, bad[0], NULL, 1, true),
	    RC_INVALID);
	CHECK_INT(rig_server_start(&rig, &a, tls[0], &missing, 1, true),
	    RC_INVALID);
	CHECK_INT(rig_server_start(&rig, &a, "ipc:///nonexistent/x", NULL, 1,
		      true),
	    RC_IO);
	rig_stop(&rig, &c, &a, &b);
}

/* --- foreign bytes, through nng itself --- */

static nng_socket raw;

static void
dial_raw(int (*open_fn)(nng_socket *), const char *suffix)
{
	char full[200];

	(void)snprintf(full, sizeof(full), "%s%s", url, suffix);
	CHECK_INT(open_fn(&raw), 0);
	CHECK_INT(nng_dial(raw, full, NULL, 0), 0);
}

static void
send_raw(const void *bytes, size_t len)
{
	nng_msg *m;

	CHECK_INT(nng_msg_alloc(&m, 0), 0);
	CHECK_INT(nng_msg_append(m, bytes, len), 0);
	CHECK_INT(nng_sendmsg(raw, m, 0), 0);
}

static bool
has_answer(void *arg)
{
	return nng_recvmsg(raw, arg, NNG_FLAG_NONBLOCK) == 0;
}

static void
test_garbage_requests(void)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
	    {"", 0},
	    {"hello", 5},
	    {"CB\x01\x02", 4},
	    /* version 2 */
	    {"CB\x02\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24},
	    /* kinds that nobody may ask with */
	    {"CB\x01\x63\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24},
	    {"CB\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24},
	    /* a length that lies */
	    {"CB\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\0\0\0", 24},
	};
	struct frame f;
	nng_msg *m;

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	dial_raw(nng_req0_open, ".work");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		send_raw(rows[i].bytes, rows[i].len);
		CHECK(rig_until(&rig, has_answer, &m, LONG_MS));
		CHECK_INT(frame_decode(nng_msg_body(m), nng_msg_len(m), &f),
		    RC_OK);
		CHECK_INT(f.kind, FRAME_UNKNOWN);
		nng_msg_free(m);
	}
	CHECK_INT(a.n_asked, 0);
	nng_close(raw);
	rig_pass(&rig, 50);
	CHECK_INT(a.n_closed, 0); /* it never asked anything */
	rig_stop(&rig, &c, &a, &b);
}

static void
test_garbage_hints(void)
{
	static const char good[] =
	    "CB\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02{}";

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	dial_raw(nng_push0_open, ".hint");
	send_raw("", 0);
	send_raw("rubbish", 7);
	send_raw("CB\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
	send_raw(good, sizeof(good) - 1);
	CHECK(rig_until(&rig, rig_is_positive, &a.hints, LONG_MS));
	CHECK_INT(a.hints, 1);
	CHECK_STR(a.hint, "{}");
	nng_close(raw);
	rig_stop(&rig, &c, &a, &b);
}

/* --- TCP and TLS --- */

/* A port with two free ones behind it, as good as one can know. */
static int
free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int port, fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sin, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
		return 0;
	port = ntohs(sin.sin_port);
	close(fd);
	return port;
}

static void
start_tcp(const char *scheme, const struct bus_tls *tls)
{
	rc code = RC_BUSY;

	for (int i = 0; i < 20 && code == RC_BUSY; i++) {
		(void)snprintf(url, sizeof(url), "%s%d", scheme, free_port());
		code = rig_server_start(&rig, &a, url, tls, 1, true);
	}
	CHECK_INT(code, RC_OK);
}

/* Hint, event, request, reply, and the end of the connection. */
static void
exchange(const struct bus_tls *tls)
{
	const char *urls[] = {url, NULL};
	struct rig_reply reply;

	CHECK_INT(rig_client_start(&rig, &c, urls, tls), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	bus_client_hint(c.bus, "{\"jobs\":1}", 10);
	CHECK(rig_until(&rig, rig_is_positive, &a.hints, LONG_MS));
	rig_server_event(&a, "{\"tables\":[\"agents\"]}");
	CHECK(rig_until(&rig, rig_is_positive, &c.events, LONG_MS));
	CHECK_INT(rig_ask(&c, "{\"room\":9}", LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));
	CHECK_STR(a.asked[0].body, "{\"room\":9}");
	rig_server_answer(&a, 0, "{\"leases\":[]}");
	CHECK(rig_until(&rig, rig_is_positive, &reply.calls, LONG_MS));
	CHECK_INT(reply.code, RC_OK);
	CHECK_STR(reply.body, "{\"leases\":[]}");
	rig_client_stop(&c);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_closed, LONG_MS));
	CHECK_INT(a.closed[0], a.asked[0].pipe);
}

static void
test_tcp(void)
{
	CHECK(rig_start(&rig, url));
	start_tcp("tcp://127.0.0.1:", NULL);
	exchange(NULL);
	rig_stop(&rig, &c, &a, &b);
}

/*
 * The connection stays up and nothing comes through it, as after the other
 * host lost power: it is made anew, and followed again once there are beats.
 */
static void
test_silent_connection(void)
{
	const char *urls[] = {url, NULL};
	struct rig_reply reply;

	CHECK(rig_start(&rig, url));
	start_tcp("tcp://127.0.0.1:", NULL);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	CHECK_INT(rig_ask(&c, "{\"room\":1}", 2 * LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));
	a.term = 0;
	CHECK(rig_until(&rig, rig_is_positive, &a.n_closed, LONG_MS));
	CHECK_INT(a.closed[0], a.asked[0].pipe);
	CHECK_INT(reply.calls, 1);
	CHECK_INT(reply.code, RC_PEER_GONE);
	a.term = 2;
	CHECK(rig_follows(&rig, &c, 2, LONG_MS));
	rig_stop(&rig, &c, &a, &b);
}

/* Beats from a scheduler whose port for requests takes connections and says
 * nothing. */
struct mute {
	nng_socket events;
	int work_fd;
	int taken[2];
	int n_taken;
};

static int
listen_mute(int port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)port);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 &&
	    listen(fd, 8) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
mute_start(struct mute *m)
{
	int port = free_port();
	char events[64];

	*m = (struct mute){.work_fd = listen_mute(port + BUS_WORK)};
	if (m->work_fd < 0)
		return false;
	(void)snprintf(events, sizeof(events), "tcp://127.0.0.1:%d",
	    port + BUS_EVENTS);
	CHECK_INT(nng_pub0_open(&m->events), 0);
	if (nng_listen(m->events, events, NULL, 0) != 0) {
		nng_close(m->events);
		close(m->work_fd);
		return false;
	}
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
	return true;
}

static bool
was_dialled_twice(void *arg)
{
	static const char beat[] =
	    "CB\x01\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x0f"
	    "{\"leader\":true}";
	struct mute *m = arg;
	int fd = accept(m->work_fd, NULL, NULL);

	CHECK_INT(nng_send(m->events, (char *)beat, sizeof(beat) - 1, 0), 0);
	if (fd >= 0)
		m->taken[m->n_taken++] = fd;
	return m->n_taken == 2;
}

/* Beats alone do not make up for a scheduler that cannot be asked. */
static void
test_silent_work_link(void)
{
	const char *urls[] = {url, NULL};
	struct mute m;
	bool is_up = false;

	CHECK(rig_start(&rig, url));
	for (int i = 0; i < 20 && !is_up; i++)
		is_up = mute_start(&m);
	CHECK(is_up);
	CHECK_INT(rig_client_start(&rig, &c, urls, NULL), RC_OK);
	CHECK(rig_until(&rig, was_dialled_twice, &m, LONG_MS));
	CHECK_INT(c.leaders, 0);
	rig_client_stop(&c);
	nng_close(m.events);
	close(m.work_fd);
	close(m.taken[0]);
	close(m.taken[1]);
	rig_stop(&rig, &c, &a, &b);
}

struct files {
	char ca[128], cert[128], key[128];
	struct bus_tls tls;
};

/* A CA of its own and one certificate for dns. */
static void
make_files(struct files *f, const char *name, const char *dns)
{
	struct testca *ca;

	(void)snprintf(f->ca, sizeof(f->ca), "%s/%s-ca.pem", rig.dir, name);
	(void)snprintf(f->cert, sizeof(f->cert), "%s/%s.pem", rig.dir, name);
	(void)snprintf(f->key, sizeof(f->key), "%s/%s.key", rig.dir, name);
	f->tls = (struct bus_tls){f->ca, f->cert, f->key};
	ca = testca_new(name, f->ca);
	CHECK(ca);
	CHECK(testca_issue(ca, dns, f->cert, f->key));
	testca_free(ca);
}

static void
test_tls(void)
{
	struct files f;

	CHECK(rig_start(&rig, url));
	make_files(&f, "bus", "localhost");
	start_tcp("tls+tcp://localhost:", &f.tls);
	exchange(&f.tls);
	rig_stop(&rig, &c, &a, &b);
}

/* The listener has one of localhost's addresses: of IPv6 where hosts(5) says
 * so. */
static int
connect_tcp(void)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const struct timeval limit = {.tv_sec = LONG_MS / 1000};
	struct addrinfo *found = NULL, *one;
	int fd = -1;

	CHECK_INT(getaddrinfo("localhost", strrchr(url, ':') + 1, &hints,
		      &found),
	    0);
	for (one = found; one != NULL && fd < 0; one = one->ai_next) {
		fd = socket(one->ai_family, SOCK_STREAM, 0);
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
		    sizeof(limit));
		if (fd >= 0 &&
		    connect(fd, one->ai_addr, one->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

/* Whether the listener shows a certificate of the CA in this file.  It then
 * turns a stranger away, who shows none. */
static bool
is_served(void *arg)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	int fd = connect_tcp();
	bool is_good = false;
	X509 *shown;

	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (fd >= 0 && SSL_CTX_load_verify_file(ctx, arg) == 1 &&
	    SSL_set_fd(ssl, fd) == 1) {
		(void)SSL_connect(ssl);
		shown = SSL_get1_peer_certificate(ssl);
		is_good = shown && SSL_get_verify_result(ssl) == X509_V_OK;
		X509_free(shown);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	if (fd >= 0)
		close(fd);
	return is_good;
}

/* New files of the same names, of another CA; whoever is connected stays, and
 * whoever comes with the new ones is let in. How often the first found a
 * leader. */
static int
reload_scene(void)
{
	const char *urls[] = {url, NULL};
	static struct rig_client before;
	struct rig_reply reply;
	struct files f, next;
	int leaders;

	CHECK(rig_start(&rig, url));
	make_files(&f, "bus", "localhost");
	start_tcp("tls+tcp://localhost:", &f.tls);
	CHECK_INT(rig_client_start(&rig, &before, urls, &f.tls), RC_OK);
	CHECK(rig_follows(&rig, &before, 1, LONG_MS));

	/* Half of it is not used: the key is another's. */
	make_files(&next, "next", "localhost");
	CHECK_INT(rename(next.key, f.key), 0);
	rig_pass(&rig, 2500); /* longer than from one look to the next */
	CHECK(is_served(f.ca));
	CHECK(is_served(f.ca));

	CHECK_INT(rename(next.cert, f.cert), 0);
	CHECK_INT(rename(next.ca, f.ca), 0);
	CHECK(rig_until(&rig, is_served, f.ca, LONG_MS));
	CHECK_INT(rig_client_start(&rig, &c, urls, &f.tls), RC_OK);
	CHECK(rig_follows(&rig, &c, 1, LONG_MS));
	rig_client_stop(&c);
	leaders = before.leaders;
	CHECK_INT(rig_ask(&before, "{}", LONG_MS, &reply), RC_OK);
	CHECK(rig_until(&rig, rig_is_positive, &a.n_asked, LONG_MS));

	/* The dialler too shows the new one when it has to dial again. */
	rig_server_stop(&a);
	CHECK_INT(rig_server_start(&rig, &a, url, &f.tls, 2, true), RC_OK);
	CHECK(rig_follows(&rig, &before, 2, LONG_MS));
	rig_client_stop(&before);
	rig_stop(&rig, &c, &a, &b);
	return leaders;
}

/* A machine that pauses us for longer than a silent leader is believed makes
 * the client connect anew as well, though not each time. */
static void
test_tls_reload(void)
{
	int leaders = 0;

	for (int i = 0; leaders != 1 && i < 4; i++)
		leaders = reload_scene();
	CHECK_INT(leaders, 1);
}

static void
check_refused(const struct bus_tls *tls)
{
	const char *urls[] = {url, NULL};

	CHECK_INT(rig_client_start(&rig, &c, urls, tls), RC_OK);
	bus_client_hint(c.bus, "{}", 2);
	rig_pass(&rig, 1000);
	CHECK_INT(c.leaders, 0);
	CHECK_INT(a.hints, 0);
	rig_client_stop(&c);
}

static void
test_tls_refusals(void)
{
	struct files f, other, named;
	struct bus_tls mixed;

	CHECK(rig_start(&rig, url));
	make_files(&f, "bus", "localhost");
	make_files(&other, "other", "localhost");
	start_tcp("tls+tcp://localhost:", &f.tls);

	/* A certificate of another CA, the right CA trusted: the server
	 * refuses. */
	mixed = other.tls;
	mixed.ca_file = f.ca;
	check_refused(&mixed);
	/* The right certificate, another CA trusted: the client refuses. */
	mixed = f.tls;
	mixed.ca_file = other.ca;
	check_refused(&mixed);
	rig_server_stop(&a);

	/* The server's certificate is for another name. */
	make_files(&named, "named", "elsewhere.example");
	start_tcp("tls+tcp://localhost:", &named.tls);
	check_refused(&named.tls);
	rig_server_stop(&a);

	/* A key that others can read. */
	CHECK_INT(chmod(f.key, 0644), 0);
	CHECK_INT(rig_server_start(&rig, &a, "tls+tcp://localhost:7400", &f.tls,
		      1, true),
	    RC_INVALID);
	rig_stop(&rig, &c, &a, &b);
}

/* What the server wrote is of no interest. */
static bool
is_cut(void *arg)
{
	char bytes[64];
	ssize_t n;

	do
		n = recv(*(int *)arg, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (n > 0);
	return n == 0 || errno == ECONNRESET;
}

/*
 * Over the limit nng cuts the connection before it allocates.  That is where
 * nng 1.5 may stop burying connections (see nngsock.c), and then nothing is
 * closed in this process any more: this test comes last, and speaks for itself.
 */
static void
test_too_large_hint(void)
{
	/* The protocol's greeting as a pusher, a message, its length. */
	static const char bytes[] = "\0SP\0\0\x50\0\0"
				    "\x01"
				    "\0\0\0\0\0\x05\0\0";
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(rig_start(&rig, url));
	CHECK_INT(rig_server_start(&rig, &a, url, NULL, 1, true), RC_OK);
	set_path(&sun, ".hint");
	CHECK_INT(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	CHECK_INT(send(fd, bytes, sizeof(bytes) - 1, 0), sizeof(bytes) - 1);
	CHECK(rig_until(&rig, is_cut, &fd, LONG_MS));
	CHECK_INT(a.hints, 0);
	close(fd);
	rig_stop(&rig, &c, &a, &b);
}

CHECK_MAIN(CHECK_ROW(test_told_at_once), CHECK_ROW(test_bad_configuration),
    CHECK_ROW(test_garbage_requests), CHECK_ROW(test_garbage_hints),
    CHECK_ROW(test_tcp), CHECK_ROW(test_silent_connection),
    CHECK_ROW(test_silent_work_link), CHECK_ROW(test_tls),
    CHECK_ROW(test_tls_reload), CHECK_ROW(test_tls_refusals),
    CHECK_ROW(test_too_large_hint))
