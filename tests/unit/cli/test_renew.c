/*
 * test_renew: certs renew --wait ends well only when the server says that
 * every target has what this renewal made.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

#include "cli/cli.h"

#define POST "POST /api/v1/certificates/c/renew"
#define JOB "GET /api/v1/jobs/job-"
#define TARGETS "GET /api/v1/certificates/c/deployments"
#define VERSIONS "GET /api/v1/certificates/c/versions"
#define ROLLOUT(n) \
	"GET /api/v1/jobs?certificate_id=c&type=Deployment&version_id=" \
	"certver-" n "&"
#define JOB_1_DONE \
	"{\"id\":\"job-1\",\"status\":\"Completed\",\"agent_id\":\"a\"," \
	"\"version_id\":\"certver-1\"}"
#define LINE "certs renew c --wait --timeout 1"

static struct arena *texts;

/* --- what the server says --- */

static void
begin(void)
{
	arena_free(texts);
	texts = arena_new();
	scripted_begin();
	scripted_answer(POST, 202,
	    "{\"status\":\"renewal_triggered\",\"job_id\":\"job-1\","
	    "\"job_ids\":[\"job-1\"]}");
	scripted_answer(JOB "1", 200, JOB_1_DONE);
}

/* What the server warns of is told, and why a job that is left behind waits. */
static void
what_cannot_come_is_told(void)
{
	begin();
	scripted_begin();
	scripted_answer(POST, 202,
	    "{\"job_ids\":[\"job-1\"],\"warnings\":[\"map it\","
	    "\"\\u001b[2J\"]}");
	scripted_answer_times(JOB "1", 200,
	    "{\"id\":\"job-1\",\"status\":\"AwaitingCSR\","
	    "\"reason\":\"waits for an agent\"}",
	    1000);
	scripted_answer(TARGETS, 404, "{\"message\":\"gone\"}");
	CHECK_INT(scripted_run(LINE), EXIT_NOT_FOUND);
	CHECK_STR(captured_err(), "warning: map it\nwarning: \\x1b[2J\n"
				  "certctl: job job-1 is still AwaitingCSR: it "
				  "waits for an agent; it "
				  "goes on without us\ncertctl: gone (404)\n"
				  "To fix it: certctl certs list shows what "
				  "there is: ids and names are given "
				  "whole.\n");
}

#define EVENTS "GET /api/v1/events?kind=job&certificate_id=c"

/* It listens, looks, and looks again when something came; that the time is over
 * is a code of its own. */
static void
events_say_when_to_look(void)
{
	begin();
	scripted_begin();
	scripted_answer(POST, 202, "{\"job_ids\":[\"job-1\"]}");
	scripted_answer_times(EVENTS, 200, "id: 1-a\n\n", 1);
	scripted_answer_times(EVENTS, 200, "id: 2-a\ndata: {}\n\n", 1);
	scripted_answer_times(JOB "1", 200,
	    "{\"id\":\"job-1\",\"status\":\"AwaitingCSR\"}", 1);
	scripted_answer(JOB "1", 200, JOB_1_DONE);
	scripted_answer(TARGETS, 200, "{\"data\":[]}");
	scripted_answer(ROLLOUT("1"), 200, "{\"data\":[]}");
	CHECK_INT(scripted_run(LINE), EXIT_DONE);
	CHECK_STR(scripted_asked(1), EVENTS);
	CHECK_INT(scripted_count(JOB "1"), 2);
	scripted_begin();
	scripted_answer(POST, 202, "{\"job_ids\":[\"job-1\"]}");
	scripted_answer_times(JOB "1", 200,
	    "{\"id\":\"job-1\",\"status\":\"AwaitingCSR\"}", 1000);
	scripted_answer(TARGETS, 200, "{\"data\":[]}");
	CHECK_INT(scripted_run(LINE), EXIT_UNREACHABLE);
}

/* {"data":[items 0 .. n-1 by fn]} */
static const char *
list(size_t from, size_t to, void (*add)(struct buf *b, size_t i, size_t at),
    size_t at)
{
	struct buf b;
	const char *text;

	buf_init(&b, 0);
	buf_puts(&b, "{\"data\":[");
	for (size_t i = from; i < to; i++) {
		if (i > from)
			buf_putc(&b, ',');
		add(&b, i, at);
	}
	buf_puts(&b, "]}");
	text = arena_strdup(texts, buf_cstr(&b));
	buf_fini(&b);
	return text;
}

static void
add_target(struct buf *b, size_t i, size_t at)
{
	(void)at;
	buf_printf(b,
	    "{\"id\":\"t-%04zu\",\"agent_id\":\"a\",\"enabled\":true,"
	    "\"config\":{\"host\":\"127.0.0.1\",\"port\":1}}",
	    i);
}

/* The one at that place fails. */
static void
add_deployment(struct buf *b, size_t i, size_t at)
{
	buf_printf(b,
	    "{\"id\":\"d-%zu\",\"target_id\":\"t-%04zu\",\"status\":\"%s\","
	    "\"last_error\":\"%s\",\"version_id\":\"certver-1\","
	    "\"verification_status\":\"%s\"}",
	    i, i, i == at ? "Failed" : "Completed", i == at ? "no room" : "",
	    i == at ? "pending" : "success");
}

static const char *
targets(const char *items)
{
	return arena_printf(texts, "{\"data\":[%s]}", items);
}

#define TARGET(id, agent, more) \
	"{\"id\":\"" id "\",\"agent_id\":\"" agent \
	"\",\"enabled\":true,\"config\":{}" more "}"
#define DEPLOYED(id, version, target, status, verified) \
	"{\"id\":\"" id "\",\"version_id\":\"certver-" version \
	"\",\"target_id\":\"" target "\",\"status\":\"" status \
	"\",\"verification_status\":\"" verified "\"}"

/* --- the tests --- */

static void
more_targets_than_a_page_are_all_counted(void)
{
	enum { N = 700 };

	begin();
	scripted_answer(TARGETS, 200, list(0, N, add_target, 0));
	scripted_answer(ROLLOUT("1") "per_page=500&page=1", 200,
	    list(0, 500, add_deployment, N));
	scripted_answer(ROLLOUT("1") "per_page=500&page=2", 200,
	    list(500, N, add_deployment, N));
	CHECK_INT(scripted_run(LINE), EXIT_DONE);
	CHECK(strstr(captured_out(), "installed on 700 targets\n"));
	CHECK(strstr(captured_out(), "served on 700 targets, as handshakes"));
	CHECK_STR(captured_err(), "");
	CHECK_INT(scripted_count(ROLLOUT("1")), 2);
}

static void
one_failure_among_many_is_a_failure(void)
{
	static const size_t places[] = {0, 63, 64, 65, 350, 499, 500, 699};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		begin();
		scripted_answer(TARGETS, 200, list(0, 700, add_target, 0));
		scripted_answer(ROLLOUT("1") "per_page=500&page=1", 200,
		    list(0, 500, add_deployment, places[i]));
		scripted_answer(ROLLOUT("1") "per_page=500&page=2", 200,
		    list(500, 700, add_deployment, places[i]));
		CHECK_INT(scripted_run(LINE), EXIT_FAILED);
		CHECK_STR(captured_err(),
		    arena_printf(texts,
			"certctl: the deployment to t-%04zu (d-%zu) ended as "
			"Failed: no room\n",
			places[i], places[i]));
		CHECK(strstr(captured_out(),
		    "installed on 699 of 700 targets\n"));
	}
}

/* A deployment of an older version keeps a target; that of this one is made
 * when it ends. */
static void
a_target_without_its_deployment_is_waited_for(void)
{
	begin();
	scripted_answer(TARGETS, 200,
	    targets(TARGET("t-1", "a", "") "," TARGET("t-2", "a", "")));
	scripted_answer_times(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-1", "1", "t-1", "Completed", "success")), 2);
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-2", "1", "t-2", "Completed", "skipped") "," //
		DEPLOYED("d-1", "1", "t-1", "Completed", "success")));
	CHECK_INT(scripted_run(LINE), EXIT_DONE);
	CHECK_INT(scripted_count(ROLLOUT("1")), 3);
	CHECK(strstr(captured_out(), "installed on 2 targets\n"));
	CHECK(
	    strstr(captured_out(), "served on 1 of 2 targets, as handshakes"));
	CHECK(strstr(captured_out(),
	    "no handshake has checked that it is served: t-2\n"));

	begin();
	scripted_answer(TARGETS, 200,
	    targets(TARGET("t-1", "a", "") "," TARGET("t-2", "a", "")));
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-1", "1", "t-1", "Completed", "success")));
	CHECK_INT(scripted_run(LINE), EXIT_UNREACHABLE);
	CHECK_STR(captured_err(),
	    "certctl: no deployment to t-2 has begun; see certctl jobs "
	    "list\n");
}

static void
a_deployment_that_goes_on_too_long_is_a_failure(void)
{
	begin();
	scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-1", "1", "t-1", "Running", "pending")));
	CHECK_INT(scripted_run(LINE), EXIT_UNREACHABLE);
	CHECK_STR(captured_err(),
	    "certctl: the deployment to t-1 (d-1) is still Running; it goes "
	    "on without us\n");
	CHECK(!strstr(captured_out(), "installed"));
}

/* Each agent has a key, a job and a version of its own. */
static void
every_agents_job_is_followed(void)
{
	static const struct {
		const char *two, *rollout, *error;
		int exit_code;
	} cases[] = {
	    {"{\"status\":\"Completed\",\"agent_id\":\"b\","
	     "\"version_id\":\"certver-2\"}",
		"{\"data\":[" DEPLOYED("d-2", "2", "t-2", "Completed",
		    "success") "]}",
		"", EXIT_DONE},
	    {"{\"status\":\"Completed\",\"agent_id\":\"b\","
	     "\"version_id\":\"certver-2\"}",
		"{\"data\":[" DEPLOYED("d-2", "2", "t-2", "Cancelled",
		    "pending") "]}",
		"certctl: the deployment to t-2 (d-2) ended as Cancelled: -\n",
		EXIT_FAILED},
	    {"{\"status\":\"Failed\",\"last_error\":\"no CSR\"}", "",
		"certctl: job job-2 ended as Failed: no CSR\n", EXIT_FAILED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin();
		scripted_begin();
		scripted_answer(POST, 202,
		    "{\"job_ids\":[\"job-1\",\"job-2\"]}");
		scripted_answer(JOB "1", 200, JOB_1_DONE);
		scripted_answer(JOB "2", 200, cases[i].two);
		scripted_answer(TARGETS, 200,
		    targets(TARGET("t-2", "b", "") "," TARGET("t-1", "a", "")));
		scripted_answer(ROLLOUT("1"), 200,
		    targets(
			DEPLOYED("d-1", "1", "t-1", "Completed", "success")));
		scripted_answer(ROLLOUT("2"), 200, cases[i].rollout);
		CHECK_INT(scripted_run(LINE), cases[i].exit_code);
		CHECK_STR(captured_err(), cases[i].error);
		CHECK(strstr(captured_out(), "queued as job-1, job-2\n"));
		CHECK(strstr(captured_out(), "signed (job-1)\n"));
		CHECK(strstr(captured_out(),
		    i == 0 ? "installed on 2 targets\n"
			   : "installed on 1 of 2 targets\n"));
	}
	CHECK(strstr(captured_out(),
	    "no version of this renewal came to: t-2\n"));
}

static void
where_nothing_comes_is_said(void)
{
	begin();
	scripted_answer(TARGETS, 200,
	    targets("{\"id\":\"t-1\",\"agent_id\":\"a\",\"enabled\":false,"
		    "\"config\":{}}"));
	scripted_answer(ROLLOUT("1"), 200, "{\"data\":[]}");
	CHECK_INT(scripted_run(LINE), EXIT_DONE);
	CHECK(strstr(captured_out(),
	    "not installed where the target is disabled: t-1\n"));
	CHECK(!strstr(captured_out(), "installed on"));

	begin();
	scripted_answer(TARGETS, 200, "{\"data\":null}");
	scripted_answer(ROLLOUT("1"), 200, "{\"data\":[]}");
	CHECK_INT(scripted_run(LINE), EXIT_DONE);
	CHECK(strstr(captured_out(), "no target to install it on\n"));
}

/* Of a target that was taken off meanwhile too. */
static void
a_failure_anywhere_counts(void)
{
	begin();
	scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-2", "1", "t-9", "Failed", "failed") "," //
		DEPLOYED("d-1", "1", "t-1", "Completed", "success")));
	CHECK_INT(scripted_run(LINE), EXIT_FAILED);
	CHECK(strstr(captured_err(), "the deployment to t-9 (d-2) ended"));

	/* A second deployment that went well does not undo the first. */
	begin();
	scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-2", "1", "t-1", "Completed", "success") "," //
		DEPLOYED("d-1", "1", "t-1", "Failed", "failed")));
	CHECK_INT(scripted_run(LINE), EXIT_FAILED);

	/* One of another version does not count, whatever the server filters.
	 */
	begin();
	scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-1", "1", "t-1", "Completed", "success") "," //
		DEPLOYED("d-0", "0", "t-1", "Failed", "failed")));
	CHECK_INT(scripted_run(LINE), EXIT_DONE);
}

static void
a_server_that_is_away_for_a_while_is_no_failure(void)
{
	static const int passing[] = {0, 429, 500, 503};

	for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
		begin();
		scripted_begin();
		scripted_answer(POST, 202, "{\"job_ids\":[\"job-1\"]}");
		scripted_answer_times(JOB "1", passing[i], "", 1);
		scripted_answer(JOB "1", 200, JOB_1_DONE);
		scripted_answer_times(TARGETS, passing[i], "", 1);
		scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
		scripted_answer_times(ROLLOUT("1"), passing[i], "", 1);
		scripted_answer(ROLLOUT("1"), 200,
		    targets(
			DEPLOYED("d-1", "1", "t-1", "Completed", "success")));
		CHECK_INT(scripted_run(LINE), EXIT_DONE);
		CHECK_STR(captured_err(), "");
	}
}

static void
an_answer_that_says_nothing_is_a_failure(void)
{
	static const char *const odd[] = {"", "{}", "{\"data\":5}", "<html>",
	    "{\"data\":{\"status\":\"Completed\"}}"};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		begin();
		scripted_answer(TARGETS, 200, odd[i]);
		CHECK_INT(scripted_run(LINE), EXIT_FAILED);
		begin();
		scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
		scripted_answer(ROLLOUT("1"), 200, odd[i]);
		CHECK_INT(scripted_run(LINE), EXIT_FAILED);
		begin();
		scripted_begin();
		scripted_answer(POST, 202, odd[i]);
		CHECK_INT(scripted_run(LINE), EXIT_FAILED);
		CHECK(!strstr(captured_out(), "queued"));
	}
	begin();
	scripted_begin();
	scripted_answer(POST, 202, "{\"job_ids\":[\"job-1\"]}");
	scripted_answer(JOB "1", 200, "{\"status\":\"Completed\"}");
	scripted_answer(TARGETS, 200, "{\"data\":[]}");
	CHECK_INT(scripted_run(LINE), EXIT_FAILED);
	CHECK(strstr(captured_err(), "which version job job-1 made"));
}

static void
refusals_are_told(void)
{
	begin();
	scripted_answer(TARGETS, 403, "{\"message\":\"not yours\"}");
	CHECK_INT(scripted_run(LINE), EXIT_NOT_ALLOWED);
	CHECK_STR(captured_err(),
	    "certctl: not yours (403)\nTo fix it: Use a key whose role has "
	    "this right, or ask for it.\n");
	begin();
	scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
	scripted_answer(ROLLOUT("1"), 404, "{\"message\":\"gone\"}");
	CHECK_INT(scripted_run(LINE), EXIT_NOT_FOUND);
	begin();
	scripted_begin();
	scripted_answer(POST, 409, "{\"message\":\"under way\"}");
	scripted_answer("GET /api/v1/certificates?q=c", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run(LINE), EXIT_CONFLICT);
	CHECK_INT(scripted_run("certs renew c --handshake"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "--handshake goes with --wait"));
}

static void
a_name_is_looked_for_where_no_id_is(void)
{
	begin();
	scripted_answer("POST /api/v1/certificates/web/renew", 404, "{}");
	scripted_answer("GET /api/v1/certificates?q=web", 200,
	    "{\"data\":[{\"id\":\"c\",\"name\":\"web\"}]}");
	scripted_answer("GET /api/v1/certificates/web", 404, "{}");
	CHECK_INT(scripted_run("certs renew web"), EXIT_DONE);
	CHECK_STR(captured_out(), "queued as job-1\n");
	CHECK_INT(scripted_count(POST), 1);
}

/* Nothing listens on port 1. */
static void
a_look_from_here_is_made_where_asked_for(void)
{
	begin();
	scripted_answer(TARGETS, 200,
	    arena_printf(texts, "{\"data\":[%s,%s]}",
		"{\"id\":\"t-1\",\"agent_id\":\"a\",\"enabled\":true,"
		"\"config\":{\"host\":\"127.0.0.1\",\"port\":1}}",
		TARGET("t-2", "a", "")));
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-2", "1", "t-2", "Completed", "success") "," //
		DEPLOYED("d-1", "1", "t-1", "Completed", "success")));
	scripted_answer(VERSIONS, 200,
	    "{\"data\":[{\"id\":\"certver-1\",\"serial_number\":\"ab\"}]}");
	CHECK_INT(scripted_run(LINE), EXIT_DONE);
	CHECK_INT(scripted_count(VERSIONS), 0);
	CHECK_INT(scripted_run(LINE " --handshake"), EXIT_UNREACHABLE);
	CHECK(strstr(captured_out(),
	    "not looked at from here, for it names no host: t-2\n"));
	CHECK_STR(captured_err(),
	    "certctl: 127.0.0.1:1, as seen from here, serves serial (no "
	    "handshake), not ab\n");
}

static void
json_is_the_jobs_alone(void)
{
	begin();
	scripted_answer(TARGETS, 200, targets(TARGET("t-1", "a", "")));
	scripted_answer(ROLLOUT("1"), 200,
	    targets(DEPLOYED("d-1", "1", "t-1", "Completed", "success")));
	CHECK_INT(scripted_run_json(LINE), EXIT_DONE);
	CHECK_STR(captured_out(), "{\"data\":[" JOB_1_DONE "],\"total\":1}\n");
	CHECK(strstr(captured_err(), "installed on 1 target\n"));
	CHECK_INT(scripted_run("certs renew c --force"), EXIT_DONE);
	CHECK_STR(captured_out(), "queued as job-1\n");
}

CHECK_MAIN(CHECK_ROW(events_say_when_to_look),
    CHECK_ROW(what_cannot_come_is_told),
    CHECK_ROW(more_targets_than_a_page_are_all_counted),
    CHECK_ROW(one_failure_among_many_is_a_failure),
    CHECK_ROW(a_target_without_its_deployment_is_waited_for),
    CHECK_ROW(a_deployment_that_goes_on_too_long_is_a_failure),
    CHECK_ROW(every_agents_job_is_followed),
    CHECK_ROW(where_nothing_comes_is_said),
    CHECK_ROW(a_failure_anywhere_counts),
    CHECK_ROW(a_server_that_is_away_for_a_while_is_no_failure),
    CHECK_ROW(an_answer_that_says_nothing_is_a_failure),
    CHECK_ROW(refusals_are_told),
    CHECK_ROW(a_name_is_looked_for_where_no_id_is),
    CHECK_ROW(a_look_from_here_is_made_where_asked_for),
    CHECK_ROW(json_is_the_jobs_alone))
