/*
 * test_json_read: what foreign JSON may look like, and the getters.
 */
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "common/json/json.h"
#include "tests/unit/check.h"

static struct arena *arena;
static const struct cJSON *value;
static const char *why;

static rc
parse_len(const char *text, size_t len)
{
	if (arena == NULL)
		arena = arena_new();
	value = NULL;
	why = "";
	return json_parse(arena, text, len, &value, &why);
}

static rc
parse(const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);
	rc code;

	/* without a NUL behind it, so that a read past the end is seen */
	CHECK(copy != NULL);
	memcpy(copy, text, len);
	code = parse_len(copy, len);
	free(copy);
	return code;
}

static void
drop(void)
{
	arena_free(arena);
	arena = NULL;
}

static void
test_accepted(void)
{
	static const char *const good[] = {"{}", "[]", " { } ", "null", "true",
	    "false", "0", "-0", "-1", "1.5", "1e3", "1E-2", "1e+2", "\"\"",
	    "[1,2,[3]]", "{\"a\":{\"a\":1}}", "[{\"a\":1},{\"a\":2}]",
	    "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"",
	    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", "\t[\r\n1 , 2\n]\r",
	    "9007199254740991", "-9007199254740991", "1e-400",
	    "{\"\":1,\"a\":null}", "\"\\\\\"", "\"\x7f\"",
	    "{\"a\":1,\"b\":2,\"c\":3,\"aa\":4}"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (parse(good[i]) != RC_OK)
			printf("  refused: %s: %s\n", good[i], why);
		CHECK_INT(parse(good[i]), RC_OK);
		CHECK(value != NULL);
	}
	drop();
}

static void
test_refused(void)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"", "text ends early at byte 0"},
	    {"  ", "text ends early at byte 2"},
	    {"{} x", "text after the value at byte 3"},
	    {"{}{}", "text after the value at byte 2"},
	    {"01", "text after the value at byte 1"},
	    {"1.", "malformed number at byte 2"},
	    {".5", "unexpected character at byte 0"},
	    {"+1", "unexpected character at byte 0"},
	    {"-", "malformed number at byte 1"},
	    {"1e", "malformed number at byte 2"},
	    {"0x10", "text after the value at byte 1"},
	    {"NaN", "unexpected character at byte 0"},
	    {"Infinity", "unexpected character at byte 0"},
	    {"tru", "unexpected character at byte 0"},
	    {"True", "unexpected character at byte 0"},
	    {"'a'", "unexpected character at byte 0"},
	    {"[1,]", "unexpected character at byte 3"},
	    {"[1 2]", "',' or ']' expected at byte 3"},
	    {"[", "text ends early at byte 1"},
	    {"[1", "',' or ']' expected at byte 2"},
	    {"{", "member name expected at byte 1"},
	    {"{a:1}", "member name expected at byte 1"},
	    {"{\"a\" 1}", "':' expected at byte 5"},
	    {"{\"a\":}", "unexpected character at byte 5"},
	    {"{\"a\":1,}", "member name expected at byte 7"},
	    {"{\"a\":1 \"b\":2}", "',' or '}' expected at byte 7"},
	    {"\"abc", "unfinished string at byte 0"},
	    {"\"abc\\\"", "unfinished string at byte 0"},
	    {"\"abc\\", "unfinished string at byte 0"},
	    {"\"\\x41\"", "unknown escape at byte 2"},
	    {"\"\\u00g0\"", "broken \\u escape at byte 3"},
	    {"\"\\u00\"", "broken \\u escape at byte 3"},
	    {"\"a\nb\"", "control character in a string at byte 2"},
	    {"// c\n1", "unexpected character at byte 0"},
	    {"\xef\xbb\xbf{}", "unexpected character at byte 0"},
	    /* what cJSON would let pass */
	    {"\"a\\u0000b\"", "\\u0000 is not accepted at byte 2"},
	    {"\"\\ud83d\"", "lone surrogate at byte 1"},
	    {"\"\\ude00\"", "lone surrogate at byte 1"},
	    {"\"\\ud83d\\u0041\"", "lone surrogate at byte 1"},
	    {"\"\\ud83dx\"", "lone surrogate at byte 1"},
	    {"\"\xff\"", "string is not valid UTF-8 at byte 1"},
	    {"\"\xc0\xaf\"", "string is not valid UTF-8 at byte 1"},
	    {"\"\xed\xa0\x80\"", "string is not valid UTF-8 at byte 1"},
	    {"{\"a\":1,\"a\":2}", "duplicate member at byte 7"},
	    {"{\"name\":1,\"b\":0,\"NaMe\":2}", "duplicate member at byte 16"},
	    {"{\"a\":1,\"\\u0061\":2}", "duplicate member at byte 7"},
	    {"{\"x\":{\"b\":1,\"B\":2}}", "duplicate member at byte 12"},
	    {"{\"a\":{},\"b\":[{\"a\":1}],\"A\":2}",
		"duplicate member at byte 22"},
	    {"9007199254740992", "number is out of range at byte 0"},
	    {"[-9007199254740993]", "number is out of range at byte 1"},
	    {"1e400", "number is out of range at byte 0"},
	    {"-1e400", "number is out of range at byte 0"},
	    {"1e16", "number is out of range at byte 0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_INT(parse(bad[i].text), RC_INVALID);
		CHECK_STR(why, bad[i].why);
		CHECK(value == NULL);
	}
	drop();
}

static void
test_raw_nul(void)
{
	CHECK_INT(parse_len("\"a\0b\"", 5), RC_INVALID);
	CHECK_STR(why, "control character in a string at byte 2");
	CHECK_INT(parse_len("1\0", 2), RC_INVALID);
	CHECK_INT(parse_len("\0", 1), RC_INVALID);
	CHECK_INT(parse_len("\"\\\0\"", 4), RC_INVALID);
	/* the length rules, not the terminator */
	CHECK_INT(parse_len("12", 1), RC_OK);
	CHECK_INT((int)cJSON_GetNumberValue(value), 1);
	drop();
}

static void
test_depth(void)
{
	char text[200];

	memset(text, '[', 33);
	memset(text + 33, ']', 33);
	CHECK_INT(parse_len(text + 1, 64), RC_OK);
	CHECK_INT(parse_len(text, 66), RC_INVALID);
	CHECK_STR(why, "nested too deeply at byte 32");
	memset(text, '[', sizeof(text));
	CHECK_INT(parse_len(text, sizeof(text)), RC_INVALID);
	drop();
}

static void
test_number_length(void)
{
	char text[100] = "0.";

	memset(text + 2, '1', sizeof(text) - 2);
	CHECK_INT(parse_len(text, 63), RC_OK);
	CHECK_INT(parse_len(text, 64), RC_INVALID);
	CHECK_STR(why, "number is too long at byte 0");
	drop();
}

/* A body of many members must not take quadratic time: 60 thousand pairs
 * compared with each other would be seconds, sorted they are milliseconds. */
static void
test_many_members(void)
{
	struct buf b;

	buf_init(&b, 0);
	buf_putc(&b, '{');
	for (int i = 0; i < 60000; i++)
		buf_printf(&b, "\"k%d\":%d,", i, i);
	buf_puts(&b, "\"last\":1}");
	CHECK_INT(parse_len(b.data, b.len), RC_OK);
	b.len -= 9; /* the last member again under another case */
	buf_puts(&b, "\"K777\":1}");
	CHECK_INT(parse_len(b.data, b.len), RC_INVALID);
	CHECK(strncmp(why, "duplicate member at byte ", 25) == 0);
	CHECK_INT(strtoll(why + 25, NULL, 10), (long long)b.len - 9);
	buf_fini(&b);
	drop();
}

static void
test_strings(void)
{
	const char *s = "kept";

	CHECK_INT(parse("{\"Name\":\"a\\u00e9\\ud83d\\ude00\\n\",\"n\":null,"
			"\"i\":5,\"e\":\"\"}"),
	    RC_OK);
	CHECK_INT(json_str(value, "none", 10, &s), RC_NOT_FOUND);
	CHECK_INT(json_str(value, "n", 10, &s), RC_NOT_FOUND);
	CHECK_INT(json_str(value, "i", 10, &s), RC_INVALID);
	CHECK_INT(json_str(value, "NAME", 7, &s), RC_INVALID);
	CHECK_STR(s, "kept");
	CHECK_INT(json_str(value, "NAME", 8, &s), RC_OK);
	CHECK_STR(s, "a\xc3\xa9\xf0\x9f\x98\x80\n");
	CHECK_INT(json_str(value, "e", 0, &s), RC_OK);
	CHECK_STR(s, "");
	CHECK(json_get(value, "n") != NULL);
	CHECK(json_get(value, "x") == NULL);
	CHECK(json_get(NULL, "x") == NULL);
	CHECK_INT(parse("[\"Name\"]"), RC_OK);
	CHECK(json_get(value, "Name") == NULL);
	CHECK_INT(json_str(value, "Name", 9, &s), RC_NOT_FOUND);
	drop();
}

static void
test_ints(void)
{
	int64_t v = 42;

	CHECK_INT(parse("{\"a\":9007199254740991,\"b\":1.5,\"c\":\"1\","
			"\"d\":-3,\"e\":1e3,\"f\":true}"),
	    RC_OK);
	CHECK_INT(json_int(value, "a", 0, INT64_MAX, &v), RC_OK);
	CHECK(v == 9007199254740991);
	CHECK_INT(json_int(value, "b", 0, 10, &v), RC_INVALID);
	CHECK_INT(json_int(value, "c", 0, 10, &v), RC_INVALID);
	CHECK_INT(json_int(value, "f", 0, 10, &v), RC_INVALID);
	CHECK_INT(json_int(value, "d", 0, 10, &v), RC_INVALID);
	CHECK_INT(json_int(value, "z", 0, 10, &v), RC_NOT_FOUND);
	CHECK(v == 9007199254740991);
	CHECK_INT(json_int(value, "d", -3, 10, &v), RC_OK);
	CHECK_INT(v, -3);
	CHECK_INT(json_int(value, "e", 0, 1000, &v), RC_OK);
	CHECK_INT(v, 1000);
	CHECK_INT(json_int(value, "e", 0, 999, &v), RC_INVALID);
	drop();
}

static void
test_bools(void)
{
	bool v = true;

	CHECK_INT(parse("{\"t\":true,\"f\":false,\"s\":\"true\",\"n\":null}"),
	    RC_OK);
	CHECK_INT(json_bool(value, "s", &v), RC_INVALID);
	CHECK_INT(json_bool(value, "n", &v), RC_NOT_FOUND);
	CHECK_INT(json_bool(value, "F", &v), RC_OK);
	CHECK(!v);
	CHECK_INT(json_bool(value, "t", &v), RC_OK);
	CHECK(v);
	drop();
}

static void
test_lists(void)
{
	const char **list = NULL;
	size_t n = 99;

	CHECK_INT(parse("{\"l\":[\"a\",\"bc\"],\"e\":[],\"m\":[\"a\",1],"
			"\"s\":\"a\",\"n\":[null]}"),
	    RC_OK);
	CHECK_INT(json_str_list(arena, value, "l", 1, 9, &list, &n),
	    RC_INVALID);
	CHECK_INT(json_str_list(arena, value, "l", 2, 1, &list, &n),
	    RC_INVALID);
	CHECK_INT(json_str_list(arena, value, "m", 9, 9, &list, &n),
	    RC_INVALID);
	CHECK_INT(json_str_list(arena, value, "s", 9, 9, &list, &n),
	    RC_INVALID);
	CHECK_INT(json_str_list(arena, value, "n", 9, 9, &list, &n),
	    RC_INVALID);
	CHECK_INT(json_str_list(arena, value, "x", 9, 9, &list, &n),
	    RC_NOT_FOUND);
	CHECK_INT(n, 99);
	CHECK_INT(json_str_list(arena, value, "l", 2, 2, &list, &n), RC_OK);
	CHECK_INT(n, 2);
	CHECK_STR(list[0], "a");
	CHECK_STR(list[1], "bc");
	CHECK_INT(json_str_list(arena, value, "e", 2, 2, &list, &n), RC_OK);
	CHECK_INT(n, 0);
	drop();
}

static void
test_exact(void)
{
	const char *text = NULL;

	CHECK_INT(parse("{\"alg\":\"x\",\"Kid\":\"y\",\"n\":null}"), RC_OK);
	CHECK(json_get_exact(value, "alg") == json_get(value, "ALG"));
	CHECK(json_get_exact(value, "ALG") == NULL);
	CHECK_INT(json_str_exact(value, "kid", 9, &text), RC_NOT_FOUND);
	CHECK_INT(json_str_exact(value, "n", 9, &text), RC_INVALID);
	CHECK_INT(json_str_exact(value, "Kid", 0, &text), RC_INVALID);
	CHECK_INT(json_str_exact(value, "Kid", 1, &text), RC_OK);
	CHECK_STR(text, "y");
	drop();
}

static void
test_text(void)
{
	CHECK_INT(parse(" { \"a\" : [ 1 , \"x\" , null ] } "), RC_OK);
	CHECK_STR(json_text(arena, value), "{\"a\":[1,\"x\",null]}");
	CHECK_STR(json_text(arena, NULL), "null");
	drop();
}

CHECK_MAIN(CHECK_ROW(test_accepted), CHECK_ROW(test_refused),
    CHECK_ROW(test_raw_nul), CHECK_ROW(test_depth),
    CHECK_ROW(test_number_length), CHECK_ROW(test_many_members),
    CHECK_ROW(test_strings), CHECK_ROW(test_ints), CHECK_ROW(test_bools),
    CHECK_ROW(test_lists), CHECK_ROW(test_exact), CHECK_ROW(test_text))
