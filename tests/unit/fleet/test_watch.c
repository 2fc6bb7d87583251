#include "deploy/test/loadtest/fleet/watch.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "tests/unit/check.h"

static void
test_requests_are_told_apart(void)
{
	static const struct {
		const char *url;
		enum watch_request kind;
	} known[] = {
	    {"https://h/api/v1/agents/a-1/heartbeat", WATCH_HEARTBEAT},
	    {"https://h/api/v1/agents/a-1/work?wait=30s&tests=1", WATCH_WORK},
	    {"https://h/api/v1/agents/a-1/csr", WATCH_CSR},
	    {"https://h/api/v1/agents/a-1/certificates/c?job=j", WATCH_PICKUP},
	    {"https://h/api/v1/certificates/c/renew", WATCH_RENEW},
	    {"https://h/api/v1/jobs/j/verify", WATCH_VERIFY},
	    {"https://h/api/v1/agents/a-1/jobs/j/status", WATCH_STATUS},
	    {"https://h/api/v1/agents/a-1/served", WATCH_SERVED},
	    {"https://h/api/v1/agents", WATCH_REGISTER},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		CHECK_INT(watch_kind(known[i].url), known[i].kind);
}

static void
test_errors_count_before_the_start_too(void)
{
	struct watch w;

	watch_init(&w);
	watch_request(&w, "https://h/api/v1/agents", 503, 10);
	watch_request(&w, "https://h/api/v1/agents", 201, 10);
	CHECK_INT(counts_of(w.errors, "registration: 503"), 1);
	CHECK_INT(w.took[WATCH_REGISTER].n, 0);
	watch_start(&w);
	watch_request(&w, "https://h/api/v1/agents", 201, 10);
	watch_request(&w, "https://h/api/v1/agents/a/csr", 0, 10);
	CHECK_INT(w.took[WATCH_REGISTER].n, 1);
	CHECK_INT(w.refused[WATCH_CSR], 1);
	CHECK_INT(counts_of(w.errors, "csr: no answer"), 1);
	CHECK_INT(counts_sum(w.errors), 2);
	watch_fini(&w);
}

/* A retry that ends well leaves its line behind, and so is told. */
static void
test_lines_count_from_warnings_on(void)
{
	struct watch w;

	watch_init(&w);
	CHECK(!watch_log(&w, LOG_INFO, "CSR-SENT"));
	for (int i = 0; i < 3; i++)
		CHECK(watch_log(&w, LOG_WARN, "CSR-RETRY"));
	CHECK(!watch_log(&w, LOG_WARN, "CSR-RETRY"));
	CHECK(watch_log(&w, LOG_ERROR, "IDENTITY"));
	CHECK_INT(counts_of(w.errors, "log CSR-RETRY"), 4);
	CHECK_INT(counts_sum(w.errors), 5);
	watch_fini(&w);
}

static void
test_seconds(void)
{
	struct json_w json;
	struct watch w;
	struct buf b;

	clock_set_fake(1000000, 0);
	watch_init(&w);
	watch_start(&w);
	watch_request(&w, "https://h/api/v1/agents/a/csr", 202, 10);
	clock_set_fake(1002500, 0);
	watch_request(&w, "https://h/api/v1/agents/a/csr", 202, 10);
	watch_error(&w, "other");
	CHECK_INT(w.nseconds, 3);
	CHECK_INT(w.seconds[0].requests, 1);
	CHECK_INT(w.seconds[1].requests, 0);
	CHECK_INT(w.seconds[2].requests, 1);
	CHECK_INT(w.seconds[2].failed, 1);
	buf_init(&b, 0);
	json_w_init(&json, &b);
	json_w_open(&json, '{');
	watch_write(&w, &json, 2.5);
	json_w_close(&json, '}');
	CHECK(strstr(buf_cstr(&b), "\"errors\":{\"other\":1}") != NULL);
	CHECK(strstr(buf_cstr(&b), "\"second\":2,\"requests\":1") != NULL);
	buf_fini(&b);
	watch_fini(&w);
	clock_set_fake(-1, 0);
}

CHECK_MAIN(CHECK_ROW(test_requests_are_told_apart),
    CHECK_ROW(test_errors_count_before_the_start_too),
    CHECK_ROW(test_lines_count_from_warnings_on), CHECK_ROW(test_seconds))
