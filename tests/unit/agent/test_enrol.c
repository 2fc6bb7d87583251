/*
 * test_enrol: a waiting issuance gets one key and one request, whatever the
 * server answers, and a job that is over leaves no key.
 */
#include "agent/poll.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/stop.h"
#include "common/json/json.h"
#include "common/pki/csr/csr.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

#define WORK "/api/v1/agents/a-1/work"
#define CSR "/api/v1/agents/a-1/csr"
#define STATUS "/api/v1/agents/a-1/jobs/job-1/status"
#define NAMES "\"common_name\":\"a.test\",\"sans\":[\"a.test\",\"b.test\"]"

static struct agent *agent;

/* The server lists one item, once, and answers its CSR so. */
static void
begin(const char *members, int status)
{
	static char list[1024];

	agent = rig_new(NULL);
	snprintf(list, sizeof(list),
	    "{\"jobs\":[{\"id\":\"job-1\",\"type\":\"Issuance\",\"status\":"
	    "\"AwaitingCSR\",\"certificate_id\":\"mc-1\",%s}]}",
	    members);
	rig_answer("GET", WORK, 200, list, 0);
	rig_answer("POST", CSR, status, "{\"message\":\"words\"}", 0);
	rig_answer("POST", STATUS, 200, "{}", 0);
	agent->poll = poll_start(agent);
}

static void
list_nothing(void)
{
	rig_answer("GET", WORK, 200, "{\"jobs\":[]}", 30000);
}

static const char *
member(const struct rig_request *r, const char *name)
{
	static struct arena *a;
	const struct cJSON *o = NULL;
	const char *why = "", *text = "";

	arena_free(a);
	a = arena_new();
	CHECK(r);
	CHECK_INT(json_parse(a, r->body, strlen(r->body), &o, &why), RC_OK);
	CHECK_INT(json_str(o, name, 65536, &text), RC_OK);
	return text;
}

static void
a_request_is_sent_once_its_key_is_kept(void)
{
	const struct rig_request *r;

	begin(NAMES, 202);
	rig_pass(1);
	list_nothing();
	rig_pass(5000);
	CHECK_INT(rig_count("POST", CSR), 1);
	r = rig_last("POST", CSR);
	CHECK_STR(r->bearer, "key-1");
	CHECK_STR(member(r, "certificate_id"), "mc-1");
	CHECK_STR(member(r, "job_id"), "job-1");
	CHECK(strstr(member(r, "csr_pem"), "BEGIN CERTIFICATE REQUEST"));
	CHECK(!strstr(r->body, "PRIVATE"));
	CHECK(sandbox_has("state/keys/job-1.key"));
	CHECK(sandbox_has("state/keys/job-1.csr"));
	CHECK_INT(sandbox_mode("state/keys/job-1.key"), 0600);
}

static void
doubt_is_met_with_the_same_key(void)
{
	static const int doubts[] = {0, 401, 403, 408, 429, 500, 502, 503};

	for (size_t i = 0; i < ARRAY_LEN(doubts); i++) {
		const char *key;
		size_t n;

		begin(NAMES, doubts[i]);
		rig_pass(1);
		list_nothing();
		key = sandbox_get("state/keys/job-1.key");
		rig_pass(60000);
		n = rig_count("POST", CSR);
		CHECK(n >= 8 && n <= 12);
		CHECK_STR(sandbox_get("state/keys/job-1.key"), key);
		rig_answer("POST", CSR, 202, "{}", 0);
		rig_pass(40000);
		CHECK_INT(rig_count("POST", CSR), n + 1);
		rig_pass(100000);
		CHECK_INT(rig_count("POST", CSR), n + 1);
		CHECK_STR(sandbox_get("state/keys/job-1.key"), key);
		CHECK_INT(rig_count("POST", STATUS), 0);
	}
}

static void
a_job_that_went_on_without_us_leaves_no_key(void)
{
	static const int over[] = {404, 409};

	for (size_t i = 0; i < ARRAY_LEN(over); i++) {
		begin(NAMES, over[i]);
		rig_pass(1);
		list_nothing();
		rig_pass(60000);
		CHECK_INT(rig_count("POST", CSR), 1);
		CHECK_INT(rig_count("POST", STATUS), 0);
		CHECK_INT(sandbox_count("state/keys"), 0);
	}
}

static void
a_refusal_is_reported_and_leaves_no_key(void)
{
	static const int refusals[] = {400, 413, 422};

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		begin(NAMES, refusals[i]);
		rig_pass(1);
		list_nothing();
		rig_pass(60000);
		CHECK_INT(rig_count("POST", CSR), 1);
		CHECK_INT(rig_count("POST", STATUS), 1);
		CHECK_STR(member(rig_last("POST", STATUS), "status"), "Failed");
		CHECK(
		    strstr(member(rig_last("POST", STATUS), "error"), "words"));
		CHECK_INT(sandbox_count("state/keys"), 0);
	}
}

static void
a_report_is_repeated_until_it_is_heard(void)
{
	begin(NAMES, 422);
	rig_answer("POST", STATUS, 503, "{}", 0);
	rig_pass(1);
	list_nothing();
	rig_pass(5000);
	CHECK(rig_count("POST", STATUS) >= 4);
	CHECK(sandbox_has("state/keys/job-1.key"));
	rig_answer("POST", STATUS, 200, "{}", 0);
	rig_pass(10000);
	CHECK_INT(sandbox_count("state/keys"), 0);
	CHECK_INT(rig_count("POST", CSR), 1);
}

/* The first post may have been accepted, and its answer lost. */
static void
a_refusal_after_doubt_leaves_the_key(void)
{
	static const int refusals[] = {400, 404, 409, 422};

	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		begin(NAMES, 0);
		rig_pass(1);
		list_nothing();
		rig_answer("POST", CSR, refusals[i], "{}", 0);
		rig_pass(60000);
		CHECK_INT(rig_count("POST", CSR), 2);
		CHECK_INT(rig_count("POST", STATUS), 0);
		CHECK(sandbox_has("state/keys/job-1.key"));
		CHECK(sandbox_has("state/keys/job-1.csr"));
	}
}

static void
a_report_that_is_refused_leaves_the_key(void)
{
	begin(NAMES, 422);
	rig_answer("POST", STATUS, 409, "{}", 0);
	rig_pass(1);
	list_nothing();
	rig_pass(60000);
	CHECK_INT(rig_count("POST", STATUS), 1);
	CHECK(sandbox_has("state/keys/job-1.key"));
}

static void
odd_items_fail_with_words(void)
{
	static const char *const odd[] = {"\"sans\":[\"a.test\"]",
	    "\"common_name\":5", "\"common_name\":\"a.test\",\"sans\":[1]",
	    "\"common_name\":\"a.test\",\"sans\":\"a.test\""};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		begin(odd[i], 202);
		rig_pass(1);
		list_nothing();
		rig_pass(5000);
		CHECK_INT(rig_count("POST", CSR), 0);
		CHECK_INT(rig_count("POST", STATUS), 1);
		CHECK(member(rig_last("POST", STATUS), "error")[0] != '\0');
		CHECK_INT(sandbox_count("state/keys"), 0);
	}
}

static void
a_full_disk_is_waited_for_with_words(void)
{
	begin(NAMES, 202);
	sandbox_limit_writes(50);
	rig_pass(60000);
	CHECK_INT(rig_count("POST", CSR), 0);
	CHECK(strstr(member(rig_last("POST", STATUS), "error"),
	    "cannot store the private key"));
	CHECK_STR(member(rig_last("POST", STATUS), "status"), "Running");
	/* After 1, 2, 4 and 8 s, and then every 8. */
	CHECK(rig_count("POST", STATUS) >= 6);
	CHECK(rig_count("POST", STATUS) <= 12);
	sandbox_limit_writes(0);
	rig_pass(12000);
	CHECK(rig_count("POST", CSR) >= 1);
	CHECK_INT(sandbox_count("state/keys"), 2);
}

static void
a_stop_leaves_key_and_mark_for_the_next_start(void)
{
	begin(NAMES, 503);
	rig_pass(1000);
	stop_begin(agent, 0);
	rig_pass(60000);
	CHECK(poll_is_idle(agent->poll));
	CHECK(sandbox_has("state/keys/job-1.key"));
	CHECK(sandbox_has("state/keys/job-1.csr"));
	CHECK_INT(rig_count("POST", STATUS), 0);
}

CHECK_MAIN(CHECK_ROW(a_request_is_sent_once_its_key_is_kept),
    CHECK_ROW(doubt_is_met_with_the_same_key),
    CHECK_ROW(a_job_that_went_on_without_us_leaves_no_key),
    CHECK_ROW(a_refusal_is_reported_and_leaves_no_key),
    CHECK_ROW(a_report_is_repeated_until_it_is_heard),
    CHECK_ROW(a_refusal_after_doubt_leaves_the_key),
    CHECK_ROW(a_report_that_is_refused_leaves_the_key),
    CHECK_ROW(odd_items_fail_with_words),
    CHECK_ROW(a_full_disk_is_waited_for_with_words),
    CHECK_ROW(a_stop_leaves_key_and_mark_for_the_next_start))
