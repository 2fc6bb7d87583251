#include "common/http/http_out.h"

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

#define LONG_MS 10000
#define REPLY_MAX 4096

/* --- a small TLS server on the same loop --- */

static struct loop *loop;
static struct http_out *client;
static char dir[64], ca_file[96], cert_file[96], key_file[96];
static SSL_CTX *ctx;
static struct evhttp *server;
static int port;
static int connections;

static struct {
	int count;
	enum evhttp_cmd_type method;
	char uri[128];
	char authorization[128];
	char content_type[64];
	char body[256];
} seen;

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

static void
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

static void
client_start(const char *ca, bool insecure)
{
	const struct http_out_opts opts = {
	    .ca_file = ca,
	    .insecure = insecure,
	    .user_agent = "certctl-test",
	};

	CHECK_INT(http_out_new(loop, &opts, &client), RC_OK);
}

static void
roots_that_are_none_are_found_at_once(void)
{
	static const char *const bad[] = {"/no/such/file", "/etc/passwd",
	    "/tmp", "/dev/null"};
	struct http_out_opts opts = {0};
	struct http_out *none = NULL;

	CHECK_INT(loop_new(&loop), RC_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.ca_file = bad[i];
		CHECK_INT(http_out_new(loop, &opts, &none), RC_INVALID);
		CHECK(!none);
	}
	loop_free(loop);
}

static void
start(void)
{
	server_start("localhost", TLS1_3_VERSION);
	client_start(ca_file, false);
}

static void
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

struct result {
	struct http_call *call;
	int calls;
	rc code;
	int status;
	size_t len;
	char body[256];
	char error[256];
	struct result *also_cancel; /* from within the callback */
	const char *then_get;
	struct result *then_result;
};

static void get(const char *path, struct result *r);

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

static rc
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

static rc
call(const char *method, const char *path, const char *bearer, const char *body,
    int64_t timeout_ms, struct result *r)
{
	char url[256];

	(void)snprintf(url, sizeof(url), "https://localhost:%d%s", port, path);
	return call_url(method, url, bearer, body, timeout_ms, r);
}

static void
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

static void
run(const int *value, int want, int64_t ms)
{
	struct waiter w = {.value = value, .want = want};

	w.end_ms = clock_boot_ms() + ms;
	w.timer = timer_new(loop, on_step, &w);
	timer_arm(w.timer, 0);
	CHECK_INT(loop_run(loop), RC_OK);
	timer_free(w.timer);
}

static void
await(struct result *r)
{
	run(&r->calls, 1, LONG_MS);
	CHECK_INT(r->calls, 1);
}

static void
test_get(void)
{
	struct result r = {0};

	start();
	get("/hello", &r);
	await(&r);
	CHECK_STR(r.error, "");
	CHECK_INT(r.code, RC_OK);
	CHECK_INT(r.status, 200);
	CHECK_STR(r.body, "{\"ok\":true}");
	CHECK_INT(r.len, 11);
	CHECK_INT(seen.method, EVHTTP_REQ_GET);
	CHECK_STR(seen.uri, "/hello");
	CHECK_STR(seen.authorization, "");
	stop();
}

static void
test_post(void)
{
	struct result r = {0};

	start();
	CHECK_INT(call("POST", "/x", "key-1", "{\"a\":1}", LONG_MS, &r), RC_OK);
	await(&r);
	CHECK_INT(r.status, 200);
	CHECK_INT(seen.method, EVHTTP_REQ_POST);
	CHECK_STR(seen.authorization, "Bearer key-1");
	CHECK_STR(seen.content_type, "application/json");
	CHECK_STR(seen.body, "{\"a\":1}");

	CHECK_INT(call("POST", "/empty", NULL, NULL, LONG_MS, &r), RC_OK);
	await(&r);
	CHECK_INT(seen.method, EVHTTP_REQ_POST);
	CHECK_STR(seen.body, "");

	CHECK_INT(call("PUT", "/put", NULL, "{}", LONG_MS, &r), RC_OK);
	await(&r);
	CHECK_INT(seen.method, EVHTTP_REQ_PUT);
	CHECK_STR(seen.body, "{}");

	CHECK_INT(call("DELETE", "/del", NULL, NULL, LONG_MS, &r), RC_OK);
	await(&r);
	CHECK_INT(seen.method, EVHTTP_REQ_DELETE);
	stop();
}

/* Any status is an answer; redirects are not followed. */
static void
test_statuses(void)
{
	struct result r = {0};

	start();
	get("/missing", &r);
	await(&r);
	CHECK_INT(r.code, RC_OK);
	CHECK_INT(r.status, 404);
	CHECK_STR(r.body, "{\"error\":\"no\"}");
	get("/moved", &r);
	await(&r);
	CHECK_INT(r.code, RC_OK);
	CHECK_INT(r.status, 302);
	CHECK_INT(seen.count, 2);
	stop();
}

static void
test_connection_is_kept(void)
{
	struct result r = {0};

	start();
	for (int i = 0; i < 5; i++) {
		get("/hello", &r);
		await(&r);
		CHECK_INT(r.status, 200);
	}
	CHECK_INT(connections, 1);
	CHECK_INT(seen.count, 5);
	stop();
}

static void
test_many_at_once(void)
{
	enum { N = 30 };
	static struct result many[N];

	start();
	for (int i = 0; i < N; i++)
		get("/hello", &many[i]);
	for (int i = 0; i < N; i++) {
		await(&many[i]);
		CHECK_INT(many[i].status, 200);
	}
	CHECK_INT(seen.count, N);
	stop();
}

static void
test_reply_cap(void)
{
	static const char *const over[] = {"/size/4097", "/chunked/4097"};
	static const char *const under[] = {"/size/4096", "/chunked/4096"};
	struct result r = {0};

	start();
	for (int i = 0; i < 2; i++) {
		get(under[i], &r);
		await(&r);
		CHECK_INT(r.code, RC_OK);
		CHECK_INT(r.len, REPLY_MAX);
		get(over[i], &r);
		await(&r);
		CHECK_INT(r.code, RC_TOO_LARGE);
		CHECK_INT(r.len, 0);
		CHECK(r.error[0]);
	}
	stop();
}

static void
test_timeout(void)
{
	struct result r = {0};

	start();
	CHECK_INT(call("GET", "/never", NULL, NULL, 100, &r), RC_OK);
	await(&r);
	CHECK_INT(r.code, RC_TIMEOUT);
	CHECK(r.error[0]);
	stop();
}

static void
test_nobody_listens(void)
{
	struct result r = {0};

	start();
	CHECK_INT(call_url("GET", "https://127.0.0.1:1/", NULL, NULL, LONG_MS,
		      &r),
	    RC_OK);
	await(&r);
	CHECK_INT(r.code, RC_UNAVAILABLE);
	CHECK(r.error[0]);
	stop();
}

static void
test_unknown_ca(void)
{
	struct result r = {0};

	server_start("localhost", TLS1_3_VERSION);
	client_start(NULL, false); /* the system's roots */
	get("/hello", &r);
	await(&r);
	CHECK_INT(r.code, RC_CRYPTO);
	CHECK(r.error[0]);
	CHECK_INT(seen.count, 0);
	stop();
}

static void
test_wrong_name(void)
{
	struct result r = {0};

	server_start("elsewhere.example", TLS1_3_VERSION);
	client_start(ca_file, false);
	get("/hello", &r);
	await(&r);
	CHECK_INT(r.code, RC_CRYPTO);
	CHECK_INT(seen.count, 0);
	stop();
}

static void
test_insecure(void)
{
	struct result r = {0};

	server_start("elsewhere.example", TLS1_3_VERSION);
	client_start(NULL, true);
	get("/hello", &r);
	await(&r);
	CHECK_INT(r.code, RC_OK);
	CHECK_INT(r.status, 200);
	stop();
}

static void
test_tls12_is_refused(void)
{
	struct result r = {0};

	server_start("localhost", TLS1_2_VERSION);
	client_start(ca_file, false);
	get("/hello", &r);
	await(&r);
	CHECK(r.code != RC_OK);
	CHECK_INT(seen.count, 0);
	stop();
}

static void
test_refused_arguments(void)
{
	struct result r = {0};

	start();
	CHECK_INT(call_url("GET", "http://127.0.0.1/", NULL, NULL, 1, &r),
	    RC_INVALID);
	CHECK_INT(call_url("GET", "file:///etc/passwd", NULL, NULL, 1, &r),
	    RC_INVALID);
	CHECK_INT(call("GET", "/", "a\r\nX-Evil: 1", NULL, 1, &r), RC_INVALID);
	CHECK_INT(call("GET /", "/", NULL, NULL, 1, &r), RC_INVALID);
	CHECK_INT(call("GET", "/", NULL, NULL, 0, &r), RC_INVALID);
	stop();
}

static void
test_cancel(void)
{
	struct result r = {0}, other = {0};

	start();
	/* Before anything was sent. */
	get("/hello", &r);
	http_call_cancel(r.call);
	/* While the server thinks. */
	get("/never", &r);
	run(&seen.count, 1, LONG_MS);
	CHECK_INT(seen.count, 1);
	http_call_cancel(r.call);
	/* The rest goes on. */
	get("/hello", &other);
	await(&other);
	CHECK_INT(other.status, 200);
	CHECK_INT(r.calls, 0);
	stop();
}

static void
test_cancel_from_callback(void)
{
	struct result self = {0}, first = {0}, second = {0};

	start();
	/* Itself. */
	self.also_cancel = &self;
	get("/hello", &self);
	await(&self);
	CHECK_INT(self.code, RC_OK);

	/* Another one: whichever ends first cancels the other. */
	get("/never", &second);
	run(&seen.count, 2, LONG_MS);
	first.also_cancel = &second;
	get("/hello", &first);
	await(&first);
	run(NULL, 0, 50);
	CHECK_INT(second.calls, 0);
	stop();
}

static void
test_start_from_callback(void)
{
	struct result first = {0}, second = {0};

	start();
	first.then_get = "/missing";
	first.then_result = &second;
	get("/hello", &first);
	await(&second);
	CHECK_INT(first.status, 200);
	CHECK_INT(second.status, 404);
	stop();
}

/* A client that is freed forgets its callbacks. */
static void
test_free_with_calls(void)
{
	static struct result many[5];

	start();
	for (int i = 0; i < 5; i++)
		get("/never", &many[i]);
	run(&seen.count, 3, LONG_MS);
	stop();
	for (int i = 0; i < 5; i++)
		CHECK_INT(many[i].calls, 0);
}

/* A proxy named by the environment is not used. */
static void
test_no_proxy(void)
{
	struct result r = {0};

	CHECK_INT(setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
	CHECK_INT(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	start();
	get("/hello", &r);
	await(&r);
	CHECK_INT(r.status, 200);
	stop();
	unsetenv("https_proxy");
	unsetenv("ALL_PROXY");
}

CHECK_MAIN(CHECK_ROW(roots_that_are_none_are_found_at_once),
    CHECK_ROW(test_get), CHECK_ROW(test_post), CHECK_ROW(test_statuses),
    CHECK_ROW(test_connection_is_kept), CHECK_ROW(test_many_at_once),
    CHECK_ROW(test_reply_cap), CHECK_ROW(test_timeout),
    CHECK_ROW(test_nobody_listens), CHECK_ROW(test_unknown_ca),
    CHECK_ROW(test_wrong_name), CHECK_ROW(test_insecure),
    CHECK_ROW(test_tls12_is_refused), CHECK_ROW(test_refused_arguments),
    CHECK_ROW(test_cancel), CHECK_ROW(test_cancel_from_callback),
    CHECK_ROW(test_start_from_callback), CHECK_ROW(test_free_with_calls),
    CHECK_ROW(test_no_proxy))
