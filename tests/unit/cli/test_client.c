/*
 * test_client: one call, to servers that answer what no API would, over real
 * TLS.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <openssl/ssl.h>

#include "cli/cli.h"
#include "common/base/clock.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/common/bus/testcert.h"

#define MIB (1024UL * 1024)

/* --- a server whose connections have a thread each --- */

static struct {
	SSL_CTX *ctx;
	pthread_t thread;
	int listener;
	const char *reply;
	size_t endless; /* bytes that follow the reply */
	char request[4096];
	int requests, connections;
	bool is_kept;  /* a connection has as many requests as come */
	bool is_dying; /* it takes requests that change, and answers none */
} server;

static struct cli cli;
static char dir[64], ca_file[96], cert_file[96], key_file[96], url[64];

/* The head, and for a POST what came with it; false: there is no more. */
static bool
read_request(SSL *ssl)
{
	char text[sizeof(server.request)];
	size_t used = 0;
	int n;

	do {
		n = SSL_read(ssl, text + used, (int)(sizeof(text) - 1 - used));
		used += n > 0 ? (size_t)n : 0;
		text[used] = '\0';
	} while (n > 0 && !strstr(text, "\r\n\r\n"));
	if (n <= 0)
		return false;
	memcpy(server.request, text, used + 1);
	server.requests++;
	return !server.is_dying || strncmp(text, "GET ", 4) == 0;
}

static void
answer(SSL *ssl)
{
	static char block[16384];
	size_t left = server.endless;

	memset(block, 'x', sizeof(block));
	(void)SSL_write(ssl, server.reply, (int)strlen(server.reply));
	while (left > 0) {
		size_t n = left < sizeof(block) ? left : sizeof(block);

		if (SSL_write(ssl, block, (int)n) <= 0)
			return; /* it has hung up */
		left -= n;
	}
	if (!server.is_kept)
		(void)SSL_shutdown(ssl);
}

/* Calls come one after another: what connections share only one uses. */
static void *
serve_one(void *arg)
{
	SSL *ssl = arg;
	int fd = SSL_get_fd(ssl);
	char rest[4096];

	if (SSL_accept(ssl) == 1 && read_request(ssl)) {
		do {
			if (server.reply)
				answer(ssl);
			else
				(void)read_request(ssl); /* hangs */
		} while (server.is_kept && read_request(ssl));
	}
	/* What it still sends is taken, or it would lose the answer. */
	(void)shutdown(fd, SHUT_WR);
	while (read(fd, rest, sizeof(rest)) > 0)
		continue;
	SSL_free(ssl);
	close(fd);
	return NULL;
}

/* It ends, with its connections, when the listener does. */
static void *
serve(void *arg)
{
	pthread_t threads[256];
	size_t n = 0;
	int fd;

	(void)arg;
	while ((fd = accept(server.listener, NULL, NULL)) >= 0) {
		SSL *ssl = SSL_new(server.ctx);

		SSL_set_fd(ssl, fd);
		server.connections++;
		CHECK(n < ARRAY_LEN(threads));
		CHECK(pthread_create(&threads[n++], NULL, serve_one, ssl) == 0);
	}
	while (n > 0)
		CHECK(pthread_join(threads[--n], NULL) == 0);
	return NULL;
}

static void
remove_files(void)
{
	unlink(ca_file);
	unlink(cert_file);
	unlink(key_file);
	rmdir(dir);
}

static void
make_certificate(void)
{
	struct testca *ca;

	(void)snprintf(dir, sizeof(dir), "/tmp/certctl-cli-XXXXXX");
	CHECK(mkdtemp(dir));
	(void)snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", dir);
	(void)snprintf(cert_file, sizeof(cert_file), "%s/cert.pem", dir);
	(void)snprintf(key_file, sizeof(key_file), "%s/key.pem", dir);
	(void)atexit(remove_files);
	ca = testca_new("cli test", ca_file);
	CHECK(ca);
	CHECK(testca_issue(ca, "localhost", cert_file, key_file));
	testca_free(ca);
}

static void
start(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);

	(void)signal(SIGPIPE, SIG_IGN);
	make_certificate();
	server.ctx = SSL_CTX_new(TLS_server_method());
	CHECK(SSL_CTX_use_certificate_file(server.ctx, cert_file,
	    SSL_FILETYPE_PEM));
	CHECK(SSL_CTX_use_PrivateKey_file(server.ctx, key_file,
	    SSL_FILETYPE_PEM));
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(server.listener, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(listen(server.listener, 8) == 0);
	CHECK(getsockname(server.listener, (struct sockaddr *)&at, &len) == 0);
	(void)snprintf(url, sizeof(url), "https://localhost:%d",
	    ntohs(at.sin_port));
	CHECK(pthread_create(&server.thread, NULL, serve, NULL) == 0);
}

/* --- one call --- */

static struct answer
call(const char *method, const char *body, const char *reply)
{
	if (!server.ctx)
		start();
	arena_free(cli.arena);
	cli = (struct cli){.server = url,
	    .api_key = "key",
	    .ca_file = ca_file,
	    .arena = arena_new()};
	server.reply = reply;
	if (!server.is_kept)
		client_end();
	return client_call(&cli, method, "/api/v1/x", body);
}

static int
told(const struct answer *a)
{
	int exit_code;

	capture_begin();
	exit_code = client_check_json(&cli, a);
	capture_end();
	CHECK_STR(captured_out(), "");
	return exit_code;
}

static void
a_call_says_who_asks_for_what(void)
{
	struct answer a = call("GET", NULL,
	    "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\":17}");
	int64_t n = 0;

	CHECK_INT(a.status, 200);
	CHECK_STR(a.text, "{\"a\":17}");
	CHECK(json_int(a.json, "a", 0, 99, &n) == RC_OK);
	CHECK_INT(n, 17);
	CHECK(strncmp(server.request, "GET /api/v1/x HTTP/1.1\r\n", 24) == 0);
	CHECK(strstr(server.request, "\r\nAuthorization: Bearer key\r\n"));
	CHECK(!strstr(server.request, "Idempotency-Key"));
	cli.idempotency_key = "once";
	client_end();
	a = client_call(&cli, "POST", "/api/v1/../y", "{}");
	CHECK_INT(a.status, 200);
	CHECK(strncmp(server.request, "POST /api/v1/../y ", 18) == 0);
	CHECK(strstr(server.request, "\r\nIdempotency-Key: once\r\n"));
	CHECK(strstr(server.request, "\r\nContent-Length: 2\r\n"));
	CHECK_INT(told(&a), EXIT_DONE);
}

static void
what_is_no_json_is_no_success(void)
{
	static const char *const bodies[] = {"<html>It works</html>", "",
	    "{\"a\":1}x", "{\"a\":1,\"a\":2}", "\xff\xfe{}",
	    "{\"a\":", "\x1b[2J", "{\"a\":\"\\u0000\"}"};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		char reply[256];
		struct answer a;

		(void)snprintf(reply, sizeof(reply),
		    "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
		    strlen(bodies[i]), bodies[i]);
		a = call("GET", NULL, reply);
		CHECK_INT(a.status, 200);
		CHECK(!a.json);
		CHECK_INT(told(&a), EXIT_FAILED);
		CHECK(strstr(captured_err(), "is it a certctl server?"));
		CHECK(!strchr(captured_err(), '\x1b'));
	}
}

/* Interim answers and trailers have heads' lines too. */
static void
an_answer_in_pieces_is_whole(void)
{
	struct answer a = call("GET", NULL,
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
	    "3\r\n{\"a\r\n5\r\n\":17}\r\n0\r\nX-End: 1\r\n\r\n");

	CHECK_INT(a.status, 200);
	CHECK_STR(a.text, "{\"a\":17}");
	CHECK(a.json);
}

static void
an_answer_that_is_cut_off_is_none(void)
{
	static const char *const replies[] = {"",
	    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":17}",
	    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "8\r\n{\"a\":17}\r\n"),
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
	    "HTTP/1.1 200 OK\r\nContent-Le",
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n",
	    "HTTP/1.1 2", "{\"a\":17}", "<html>", "SSH-2.0-OpenSSH\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"};

	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		struct answer a = call("GET", NULL, replies[i]);

		CHECK_INT(a.status, 0);
		CHECK(!a.json);
		CHECK_STR(a.text, "");
		CHECK(client_is_passing(&a));
		CHECK_INT(told(&a), EXIT_UNREACHABLE);
		CHECK(strstr(captured_err(), url));
	}
}

static void
an_answer_without_end_is_refused(void)
{
	struct answer a;

	server.endless = 80 * MIB;
	a = call("GET", NULL, "HTTP/1.1 200 OK\r\n\r\n");
	server.endless = 0;
	CHECK_INT(a.status, 0);
	CHECK_STR(a.text, "");
	CHECK_INT(told(&a), EXIT_UNREACHABLE);
	CHECK(strstr(captured_err(), "the answer has no end"));
}

/* Its last byte never comes. */
static void
a_deadline_ends_a_call_that_hangs(void)
{
	struct answer a;

	(void)call("GET", NULL, "HTTP/1.1 204 No\r\n\r\n");
	client_end();
	server.reply = NULL;
	cli.deadline_ms = clock_boot_ms() + 100;
	a = client_call(&cli, "GET", "/x", NULL);
	CHECK_INT(a.status, 0);
	CHECK_INT(told(&a), EXIT_UNREACHABLE);
	/* It is over: not even a connection is waited for. */
	client_end();
	a = client_call(&cli, "GET", "/x", NULL);
	CHECK_INT(a.status, 0);
}

static bool
take_all(void *arg, const char *bytes, size_t n)
{
	buf_add(arg, bytes, n);
	return true;
}

static void
listen_to(const char *reply, struct buf *out, struct answer *a)
{
	struct client_listen *l;

	(void)call("GET", NULL, reply);
	client_end();
	buf_reset(out);
	l = client_listen_new(&cli, "/events", "7-a", take_all, out);
	while (client_listen_run(l, 1000, a))
		continue;
	client_listen_free(l);
}

static void
a_stream_comes_beside_other_calls(void)
{
	CLEANUP(buf_fini) struct buf got;
	struct answer a;

	buf_init(&got, 0);
	listen_to("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
		  "data: x\n\n",
	    &got, &a);
	CHECK_INT(a.status, 200);
	CHECK_STR(buf_cstr(&got), "data: x\n\n");
	CHECK(strstr(server.request, "\r\nLast-Event-ID: 7-a\r\n"));
	listen_to("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n{}", &got, &a);
	CHECK_INT(a.status, 403);
	CHECK_INT(got.len, 0);
	listen_to("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", &got, &a);
	CHECK_INT(a.status, 0);
	CHECK(strstr(a.error, "no stream of events"));
}

static void
a_redirect_is_told_and_not_followed(void)
{
	int before = server.requests;
	struct answer a = call("GET", NULL,
	    "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"
	    "Content-Length: 0\r\n\r\n");

	CHECK_INT(a.status, 302);
	CHECK_INT(server.requests, before + 1);
	CHECK_INT(told(&a), EXIT_FAILED);
	CHECK(strstr(captured_err(), "no reason is given (302)"));
	CHECK(strstr(captured_err(), "A redirect is not followed"));
}

static void
patience_that_is_asked_for_is_told(void)
{
	static const struct {
		const char *after;
		int64_t seconds;
	} cases[] = {{"7", 7}, {"0", 0}, {"soon", 0}, {"-5", 0},
	    {"99999999999999999999", 0}, {"", 0}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char reply[256];
		struct answer a;

		(void)snprintf(reply, sizeof(reply),
		    "HTTP/1.1 429 Too Many\r\nRetry-After: %s\r\n"
		    "Content-Length: 22\r\n\r\n{\"message\":\"too fast\"}",
		    cases[i].after);
		a = call("GET", NULL, reply);
		CHECK_INT(a.status, 429);
		CHECK(client_is_passing(&a));
		CHECK(a.retry_after_s >= 0);
		if (strlen(cases[i].after) < 8)
			CHECK_INT(a.retry_after_s, cases[i].seconds);
		CHECK_INT(told(&a), EXIT_FAILED);
		CHECK(!strstr(captured_err(), "Try again in") ==
		      (a.retry_after_s == 0));
	}
}

static void
statuses_are_exit_codes(void)
{
	static const struct {
		int status, exit_code;
	} cases[] = {{200, EXIT_DONE}, {202, EXIT_DONE}, {400, EXIT_FAILED},
	    {401, EXIT_NOT_ALLOWED}, {403, EXIT_NOT_ALLOWED},
	    {404, EXIT_NOT_FOUND}, {409, EXIT_CONFLICT}, {418, EXIT_FAILED},
	    {500, EXIT_FAILED}, {503, EXIT_UNREACHABLE}, {999, EXIT_FAILED}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char reply[256];
		struct answer a;

		(void)snprintf(reply, sizeof(reply),
		    "HTTP/1.1 %d Odd\r\nContent-Length: 28\r\n\r\n"
		    "{\"message\":\"why\\u001b[2J\\n\"}",
		    cases[i].status);
		a = call("GET", NULL, reply);
		CHECK_INT(a.status, cases[i].status);
		CHECK(a.json);
		CHECK_INT(told(&a), cases[i].exit_code);
		if (cases[i].exit_code != EXIT_DONE)
			CHECK(strstr(captured_err(), "why\\x1b[2J\\n ("));
	}
}

static void
an_answer_of_somebody_else_is_no_success(void)
{
	static const struct {
		int status, exit_code;
		const char *type, *body;
	} cases[] = {
	    {200, EXIT_DONE, "application/json; charset=utf-8", "{}"},
	    {200, EXIT_DONE, "Application/Vnd.x+JSON", "{}"},
	    {200, EXIT_FAILED, "text/html", "<html>It works</html>"},
	    {200, EXIT_FAILED, "text/html", "{}"},
	    {200, EXIT_FAILED, "text/plain", "ok"},
	    {200, EXIT_FAILED, "application/jsonx", "{}"},
	    {404, EXIT_FAILED, "text/html; charset=UTF-8", "<html>gone</html>"},
	    {403, EXIT_FAILED, "text/html", "<html>no</html>"},
	    {503, EXIT_UNREACHABLE, "text/html", "<html>later</html>"},
	    /* As the API's own refusals are. */
	    {404, EXIT_NOT_FOUND, "text/plain", "404 page not found\n"},
	    {401, EXIT_NOT_ALLOWED, "text/plain", "{\"error\":\"no key\"}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool is_ours = cases[i].exit_code == EXIT_DONE ||
			       strstr(cases[i].type, "plain");
		char reply[256];
		struct answer a;

		(void)snprintf(reply, sizeof(reply),
		    "HTTP/1.1 %d Odd\r\nContent-Type: %s\r\n"
		    "Content-Length: %zu\r\nX-Request-ID: r-1\r\n\r\n%s",
		    cases[i].status, cases[i].type, strlen(cases[i].body),
		    cases[i].body);
		a = call("GET", NULL, reply);
		CHECK_STR(a.content_type, cases[i].type);
		CHECK_STR(a.request_id, "r-1");
		CHECK_INT(told(&a), cases[i].exit_code);
		CHECK(is_ours ||
		      strstr(captured_err(), "is it a certctl server?"));
		CHECK(cases[i].exit_code == EXIT_DONE ||
		      strstr(captured_err(), "\nRequest: r-1\n"));
	}
}

static void
only_the_server_that_was_meant_is_asked(void)
{
	struct answer a;

	(void)call("GET", NULL, "HTTP/1.1 204 No\r\n\r\n");
	cli.ca_file = "";
	client_end();
	a = client_call(&cli, "GET", "/x", NULL);
	CHECK_INT(a.status, 0);
	CHECK_INT(told(&a), EXIT_UNREACHABLE);
	cli.insecure = true;
	client_end();
	a = client_call(&cli, "GET", "/x", NULL);
	CHECK_INT(a.status, 204);
	/* No other protocol, whatever the settings say. */
	cli.server = "file:///etc/hostname?";
	client_end();
	a = client_call(&cli, "GET", "/x", NULL);
	CHECK_INT(a.status, 0);
	CHECK_STR(a.text, "");
}

static const char empty[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

static void
what_reads_has_one_connection(void)
{
	int connections;

	client_end();
	server.is_kept = true;
	CHECK_INT(call("GET", NULL, empty).status, 200);
	connections = server.connections;
	CHECK_INT(call("GET", NULL, empty).status, 200);
	CHECK_INT(server.connections, connections);
	CHECK_INT(call("POST", "{}", empty).status, 200);
	CHECK(strncmp(server.request, "POST ", 5) == 0);
	CHECK_INT(server.connections, connections + 1);
	CHECK_INT(call("GET", NULL, empty).status, 200);
	CHECK(!strstr(server.request, "Content-Length"));
	CHECK_INT(server.connections, connections + 1);
	client_end();
	CHECK_INT(call("GET", NULL, empty).status, 200);
	CHECK_INT(server.connections, connections + 2);
	client_end();
	server.is_kept = false;
}

static void
a_change_is_sent_once_though_the_server_dies(void)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE"};

	client_end();
	server.is_kept = true;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		const char *body = i < 2 ? "{}" : NULL;
		struct answer a;
		int requests;

		CHECK_INT(call("GET", NULL, empty).status, 200);
		requests = server.requests;
		server.is_dying = true;
		a = call(methods[i], body, empty);
		server.is_dying = false;
		CHECK_INT(server.requests, requests + 1);
		CHECK_INT(a.status, 0);
		CHECK_INT(told(&a), EXIT_UNREACHABLE);
	}
	client_end();
	server.is_kept = false;
}

static void
texts_become_parts_of_a_path(void)
{
	arena_free(cli.arena);
	cli = (struct cli){.arena = arena_new()};
	CHECK_STR(client_escape(&cli, "job-1.a_b~"), "job-1.a_b~");
	CHECK_STR(client_escape(&cli, "a/b?c=d&e#f%g h"),
	    "a%2Fb%3Fc%3Dd%26e%23f%25g%20h");
	CHECK_STR(client_escape(&cli, "K\xc3\xb6ln"), "K%C3%B6ln");
	CHECK_STR(client_escape(&cli, ""), "");
}

/* The last: what a thread of the server holds would be taken for a leak. */
static void
no_connection_outlives_the_client(void)
{
	client_end();
	CHECK(shutdown(server.listener, SHUT_RDWR) == 0);
	CHECK(pthread_join(server.thread, NULL) == 0);
	close(server.listener);
	SSL_CTX_free(server.ctx);
	server.ctx = NULL;
}

CHECK_MAIN(CHECK_ROW(a_call_says_who_asks_for_what),
    CHECK_ROW(what_is_no_json_is_no_success),
    CHECK_ROW(an_answer_in_pieces_is_whole),
    CHECK_ROW(an_answer_that_is_cut_off_is_none),
    CHECK_ROW(an_answer_without_end_is_refused),
    CHECK_ROW(a_deadline_ends_a_call_that_hangs),
    CHECK_ROW(a_stream_comes_beside_other_calls),
    CHECK_ROW(a_redirect_is_told_and_not_followed),
    CHECK_ROW(patience_that_is_asked_for_is_told),
    CHECK_ROW(statuses_are_exit_codes),
    CHECK_ROW(an_answer_of_somebody_else_is_no_success),
    CHECK_ROW(only_the_server_that_was_meant_is_asked),
    CHECK_ROW(what_reads_has_one_connection),
    CHECK_ROW(a_change_is_sent_once_though_the_server_dies),
    CHECK_ROW(texts_become_parts_of_a_path),
    CHECK_ROW(no_connection_outlives_the_client))
