/*
 * HTTPS requests: refused, cancelled, begun within another, outlived.
 */
#include <stdlib.h>

#include "tests/unit/check.h"
#include "tests/unit/common/http/https_rig.h"

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

CHECK_MAIN(CHECK_ROW(test_refused_arguments), CHECK_ROW(test_cancel),
    CHECK_ROW(test_cancel_from_callback), CHECK_ROW(test_start_from_callback),
    CHECK_ROW(test_free_with_calls), CHECK_ROW(test_no_proxy))
