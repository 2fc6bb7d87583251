/*
 * HTTPS requests: what is sent and what comes back.
 */

#include <openssl/ssl.h>

#include "tests/unit/check.h"
#include "tests/unit/common/http/https_rig.h"

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
four_at_once(void)
{
	struct result r[4] = {0};

	for (size_t i = 0; i < 4; i++)
		get("/hello", &r[i]);
	for (size_t i = 0; i < 4; i++) {
		await(&r[i]);
		CHECK_INT(r[i].status, 200);
	}
}

/* Of four connections two are kept, so four calls later open two more. */
static void
test_so_many_are_kept(void)
{
	struct http_out_opts opts = {.keep_most = 2};

	server_start("localhost", TLS1_3_VERSION);
	opts.ca_file = ca_file;
	CHECK_INT(http_out_new(loop, &opts, &client), RC_OK);
	four_at_once();
	CHECK_INT(connections, 4);
	four_at_once();
	CHECK_INT(connections, 6);
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

CHECK_MAIN(CHECK_ROW(roots_that_are_none_are_found_at_once),
    CHECK_ROW(test_get), CHECK_ROW(test_post), CHECK_ROW(test_statuses),
    CHECK_ROW(test_connection_is_kept), CHECK_ROW(test_many_at_once),
    CHECK_ROW(test_reply_cap), CHECK_ROW(test_timeout),
    CHECK_ROW(test_nobody_listens), CHECK_ROW(test_unknown_ca),
    CHECK_ROW(test_wrong_name), CHECK_ROW(test_insecure),
    CHECK_ROW(test_so_many_are_kept), CHECK_ROW(test_tls12_is_refused))
