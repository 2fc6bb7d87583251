/*
 * test_talk: a failure in four parts, for people, then as one JSON object.
 */
#include "cli/talk.h"

#include "cli/out.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

static const struct talk_failure whole = {.why = "no such\ncertificate",
    .fix = "look for it",
    .request_id = "r-1",
    .status = 404};

static void
people_read_four_parts(void)
{
	const struct talk_failure bare = {.what = "audit", .why = "it is late"};

	talk_about("certs get");
	capture_begin();
	talk_failure(&whole);
	talk_failure(&bare);
	talk_end(3);
	capture_end();
	CHECK_STR(captured_out(), "");
	CHECK_STR(captured_err(),
	    "certctl: certs get: no such\ncertificate (404)\n"
	    "To fix it: look for it\nRequest: r-1\n"
	    "certctl: audit: it is late\n");
}

/* From here on all is JSON. */
static void
programs_read_one_object(void)
{
	talk_as_json();
	capture_begin();
	out_tell("0.01 s queued");
	talk_failure(&whole);
	talk_end(3);
	talk_end(3);
	capture_end();
	CHECK_STR(captured_out(), "");
	CHECK_STR(captured_err(),
	    "0.01 s queued\n"
	    "{\"error\":{\"what\":\"certs get\",\"why\":\"no such\\ncertificate"
	    "\",\"fix\":\"look for it\",\"request_id\":\"r-1\",\"status\":404,"
	    "\"exit_code\":3}}\n");
}

static void
one_without_parts_is_an_object_too(void)
{
	capture_begin();
	out_error("\"%s\" is no option here", "--odd\xe2\x80\xae");
	out_tell("usage: certctl x");
	out_tell("see certctl help");
	talk_end(2);
	capture_end();
	CHECK_STR(captured_err(),
	    "{\"error\":{\"what\":\"certs get\",\"why\":\"\\\"--odd\\u202e\\\" "
	    "is no option here\",\"fix\":\"usage: certctl x\\nsee certctl "
	    "help\",\"exit_code\":2}}\n");
	capture_begin();
	talk_end(0);
	capture_end();
	CHECK_STR(captured_err(), "");
}

CHECK_MAIN(CHECK_ROW(people_read_four_parts),
    CHECK_ROW(programs_read_one_object),
    CHECK_ROW(one_without_parts_is_an_object_too))
