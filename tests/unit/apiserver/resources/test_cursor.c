#include "apiserver/resources/cursor.h"

#include "common/base/attr.h"
#include "common/base/enc.h"
#include "tests/unit/check.h"

static const struct cursor_key by_time[] = {
    {"created_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};
static const struct cursor_key by_name[] = {
    {"name", CURSOR_TEXT},
    {"id", CURSOR_ID},
};
static const struct cursor_key by_numbers[] = {
    {"a", CURSOR_INT},
    {"b", CURSOR_INT},
    {"c", CURSOR_INT},
};

static const char *
encoded(struct arena *a, const char *plain)
{
	return enc_base64(a, (const uint8_t *)plain, strlen(plain));
}

static void
there_and_back(const struct cursor_key *keys, size_t n,
    const char *const *values)
{
	struct arena *a = arena_new();
	const char *text = cursor_encode(a, values, n);
	const char *got[CURSOR_KEYS_MAX];

	CHECK(strpbrk(text, "+/") == NULL);
	CHECK(cursor_decode(a, text, keys, n, got));
	for (size_t i = 0; i < n; i++)
		CHECK_STR(got[i], values[i]);
	arena_free(a);
}

static void
test_there_and_back(void)
{
	there_and_back(by_time, 2,
	    (const char *[]){"2026-11-23T20:08:01.123456Z", "mc-1.a_b"});
	there_and_back(by_time, 2, (const char *[]){"-infinity", "notif-1"});
	there_and_back(by_name, 2,
	    (const char *[]){"a:b \xC3\xA4?>\xC3\xBE", "x"});
	there_and_back(by_name, 2, (const char *[]){"", "x"});
	there_and_back(by_name + 1, 1, (const char *[]){"job-17-2"});
	there_and_back(by_numbers, 3,
	    (const char *[]){"1", "9223372036854775807", "0"});
}

static void
test_contract_form(void)
{
	struct arena *a = arena_new();

	CHECK_STR(cursor_encode(a,
		      (const char *[]){"2026-11-23T20:08:01Z", "mc-1"}, 2),
	    encoded(a, "2026-11-23T20:08:01Z:mc-1"));
	arena_free(a);
}

static void
test_what_is_none(void)
{
	static const char *const times[] = {"", "x", ":", "x:y",
	    "2026-11-23T20:08:01Z:", ":mc-1", "2026-11-23:mc-1",
	    "2026-11-23T20:08:01Z'; --:mc-1", "infinite:mc-1", "\xFF:mc-1"};
	static const char *const numbers[] = {"1:2", "1:2:x", "1:-2:3", "1::3",
	    "1:9223372036854775808:3", "0:1:2:3"};
	struct arena *a = arena_new();
	const char *got[CURSOR_KEYS_MAX] = {NULL, NULL, NULL};

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		CHECK(!cursor_decode(a, encoded(a, times[i]), by_time, 2, got));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		CHECK(!cursor_decode(a, encoded(a, numbers[i]), by_numbers, 3,
		    got));
	CHECK(!cursor_decode(a, "start", by_time, 2, got));
	CHECK(!cursor_decode(a, "=====", by_time, 2, got));
	CHECK(!cursor_decode(a, "AAAA", by_time, 2, got));
	CHECK(got[0] == NULL && got[1] == NULL && got[2] == NULL);
	arena_free(a);
}

CHECK_MAIN(CHECK_ROW(test_there_and_back), CHECK_ROW(test_contract_form),
    CHECK_ROW(test_what_is_none))
