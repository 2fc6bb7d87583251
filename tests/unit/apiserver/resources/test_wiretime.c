#include "apiserver/resources/wiretime.h"

#include <string.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "tests/unit/check.h"

static void
test_valid(void)
{
	static const char *const good[] = {"2026-11-23T20:08:01Z",
	    "2026-11-23T20:08:01.5Z", "2026-11-23t20:08:01z",
	    "2026-11-23T20:08:01.123456789+01:00", "2024-02-29T00:00:00-15:59",
	    "0001-01-01T00:00:00Z"};
	static const char *const bad[] = {"", "2026", "2026-11-23",
	    "2026-11-23T20:08", "2026-11-23T20:08:01", "2026-11-23 20:08:01Z",
	    "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
	    "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z",
	    "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z",
	    "2026-11-23T24:00:00Z", "2026-11-23T20:60:00Z",
	    "2026-11-23T20:08:60Z", "2026-11-23T20:08:01.Z",
	    "2026-11-23T20:08:01.1234567890Z", "2026-11-23T20:08:01Zx",
	    "2026-11-23T20:08:01+1:00", "2026-11-23T20:08:01+16:00",
	    "0000-01-01T00:00:00Z", "20261123T200801Z", "-026-11-23T20:08:01Z"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK(wiretime_is_valid(good[i], false));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!wiretime_is_valid(bad[i], false));
	CHECK(wiretime_is_valid("2026-11-23", true));
	CHECK(!wiretime_is_valid("2026-11-31", true));
}

static void
written(const char *text, const char *want)
{
	struct json_w w;
	struct buf b;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	wiretime_put(&w, text);
	CHECK_STR(buf_cstr(&b), want);
	buf_fini(&b);
}

static void
test_put(void)
{
	written("2026-11-23 20:08:01.5", "\"2026-11-23T20:08:01.5Z\"");
	written("2026-11-23 20:08:01", "\"2026-11-23T20:08:01Z\"");
	written("", "\"0001-01-01T00:00:00Z\"");
	written("-infinity", "\"0001-01-01T00:00:00Z\"");
	written("infinity", "\"9999-12-31T23:59:59Z\"");
}

static void
test_clock(void)
{
	static const struct {
		int64_t us;
		const char *want;
	} rows[] = {{0, "1970-01-01T00:00:00Z"},
	    {500000, "1970-01-01T00:00:00.5Z"},
	    {10120999, "1970-01-01T00:00:10.12Z"},
	    {100001000, "1970-01-01T00:01:40.001Z"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json_w w;
		struct buf b;

		buf_init(&b, 0);
		json_w_init(&w, &b);
		json_w_open(&w, '{');
		wiretime_kv_us(&w, "at", rows[i].us);
		CHECK(strstr(buf_cstr(&b), rows[i].want) != NULL);
		buf_fini(&b);
	}
}

CHECK_MAIN(CHECK_ROW(test_valid), CHECK_ROW(test_put), CHECK_ROW(test_clock))
