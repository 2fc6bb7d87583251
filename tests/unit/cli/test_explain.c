/*
 * test_explain: whose id it is, the verdict first, and an exit code that says
 * whether it is ready.
 */
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

#include "cli/cli.h"

#define CERT "GET /api/v1/explain/certificate/"
#define TARGET "GET /api/v1/explain/target/"
#define JOB "GET /api/v1/explain/job/"
#define GONE "{\"message\":\"there is none of this id\"}"
#define READY \
	"{\"ready\":true,\"verdict\":\"x is ready\",\"next\":\"It is renewed " \
	"then.\",\"steps\":[{\"step\":\"certificate\",\"state\":\"ok\"," \
	"\"code\":\"valid\",\"id\":\"x\",\"text\":\"x is valid\"}]}"
#define STUCK \
	"{\"ready\":false,\"verdict\":\"x is not ready: \\u001b[2J\"," \
	"\"code\":\"turn\",\"subject\":\"j\",\"said\":\"no room\"," \
	"\"since\":\"2026-11-30T08:00:00Z\",\"next\":\"n\",\"advice\":\"d\"," \
	"\"steps\":[{\"step\":\"job\",\"state\":\"stuck\",\"code\":\"turn\"," \
	"\"id\":\"j\",\"text\":\"t\",\"advice\":\"d\"}," \
	"{\"step\":\"agent\",\"state\":\"warning\",\"code\":\"agent_silent\"," \
	"\"id\":\"a\",\"text\":\"off\",\"advice\":\"start it\"}]}"

static void
the_verdict_comes_first(void)
{
	scripted_begin();
	scripted_answer(CERT "x", 200, STUCK);
	CHECK_INT(scripted_run("explain certificate x"), EXIT_FAILED);
	CHECK_STR(captured_out(), "x is not ready: \\x1b[2J\n"
				  "  since  2026-11-30 08:00:00 UTC\n"
				  "  said   no room\n"
				  "  next   n\n"
				  "  do     d\n"
				  "\n"
				  "stuck    job          t\n"
				  "warning  agent        off\n"
				  "                      do     start it\n");
}

static void
what_is_ready_says_so(void)
{
	scripted_begin();
	scripted_answer(CERT "x", 200, READY);
	scripted_answer(TARGET "x", 404, GONE);
	CHECK_INT(scripted_run("explain x"), EXIT_DONE);
	CHECK_STR(captured_out(), "x is ready\n  next   It is renewed then.\n\n"
				  "ok       certificate  x is valid\n");
}

static void
an_id_without_a_kind_is_looked_for(void)
{
	scripted_begin();
	scripted_answer(JOB "job-1", 200, READY);
	CHECK_INT(scripted_run("explain job-1"), EXIT_DONE);
	scripted_begin();
	scripted_answer(CERT "x", 404, GONE);
	scripted_answer(TARGET "x", 200, STUCK);
	CHECK_INT(scripted_run("explain x"), EXIT_FAILED);
	scripted_begin();
	scripted_answer(CERT "x", 404, GONE);
	scripted_answer(TARGET "x", 404, GONE);
	scripted_answer("GET /api/v1/certificates?q=x", 200, "{\"data\":[]}");
	scripted_answer("GET /api/v1/targets?q=x", 200, "{\"data\":[]}");
	CHECK_INT(scripted_run("explain x"), EXIT_NOT_FOUND);
	CHECK(strstr(captured_err(), "has the id or name x"));
	scripted_begin();
	scripted_answer(CERT "x", 200, READY);
	scripted_answer(TARGET "x", 200, READY);
	CHECK_INT(scripted_run("explain x"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "say which"));
}

static void
a_name_stands_for_an_id(void)
{
	scripted_begin();
	scripted_answer(CERT "web", 404, GONE);
	scripted_answer(TARGET "web", 404, GONE);
	scripted_answer("GET /api/v1/certificates?q=web", 200,
	    "{\"data\":[{\"id\":\"mc-1\",\"name\":\"web\"}]}");
	scripted_answer_times("GET /api/v1/targets?q=web", 200, "{\"data\":[]}",
	    1);
	scripted_answer("GET /api/v1/targets?q=web", 200,
	    "{\"data\":[{\"id\":\"tgt-1\",\"name\":\"web\"}]}");
	scripted_answer(CERT "mc-1", 200, READY);
	scripted_answer(TARGET "tgt-1", 200, STUCK);
	CHECK_INT(scripted_run("explain web"), EXIT_DONE);
	CHECK_INT(scripted_run("explain web"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "have the name web; say which"));
	CHECK_INT(scripted_run("explain target web"), EXIT_FAILED);
	CHECK_INT(scripted_run("explain certificate web"), EXIT_DONE);
	/* One that can be no id is refused as such, unread. */
	scripted_begin();
	scripted_answer(CERT "b%2Fc", 400, "{}");
	scripted_answer(TARGET "b%2Fc", 400, "{}");
	scripted_answer("GET /api/v1/certificates?q=b%2Fc", 200,
	    "{\"data\":[]}");
	scripted_answer("GET /api/v1/targets?q=b%2Fc", 200,
	    "{\"data\":[{\"id\":\"tgt-1\",\"name\":\"b/c\"}]}");
	scripted_answer(TARGET "tgt-1", 200, READY);
	CHECK_INT(scripted_run("explain b/c"), EXIT_DONE);
	CHECK_INT(scripted_run("explain target b/c"), EXIT_DONE);
}

static void
what_is_no_kind_is_refused(void)
{
	scripted_begin();
	CHECK_INT(scripted_run("explain issuer x"), EXIT_USAGE);
	CHECK(strstr(captured_err(), "not a \"issuer\""));
	CHECK(!scripted_asked(0));
}

static void
a_server_that_does_not_say_is_no_success(void)
{
	scripted_begin();
	scripted_answer(CERT "x", 200, "{}");
	CHECK_INT(scripted_run("explain certificate x"), EXIT_FAILED);
	scripted_begin();
	scripted_answer(CERT "x", 403, "{\"message\":\"no\"}");
	CHECK_INT(scripted_run("explain x"), EXIT_NOT_ALLOWED);
}

static void
json_comes_as_it_is(void)
{
	scripted_begin();
	scripted_answer(CERT "x", 200, "{\"ready\":false}");
	CHECK_INT(scripted_run_json("explain certificate x"), EXIT_FAILED);
	CHECK_STR(captured_out(), "{\"ready\":false}\n");
}

CHECK_MAIN(CHECK_ROW(the_verdict_comes_first), CHECK_ROW(what_is_ready_says_so),
    CHECK_ROW(an_id_without_a_kind_is_looked_for),
    CHECK_ROW(a_name_stands_for_an_id), CHECK_ROW(what_is_no_kind_is_refused),
    CHECK_ROW(a_server_that_does_not_say_is_no_success),
    CHECK_ROW(json_comes_as_it_is))
