#include "tests/unit/common/tls/tls_rig.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "common/base/enc.h"
#include "common/base/file.h"
#include "common/pki/cert/cert.h"
#include "tests/unit/check.h"
#include "tests/unit/common/bus/testcert.h"

#define SERVERS_MAX 4
#define DRIP_MS 20

struct loop *loop;
struct tls_prober *prober;
int ended, odd_open, odd_most;
void (*on_end)(struct seen *s);

static char dir[64], ca_file[96], cert_file[96], key_file[96], leaf_hex[65];
static pid_t servers[SERVERS_MAX];
static FILE *outputs[SERVERS_MAX];
static size_t nservers;
static struct evconnlistener *listener;
static enum odd odd;
static int awaited;

/* Connections that are still open at the end. */
static struct odd_conn {
	struct odd_conn *next;
	struct bufferevent *bev;
	struct timer *drip;
} * odd_conns;

/* --- openssl s_server --- */

static void
read_leaf(void)
{
	struct arena *a = arena_new();
	struct cert_info info;
	char *pem;
	size_t len;
	X509 *x;

	CHECK_INT(file_read(a, cert_file, 65536, &pem, &len), RC_OK);
	CHECK_INT(cert_from_pem(pem, len, &x), RC_OK);
	CHECK_INT(cert_read(a, x, &info), RC_OK);
	memcpy(leaf_hex, info.fingerprint_sha256, sizeof(leaf_hex));
	X509_free(x);
	arena_free(a);
}

static void
make_pair(void)
{
	struct testca *ca;

	if (dir[0])
		return;
	(void)snprintf(dir, sizeof(dir), "/tmp/certctl-tls-XXXXXX");
	CHECK(mkdtemp(dir));
	(void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", dir);
	(void)snprintf(cert_file, sizeof(cert_file), "%s/cert.pem", dir);
	(void)snprintf(key_file, sizeof(key_file), "%s/key.pem", dir);
	ca = testca_new("tls test", ca_file);
	CHECK(ca);
	CHECK(testca_issue(ca, "tls.example", cert_file, key_file));
	testca_free(ca);
	read_leaf();
}

static void
server_run(const char *const *args, int out)
{
	const char *argv[32] = {"openssl", "s_server", "-accept", "127.0.0.1:0",
	    "-www", "-cert", cert_file, "-key", key_file};
	size_t n = 9;

	for (; *args && n < ARRAY_LEN(argv) - 1; args++)
		argv[n++] = strcmp(*args, "CA") == 0     ? ca_file
			    : strcmp(*args, "CERT") == 0 ? cert_file
			    : strcmp(*args, "KEY") == 0  ? key_file
							 : *args;
	dup2(out, STDOUT_FILENO);
	(void)execvp(argv[0], (char *const *)argv);
	_exit(127);
}

int
server_start(const char *const *args)
{
	char line[256] = "";
	int fds[2], port = 0;

	make_pair();
	CHECK(nservers < SERVERS_MAX);
	CHECK_INT(pipe(fds), 0);
	servers[nservers] = fork();
	if (servers[nservers] == 0)
		server_run(args, fds[1]);
	CHECK(servers[nservers] > 0);
	close(fds[1]);
	outputs[nservers] = fdopen(fds[0], "r");
	/* "ACCEPT 127.0.0.1:41234", once it listens. */
	while (fgets(line, sizeof(line), outputs[nservers]) &&
	       sscanf(line, "ACCEPT 127.0.0.1:%d", &port) != 1)
		;
	nservers++;
	CHECK(port > 0);
	return port;
}

const char *
server_leaf(void)
{
	return leaf_hex;
}

static void
servers_stop(void)
{
	for (size_t i = 0; i < nservers; i++) {
		kill(servers[i], SIGKILL);
		waitpid(servers[i], NULL, 0);
		(void)fclose(outputs[i]);
	}
	nservers = 0;
	if (!dir[0])
		return;
	unlink(ca_file);
	unlink(cert_file);
	unlink(key_file);
	rmdir(dir);
	dir[0] = '\0';
}

/* --- servers that are none --- */

static void
odd_free(struct odd_conn *c)
{
	struct odd_conn **at = &odd_conns;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	timer_free(c->drip);
	bufferevent_free(c->bev);
	free(c);
	odd_open--;
}

static void
odd_on_event(struct bufferevent *bev, short what, void *arg)
{
	odd_free(arg);
}

static void
odd_on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	evbuffer_drain(in, evbuffer_get_length(in));
	if (odd == ODD_HTTP)
		bufferevent_write(bev, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	else if (odd == ODD_RUBBISH)
		bufferevent_write(bev, "\x16\x03\x03\xff\xff\x02\x00\x00", 8);
}

/* The head of a handshake record, and then its bytes one by one. */
static void
odd_on_drip(void *arg)
{
	struct odd_conn *c = arg;

	bufferevent_write(c->bev, "\x00", 1);
	timer_arm(c->drip, DRIP_MS);
}

static void
odd_on_connection(struct evconnlistener *from, evutil_socket_t fd,
    struct sockaddr *address, int len, void *arg)
{
	struct odd_conn *c;

	if (odd == ODD_CLOSE) {
		close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	CHECK(c);
	c->bev =
	    bufferevent_socket_new(loop_base(loop), fd, BEV_OPT_CLOSE_ON_FREE);
	c->next = odd_conns;
	odd_conns = c;
	if (++odd_open > odd_most)
		odd_most = odd_open;
	c->drip = timer_new(loop, odd_on_drip, c);
	bufferevent_setcb(c->bev, odd_on_read, NULL, odd_on_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	if (odd == ODD_DRIP) {
		bufferevent_write(c->bev, "\x16\x03\x03\x3f\x00\x02\x00\x3e",
		    8);
		timer_arm(c->drip, DRIP_MS);
	}
}

int
odd_start(enum odd how)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);

	odd = how;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = evconnlistener_new_bind(loop_base(loop), odd_on_connection,
	    NULL, LEV_OPT_CLOSE_ON_FREE, 512, (struct sockaddr *)&sin,
	    (int)sizeof(sin));
	CHECK(listener);
	CHECK_INT(getsockname(evconnlistener_get_fd(listener),
		      (struct sockaddr *)&sin, &len),
	    0);
	return ntohs(sin.sin_port);
}

/* --- probes --- */

void
start(const struct tls_prober_opts *opts)
{
	ended = awaited = odd_open = odd_most = 0;
	on_end = NULL;
	CHECK_INT(loop_new(&loop), RC_OK);
	CHECK_INT(tls_prober_new(loop, opts, &prober), RC_OK);
}

void
start_plain(void)
{
	const struct tls_prober_opts opts = {.parallel = 64};

	start(&opts);
}

void
stop(void)
{
	tls_prober_free(prober);
	prober = NULL;
	if (listener)
		evconnlistener_free(listener);
	listener = NULL;
	while (odd_conns)
		odd_free(odd_conns);
	loop_free(loop);
	loop = NULL;
	servers_stop();
}

static void
on_probed(void *arg, const struct tls_probe_result *r)
{
	struct seen *s = arg;

	s->calls++;
	s->fault = r->fault;
	(void)snprintf(s->error, sizeof(s->error), "%s", r->error);
	(void)snprintf(s->address, sizeof(s->address), "%s", r->address);
	(void)snprintf(s->version, sizeof(s->version), "%s", r->version);
	(void)snprintf(s->cipher, sizeof(s->cipher), "%s", r->cipher);
	s->response_ms = r->response_ms;
	s->asks_certificate = r->asks_certificate;
	s->takes_alpn = r->takes_alpn;
	s->nchain = r->nchain;
	if (r->nchain > 0)
		enc_sha256_hex(r->chain[0].der, r->chain[0].len, s->leaf);
	if (on_end)
		on_end(s);
	if (++ended == awaited)
		loop_stop(loop);
}

void
probe_target(const struct tls_probe_target *target, struct seen *s)
{
	int before = s->calls;

	CHECK_INT(tls_probe_start(prober, target, on_probed, s, &s->probe),
	    RC_OK);
	CHECK_INT(s->calls, before); /* never from inside */
}

void
probe(const char *host, int port, const char *name, int64_t timeout_ms,
    struct seen *s)
{
	const struct tls_probe_target target = {.host = host,
	    .port = port,
	    .server_name = name,
	    .timeout_ms = timeout_ms};

	probe_target(&target, s);
}

static void
on_limit(void *arg)
{
	loop_stop(loop);
}

void
await(int n)
{
	struct timer *limit = timer_new(loop, on_limit, NULL);
	rc ret = RC_OK;

	awaited = n;
	timer_arm(limit, LONG_MS);
	if (ended < n)
		ret = loop_run(loop);
	timer_free(limit);
	CHECK_INT(ret, RC_OK);
	CHECK_INT(ended, n);
}
