/*
 * test_clock: the two clocks and their text.
 */
#include "common/base/clock.h"

#include <time.h>

#include "tests/unit/check.h"

static void
test_running(void)
{
	int64_t boot = clock_boot_ms();
	int64_t wall = clock_wall_us();
	struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};

	CHECK(boot > 0);
	CHECK(wall > 1500000000LL * 1000000);
	(void)nanosleep(&pause, NULL);
	CHECK(clock_boot_ms() >= boot + 19);
	CHECK(clock_wall_us() != wall);
}

static void
test_fake(void)
{
	clock_set_fake(5, 7);
	CHECK_INT(clock_boot_ms(), 5);
	CHECK_INT(clock_boot_us(), 5000);
	CHECK_INT(clock_wall_us(), 7);
	clock_set_fake(0, -1);
	CHECK_INT(clock_boot_ms(), 0);
	CHECK_INT(clock_wall_us(), -1);
	clock_set_fake(-1, 0);
	CHECK(clock_boot_ms() > 0);
	CHECK(clock_wall_us() > 0);
}

static void
test_format(void)
{
	char out[32];

	clock_format_rfc3339(0, out);
	CHECK_STR(out, "1970-01-01T00:00:00.000Z");
	clock_format_rfc3339(1795463788123999, out);
	CHECK_STR(out, "2026-11-23T19:56:28.123Z");
	clock_format_rfc3339(951827696000000, out);
	CHECK_STR(out, "2000-02-29T12:34:56.000Z");
	/* before 1970 it rounds down as after it */
	clock_format_rfc3339(-1, out);
	CHECK_STR(out, "1969-12-31T23:59:59.999Z");
	clock_format_rfc3339(-1000, out);
	CHECK_STR(out, "1969-12-31T23:59:59.999Z");
	clock_format_rfc3339(-1001, out);
	CHECK_STR(out, "1969-12-31T23:59:59.998Z");
	/* absurd, but inside its 32 bytes */
	clock_format_rfc3339(INT64_MAX, out);
	CHECK(strlen(out) < sizeof(out));
	clock_format_rfc3339(INT64_MIN, out);
	CHECK(strlen(out) < sizeof(out));
}

static void
test_parse(void)
{
	static const struct {
		const char *text;
		int64_t unix_s; /* -1: it is no time */
	} cases[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"2026-11-23T19:56:28.123Z", 1795463788},
	    {"2026-11-23t21:26:28+01:30", 1795463788},
	    {"2026-11-23T18:56:28-01:00", 1795463788},
	    {"2000-02-29 12:34:56z", 951827696},
	    {"2016-12-31T23:59:60Z", 1483228799},
	    {"9999-12-31T23:59:59Z", 253402300799},
	    {"", -1},
	    {"2026-11-23", -1},
	    {"2026-11-23T19:56:28", -1},
	    {"2026-11-23T19:56:28.Z", -1},
	    {"2026-11-23T19:56:28Z ", -1},
	    {"2026-11-23T19:56:28+0100", -1},
	    {"2026-11-23T19:56:28+24:00", -1},
	    {"2026-11-31T00:00:00Z", -1},
	    {"2025-02-29T00:00:00Z", -1},
	    {"2026-13-01T00:00:00Z", -1},
	    {"2026-00-01T00:00:00Z", -1},
	    {"2026-01-01T24:00:00Z", -1},
	    {"1969-12-31T23:59:59Z", -1},
	    {"-026-11-23T19:56:28Z", -1},
	    {"infinity", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t at = -1;
		rc ret = clock_parse_rfc3339(cases[i].text, &at);

		CHECK_INT(ret, cases[i].unix_s < 0 ? RC_INVALID : RC_OK);
		CHECK_INT(at, cases[i].unix_s);
	}
}

CHECK_MAIN(CHECK_ROW(test_running), CHECK_ROW(test_fake),
    CHECK_ROW(test_format), CHECK_ROW(test_parse))
