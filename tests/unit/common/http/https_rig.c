#include "tests/unit/common/http/https_rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/common/bus/testcert.h"

struct loop *loop;
struct http_out *client;
char ca_file[96];
static char dir[64], cert_file[96], key_file[96];
static SSL_CTX *ctx;
static struct evhttp *server;
static int port;
int connections;

struct seen seen;

static void
keep(char *out, size_t size, const char *value)
{
	(void)snprintf(out, size, "%s", value ? value : "");
}

static void
on_http(struct evhttp_request *req, void *arg)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);
	struct evbuffer *body = evhttp_request_get_input_buffer(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);
	const char *uri = evhttp_request_get_uri(req);
	ev_ssize_t n;

	seen.count++;
	seen.method = evhttp_request_get_command(req);
	keep(seen.uri, sizeof(seen.uri), uri);
	keep(seen.authorization, sizeof(seen.authorization),
	    evhttp_find_header(in, "Authorization"));
	keep(seen.content_type, sizeof(seen.content_type),
	    evhttp_find_header(in, "Content-Type"));
	n = evbuffer_copyout(body, seen.body, sizeof(seen.body) - 1);
	seen.body[n > 0 ? n : 0] = '\0';

	if (strcmp(uri, "/never") == 0)
		return; /* freed with the server */
	if (strcmp(uri, "/missing") == 0) {
		evbuffer_add_printf(out, "{\"error\":\"no\"}");
		evhttp_send_reply(req, 404, "Not Found", NULL);
		return;
	}
	if (strcmp(uri, "/moved") == 0) {
		evhttp_add_header(evhttp_request_get_output_headers(req),
		    "Location", "/hello");
		evhttp_send_reply(req, 302, "Found", NULL);
		return;
	}
	if (strncmp(uri, "/size/", 6) == 0) {
		for (long i = strtol(uri + 6, NULL, 10); i > 0; i--)
			evbuffer_add(out, "x", 1);
		evhttp_send_reply(req, 200, "OK", NULL);
		return;
	}
	if (strncmp(uri, "/chunked/", 9) == 0) {
		evhttp_send_reply_start(req, 200, "OK");
		for (long i = strtol(uri + 9, NULL, 10); i > 0; i--) {
			struct evbuffer *chunk = evbuffer_new();

			evbuffer_add(chunk, "x", 1);
			evhttp_send_reply_chunk(req, chunk);
			evbuffer_free(chunk);
		}
		evhttp_send_reply_end(req);
		return;
	}
	evbuffer_add_printf(out, "{\"ok\":true}");
	evhttp_send_reply(req, 200, "OK", NULL);
}

static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	connections++;
	return bufferevent_openssl_socket_new(base, -1, SSL_new(ctx),
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

void
server_start(const char *dns, int max_version)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in sin = {0};
	socklen_t len = sizeof(sin);
	struct testca *ca;

	memset(&seen, 0, sizeof(seen));
	connections = 0;
	(void)snprintf(dir, sizeof(dir), "/tmp/certctl-http-XXXXXX");
	CHECK(mkdtemp(dir));
	(void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", dir);
	(void)snprintf(cert_file, sizeof(cert_file), "%s/cert.pem", dir);
	(void)snprintf(key_file, sizeof(key_file), "%s/key.pem", dir);
	ca = testca_new("http test", ca_file);
	CHECK(ca);
	CHECK(testca_issue(ca, dns, cert_file, key_file));
	testca_free(ca);

	CHECK_INT(loop_new(&loop), RC_OK);
	ctx = SSL_CTX_new(TLS_server_method());
	CHECK(ctx);
	CHECK(SSL_CTX_set_max_proto_version(ctx, max_version));
	CHECK(SSL_CTX_use_certificate_file(ctx, cert_file, SSL_FILETYPE_PEM));
	CHECK(SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM));
	server = evhttp_new(loop_base(loop));
	CHECK(server);
	evhttp_set_bevcb(server, on_connection, NULL);
	evhttp_set_gencb(server, on_http, NULL);
	evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_POST |
					       EVHTTP_REQ_DELETE |
					       EVHTTP_REQ_PUT);
	bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
	CHECK(bound);
	CHECK_INT(getsockname(evhttp_bound_socket_get_fd(bound),
		      (struct sockaddr *)&sin, &len),
	    0);
	port = ntohs(sin.sin_port);
}

void
client_start(const char *ca, bool insecure)
{
	const struct http_out_opts opts = {
	    .ca_file = ca,
	    .insecure = insecure,
	    .user_agent = "certctl-test",
	};

	CHECK_INT(http_out_new(loop, &opts, &client), RC_OK);
}

void
start(void)
{
	server_start("localhost", TLS1_3_VERSION);
	client_start(ca_file, false);
}

void
stop(void)
{
	http_out_free(client);
	client = NULL;
	evhttp_free(server);
	SSL_CTX_free(ctx);
	loop_free(loop);
	unlink(ca_file);
	unlink(cert_file);
	unlink(key_file);
	rmdir(dir);
}

/* --- calls --- */

static void
on_done(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct result *r = arg;

	r->calls++;
	r->code = code;
	r->status = status;
	r->len = len;
	(void)snprintf(r->body, sizeof(r->body), "%s", body);
	(void)snprintf(r->error, sizeof(r->error), "%s", error ? error : "");
	if (r->also_cancel)
		http_call_cancel(r->also_cancel->call);
	if (r->then_get)
		get(r->then_get, r->then_result);
}

rc
call_url(const char *method, const char *url, const char *bearer,
    const char *body, int64_t timeout_ms, struct result *r)
{
	const struct http_request req = {
	    .method = method,
	    .url = url,
	    .bearer = bearer,
	    .body = body,
	    .body_len = body ? strlen(body) : 0,
	    .timeout_ms = timeout_ms,
	    .max_reply = REPLY_MAX,
	};

	r->calls = 0;
	return http_out_start(client, &req, on_done, r, &r->call);
}

rc
call(const char *method, const char *path, const char *bearer, const char *body,
    int64_t timeout_ms, struct result *r)
{
	char url[256];

	(void)snprintf(url, sizeof(url), "https://localhost:%d%s", port, path);
	return call_url(method, url, bearer, body, timeout_ms, r);
}

void
get(const char *path, struct result *r)
{
	CHECK_INT(call("GET", path, NULL, NULL, LONG_MS, r), RC_OK);
	CHECK_INT(r->calls, 0); /* never from within the start */
}

struct waiter {
	struct timer *timer;
	const int *value;
	int want;
	int64_t end_ms;
};

static void
on_step(void *arg)
{
	struct waiter *w = arg;

	if ((w->value && *w->value >= w->want) || clock_boot_ms() >= w->end_ms)
		loop_stop(loop);
	else
		timer_arm(w->timer, 2);
}

void
run(const int *value, int want, int64_t ms)
{
	struct waiter w = {.value = value, .want = want};

	w.end_ms = clock_boot_ms() + ms;
	w.timer = timer_new(loop, on_step, &w);
	timer_arm(w.timer, 0);
	CHECK_INT(loop_run(loop), RC_OK);
	timer_free(w.timer);
}

void
await(struct result *r)
{
	run(&r->calls, 1, LONG_MS);
	CHECK_INT(r->calls, 1);
}
