/*
 * test_moment: times and spans, as people read them.
 */
#include "cli/moment.h"

#include <cjson/cJSON.h>

#include "common/json/json.h"
#include "tests/unit/check.h"

static struct arena *a;

/* Unix seconds of what the API says; -1: it is no time. */
static int64_t
read_time(const char *json_text)
{
	const struct cJSON *json;
	const char *why;
	int64_t at = -1;

	CHECK_INT(json_parse(a, json_text, strlen(json_text), &json, &why),
	    RC_OK);
	if (!moment_read(json, "at", &at))
		CHECK_INT(at, -1);
	return at;
}

static void
times_of_the_api_are_read(void)
{
	a = arena_new();
	CHECK_INT(read_time("{\"at\":\"2026-11-30T08:00:01.25Z\"}"),
	    1796025601);
	CHECK_STR(moment_text(a, 1796025601), "2026-11-30 08:00:01");
	CHECK_INT(read_time("{\"at\":\"0001-01-01T00:00:00Z\"}"), -1);
	CHECK_INT(read_time("{\"at\":\"soon\"}"), -1);
	CHECK_INT(read_time("{\"at\":5}"), -1);
	CHECK_INT(read_time("{\"at\":null}"), -1);
	CHECK_INT(read_time("{}"), -1);
	arena_free(a);
}

static void
spans_have_the_units_that_tell(void)
{
	a = arena_new();
	CHECK_STR(moment_span(a, 0), "0 s");
	CHECK_STR(moment_span(a, 59), "59 s");
	CHECK_STR(moment_span(a, 60), "1 min 0 s");
	CHECK_STR(moment_span(a, 3661), "1 h 1 min");
	CHECK_STR(moment_span(a, 90000), "1 d 1 h");
	CHECK_STR(moment_about(a, 7.25), "7.2 s");
	CHECK_STR(moment_about(a, 900), "15 min");
	CHECK_STR(moment_about(a, 6000), "2 h");
	CHECK_STR(moment_about(a, 172800), "2 d");
	CHECK_STR(moment_left(a, 0), "expired");
	CHECK_STR(moment_left(a, -5), "expired");
	CHECK_STR(moment_left(a, 1), "1 min");
	CHECK_STR(moment_left(a, 7200), "2 h");
	CHECK_STR(moment_left(a, 172799), "47 h");
	CHECK_STR(moment_left(a, 172800), "2 d");
	arena_free(a);
}

/* As the API takes it, where it would pass over another. */
static void
what_is_given_is_a_time(void)
{
	static const char *const wrong[] = {"", "tomorrow", "5m", "2026-13-01",
	    "2026-02-30", "20261231Z0", "2026-12-31T12:00:00",
	    "2026-12-31T23:59:60Z", "2026-12-31T12:00:00Z x"};
	a = arena_new();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		CHECK(!moment_given(a, wrong[i]));
	CHECK_STR(moment_given(a, "2026-12-31"), "2026-12-31T00:00:00Z");
	CHECK_STR(moment_given(a, "2026-12-31 12:00:00.5+02:00"),
	    "2026-12-31T12:00:00.5+02:00");
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(what_is_given_is_a_time),
    CHECK_ROW(times_of_the_api_are_read),
    CHECK_ROW(spans_have_the_units_that_tell))
