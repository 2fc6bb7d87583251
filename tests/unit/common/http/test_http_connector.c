/*
 * test_http_connector: what connectors to CAs need of http_out, against a TLS
 * server on the same loop that asks for a client certificate.
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/http/http_out.h"
#include "tests/unit/check.h"
#include "tests/unit/common/bus/testcert.h"

#define LONG_MS 10000
#define REPLY_MAX 4096

static struct arena *arena;
static struct loop *loop;
static struct http_out *client;
static struct evhttp *server;
static SSL_CTX *ctx;
static int port;
static char dir[] = "/tmp/certctl-mtls-XXXXXX";
static char path[8][96];

enum { CA, CERT, KEY, MY_CERT, MY_KEY, OTHER_CA, OTHER_CERT, OTHER_KEY };

/* Of the last request. */
static char seen_type[64], seen_accept[64], seen_token[64], seen_empty[8];
static uint8_t seen_body[16];
static size_t seen_len;

static struct {
	bool is_done;
	rc code;
	int status;
	size_t len;
	uint8_t body[16];
	char location[64];
	bool has_other;
} got;

static struct http_call *under_way;

/* --- the server --- */

static void
keep(char *out, size_t size, struct evhttp_request *req, const char *name)
{
	const char *value =
	    evhttp_find_header(evhttp_request_get_input_headers(req), name);

	(void)snprintf(out, size, "%s", value ? value : "(none)");
}

static void
on_http(struct evhttp_request *req, void *arg)
{
	struct evkeyvalq *head = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);
	ev_ssize_t n;

	keep(seen_type, sizeof(seen_type), req, "Content-Type");
	keep(seen_accept, sizeof(seen_accept), req, "Accept");
	keep(seen_token, sizeof(seen_token), req, "X-Token");
	keep(seen_empty, sizeof(seen_empty), req, "X-Empty");
	n = evbuffer_copyout(evhttp_request_get_input_buffer(req), seen_body,
	    sizeof(seen_body));
	seen_len = n > 0 ? (size_t)n : 0;
	evhttp_add_header(head, "Location", "https://elsewhere/1");
	if (strcmp(evhttp_request_get_uri(req), "/heads") == 0) {
		for (int i = 0; i < 700; i++)
			evhttp_add_header(head, "X-Many",
			    "0123456789012345678901234567890123456789012345"
			    "67890123456789012345678901234567890123456789");
	}
	evbuffer_add(out, "a\0b", 3);
	evhttp_send_reply(req, 201, "Created", NULL);
}

static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	return bufferevent_openssl_socket_new(base, -1, SSL_new(ctx),
	    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void
server_start(int version)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in sin = {0};
	socklen_t len = sizeof(sin);

	arena = arena_new();
	CHECK_INT(loop_new(&loop), RC_OK);
	ctx = SSL_CTX_new(TLS_server_method());
	CHECK(ctx);
	CHECK(SSL_CTX_set_min_proto_version(ctx, version));
	CHECK(SSL_CTX_set_max_proto_version(ctx, version));
	CHECK(SSL_CTX_use_certificate_file(ctx, path[CERT], SSL_FILETYPE_PEM));
	CHECK(SSL_CTX_use_PrivateKey_file(ctx, path[KEY], SSL_FILETYPE_PEM));
	CHECK(SSL_CTX_load_verify_file(ctx, path[CA]));
	SSL_CTX_set_verify(ctx,
	    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	server = evhttp_new(loop_base(loop));
	CHECK(server);
	evhttp_set_bevcb(server, on_connection, NULL);
	evhttp_set_gencb(server, on_http, NULL);
	bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
	CHECK(bound);
	CHECK_INT(getsockname(evhttp_bound_socket_get_fd(bound),
		      (struct sockaddr *)&sin, &len),
	    0);
	port = ntohs(sin.sin_port);
}

static void
server_stop(void)
{
	http_out_free(client);
	client = NULL;
	evhttp_free(server);
	SSL_CTX_free(ctx);
	loop_free(loop);
	arena_free(arena);
}

/* --- the client --- */

static const char *
text_of(int file)
{
	char *text;

	CHECK_INT(file_read(arena, path[file], 65536, &text, NULL), RC_OK);
	return text;
}

/* -1: no client certificate. */
static rc
client_new(enum http_tls tls, int cert, int key)
{
	struct http_out_opts opts = {
	    .ca_pem = text_of(CA),
	    .cert_pem = cert < 0 ? NULL : text_of(cert),
	    .least_tls = tls,
	};
	struct secret *secret = NULL;
	rc ret;

	if (key >= 0)
		secret = secret_new(text_of(key), strlen(text_of(key)));
	opts.key_pem = secret;
	ret = http_out_new(loop, &opts, &client);
	secret_free(secret); /* it was copied */
	return ret;
}

static void
on_done(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	const char *location = http_call_header(under_way, "LOCATION");

	got.is_done = true;
	got.code = code;
	got.status = status;
	got.len = len;
	memcpy(got.body, body, len < sizeof(got.body) ? len : 0);
	(void)snprintf(got.location, sizeof(got.location), "%s",
	    location ? location : "(none)");
	got.has_other = http_call_header(under_way, "X-Other") != NULL;
	loop_stop(loop);
}

static rc
start(const char *where, const struct http_header *headers)
{
	static const uint8_t der[] = {0x30, 0, '\n', 0xff};
	char url[128];
	const struct http_request req = {
	    .method = "POST",
	    .url = url,
	    .body = der,
	    .body_len = sizeof(der),
	    .content_type = "application/pkcs10",
	    .accept = "application/pkix-cert",
	    .headers = headers,
	    .timeout_ms = LONG_MS,
	    .max_reply = REPLY_MAX,
	};

	(void)snprintf(url, sizeof(url), "https://localhost:%d%s", port, where);
	memset(&got, 0, sizeof(got));
	seen_len = 0;
	return http_out_start(client, &req, on_done, NULL, &under_way);
}

static void
ask(const char *where, const struct http_header *headers)
{
	CHECK_INT(start(where, headers), RC_OK);
	CHECK_INT(loop_run(loop), RC_OK);
	CHECK(got.is_done);
}

/* --- tests --- */

static void
exchange(int version, enum http_tls tls)
{
	static const struct http_header headers[] = {{"X-Token", "abc"},
	    {"X-Empty", ""}, {NULL, NULL}};

	server_start(version);
	CHECK_INT(client_new(tls, MY_CERT, MY_KEY), RC_OK);
	ask("/enrol", headers);
	CHECK_INT(got.code, RC_OK);
	CHECK_INT(got.status, 201);
	CHECK_INT(got.len, 3);
	CHECK(memcmp(got.body, "a\0b", 3) == 0);
	CHECK_STR(got.location, "https://elsewhere/1");
	CHECK(!got.has_other);
	CHECK_INT(seen_len, 4);
	CHECK(memcmp(seen_body, "\x30\0\n\xff", 4) == 0);
	CHECK_STR(seen_type, "application/pkcs10");
	CHECK_STR(seen_accept, "application/pkix-cert");
	CHECK_STR(seen_token, "abc");
	CHECK_STR(seen_empty, "");
	server_stop();
}

static void
test_tls_1_3(void)
{
	exchange(TLS1_3_VERSION, HTTP_TLS_1_3);
}

static void
test_tls_1_2(void)
{
	exchange(TLS1_2_VERSION, HTTP_TLS_1_2);
	exchange(TLS1_3_VERSION, HTTP_TLS_1_2);
}

static void
test_old_tls_is_refused(void)
{
	server_start(TLS1_2_VERSION);
	CHECK_INT(client_new(HTTP_TLS_1_3, MY_CERT, MY_KEY), RC_OK);
	ask("/enrol", NULL);
	CHECK(got.code != RC_OK);
	CHECK_INT(seen_len, 0);
	server_stop();
}

static void
test_strangers_are_refused(void)
{
	server_start(TLS1_3_VERSION);
	CHECK_INT(client_new(HTTP_TLS_1_3, -1, -1), RC_OK);
	ask("/enrol", NULL);
	CHECK(got.code != RC_OK);
	http_out_free(client);
	CHECK_INT(client_new(HTTP_TLS_1_3, OTHER_CERT, OTHER_KEY), RC_OK);
	ask("/enrol", NULL);
	CHECK(got.code != RC_OK);
	CHECK_INT(seen_len, 0);
	server_stop();
}

static void
test_pairs(void)
{
	server_start(TLS1_3_VERSION);
	CHECK_INT(client_new(HTTP_TLS_1_3, MY_CERT, OTHER_KEY), RC_INVALID);
	CHECK_INT(client_new(HTTP_TLS_1_3, MY_KEY, MY_KEY), RC_INVALID);
	CHECK_INT(client_new(HTTP_TLS_1_3, MY_CERT, -1), RC_INVALID);
	CHECK_INT(client_new(HTTP_TLS_1_3, -1, MY_KEY), RC_INVALID);
	CHECK(client == NULL);
	server_stop();
}

/* What would change the message's frame, or say twice what is said. */
static void
test_headers_refused(void)
{
	static const struct http_header bad[][2] = {
	    {{"Content-Length", "3"}, {NULL, NULL}},
	    {{"transfer-encoding", "chunked"}, {NULL, NULL}},
	    {{"Host", "elsewhere"}, {NULL, NULL}},
	    {{"Content-Type", "text/plain"}, {NULL, NULL}},
	    {{"X-Token", "a\r\nX-Evil: b"}, {NULL, NULL}},
	    {{"X Token", "a"}, {NULL, NULL}},
	    {{"X-Token:", "a"}, {NULL, NULL}},
	    {{"", "a"}, {NULL, NULL}},
	};

	server_start(TLS1_3_VERSION);
	CHECK_INT(client_new(HTTP_TLS_1_3, MY_CERT, MY_KEY), RC_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(start("/enrol", bad[i]), RC_INVALID);
	server_stop();
}

static void
test_many_headers(void)
{
	server_start(TLS1_3_VERSION);
	CHECK_INT(client_new(HTTP_TLS_1_3, MY_CERT, MY_KEY), RC_OK);
	ask("/heads", NULL);
	CHECK_INT(got.code, RC_TOO_LARGE);
	server_stop();
}

static bool
make_files(void)
{
	static const char *const names[] = {"ca", "cert", "key", "my-cert",
	    "my-key", "other-ca", "other-cert", "other-key"};
	struct testca *ca, *other;
	bool ok;

	if (!mkdtemp(dir))
		return false;
	for (int i = 0; i < 8; i++)
		(void)snprintf(path[i], sizeof(path[i]), "%s/%s.pem", dir,
		    names[i]);
	ca = testca_new("connector test", path[CA]);
	other = testca_new("somebody else", path[OTHER_CA]);
	ok = ca && other &&
	     testca_issue(ca, "localhost", path[CERT], path[KEY]) &&
	     testca_issue(ca, "client", path[MY_CERT], path[MY_KEY]) &&
	     testca_issue(other, "client", path[OTHER_CERT], path[OTHER_KEY]);
	testca_free(ca);
	testca_free(other);
	return ok;
}

int
main(void)
{
	static const struct check_test tests[] = {CHECK_ROW(test_tls_1_3),
	    CHECK_ROW(test_tls_1_2), CHECK_ROW(test_old_tls_is_refused),
	    CHECK_ROW(test_strangers_are_refused), CHECK_ROW(test_pairs),
	    CHECK_ROW(test_headers_refused), CHECK_ROW(test_many_headers)};
	int failed = 1;

	if (make_files())
		failed = check_run(tests, ARRAY_LEN(tests));
	for (int i = 0; i < 8; i++)
		(void)unlink(path[i]);
	return rmdir(dir) != 0 || failed;
}
