#include "apiserver/resources/field.h"

#include "tests/unit/check.h"

static const char *
upper_only(struct arena *a, const char *text, const char **out_why)
{
	if (strcmp(text, "no") != 0)
		return "YES";
	*out_why = "is not wanted";
	return NULL;
}

static const char *
never(struct arena *a, const struct cJSON *object)
{
	return json_get(object, "bad") != NULL ? "config.bad is bad" : NULL;
}

static const char *const colours[] = {"Red", "Green", NULL};

static const struct field table[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 3},
    {"owner", FIELD_TEXT, FIELD_REQUIRED | FIELD_EMPTY_ABSENT, .max = 9},
    {"days", FIELD_INT, FIELD_ZERO_DEFAULT, 1, 365, "30"},
    {"on", FIELD_BOOL, 0, .dflt = "false"},
    {"at", FIELD_TIME, 0},
    {"names", FIELD_TEXTS, 0, .max = 9, .convert = upper_only},
    {"steps", FIELD_INTS, 0, 0, 9},
    {"tags", FIELD_TAGS, 0, .max = 4},
    {"config", FIELD_CONFIG, 0, .check = never},
    {"percent", FIELD_INT, FIELD_CLEARABLE, 1, 99},
    {"made", FIELD_TIME, FIELD_READ_ONLY},
    {"colour", FIELD_TEXT, 0, .max = 9, .words = colours},
    {"parts", FIELD_OBJECTS, 0, .max_items = 2},
};

static struct arena *arena;

/* What is stored, or what is said. */
static const char *
read_by(const struct field *fields, size_t n, const char *body, bool is_create)
{
	const struct cJSON *json;
	const char *why = "", *out = "";
	rc ret;

	arena_free(arena);
	arena = arena_new();
	ret = json_parse(arena, body, strlen(body), &json, &why);
	CHECK_INT(ret, RC_OK);
	ret = field_read(arena, fields, n, json, is_create, &out, &why);
	return ret == RC_OK ? out : why;
}

static const char *
read_body(const char *body, bool is_create)
{
	return read_by(table, ARRAY_LEN(table), body, is_create);
}

static void
test_create(void)
{
	CHECK_STR(read_body("{\"name\":\"a\",\"owner\":\"o\"}", true),
	    "{\"name\":\"a\",\"owner\":\"o\",\"days\":30,\"on\":false}");
	CHECK_STR(read_body("{\"NAME\":\"\xc3\xbc\xc3\xbc\xc3\xbc\",\"owner\":"
			    "\"o\","
			    "\"days\":0,\"on\":true,\"made\":7,\"else\":{}}",
		      true),
	    "{\"name\":\"\xc3\xbc\xc3\xbc\xc3\xbc\",\"owner\":\"o\","
	    "\"days\":30,\"on\":true}");
}

static void
test_update_names_only_what_is_said(void)
{
	CHECK_STR(read_body("{}", false), "{}");
	CHECK_STR(read_body("{\"owner\":\"\",\"id\":\"x\"}", false), "{}");
	CHECK_STR(read_body("{\"name\":\"\"}", false), "name is required");
	CHECK_STR(read_body("{\"percent\":null}", false), "{\"percent\":null}");
	CHECK_STR(read_body("{\"days\":null}", false), "{}");
	CHECK_STR(read_body("{\"days\":0}", false), "{\"days\":30}");
}

/* The default in a create; an update keeps what is stored. */
static void
test_zero_may_say_nothing(void)
{
	static const struct field fields[] = {
	    {"hours", FIELD_INT, FIELD_ZERO_ABSENT, 1, 9, "6"},
	    {"ports", FIELD_INTS, FIELD_ZERO_ABSENT, 1, 9, "[4]"},
	    {"nets", FIELD_TEXTS, FIELD_REQUIRED | FIELD_ZERO_ABSENT, .max = 9},
	    {"tags", FIELD_TAGS, FIELD_ZERO_ABSENT, .max = 9},
	};
	static const struct {
		const char *body, *created, *updated;
	} rows[] = {
	    {"{\"hours\":0,\"ports\":[],\"nets\":[]}", "nets is required",
		"{}"},
	    {"{\"hours\":0,\"ports\":[],\"nets\":[\"a\"],\"tags\":{}}",
		"{\"hours\":6,\"ports\":[4],\"nets\":[\"a\"]}",
		"{\"nets\":[\"a\"]}"},
	    /* That of another type is none. */
	    {"{\"nets\":[\"a\"],\"hours\":[]}",
		"hours must be a whole number from 1 to 9",
		"hours must be a whole number from 1 to 9"},
	    {"{\"nets\":[\"a\"],\"ports\":0}",
		"ports must be an array of whole numbers from 1 to 9",
		"ports must be an array of whole numbers from 1 to 9"},
	    {"{\"nets\":[\"a\"],\"tags\":[]}",
		"tags must be an object of at most 100 strings",
		"tags must be an object of at most 100 strings"},
	    {"{\"hours\":2,\"ports\":[5],\"nets\":[\"a\"],\"tags\":{\"k\":\"\"}"
	     "}",
		"{\"hours\":2,\"ports\":[5],\"nets\":[\"a\"],\"tags\":{\"k\":"
		"\"\"}}",
		"{\"hours\":2,\"ports\":[5],\"nets\":[\"a\"],\"tags\":{\"k\":"
		"\"\"}}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_STR(read_by(fields, ARRAY_LEN(fields), rows[i].body,
			      true),
		    rows[i].created);
		CHECK_STR(read_by(fields, ARRAY_LEN(fields), rows[i].body,
			      false),
		    rows[i].updated);
	}
}

/* An update that replaces all is read as a create, but for what none may
 * change; null keeps what only null clears. */
static void
test_the_whole(void)
{
	static const struct {
		const char *body, *stored;
	} rows[] = {
	    {"{\"name\":\"a\",\"owner\":\"o\"}",
		"{\"name\":\"a\",\"owner\":\"o\",\"days\":30,\"on\":false}"},
	    {"{\"id\":\"x\",\"name\":\"a\",\"owner\":\"o\",\"on\":true,"
	     "\"percent\":null}",
		"{\"name\":\"a\",\"owner\":\"o\",\"days\":30,\"on\":true,"
		"\"percent\":null}"},
	    {"{\"owner\":\"o\"}", "name is required"},
	    {"{\"name\":\"a\",\"owner\":null}", "owner is required"},
	};
	const struct cJSON *json;
	const char *why, *out;
	rc ret;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		arena_free(arena);
		arena = arena_new();
		ret = json_parse(arena, rows[i].body, strlen(rows[i].body),
		    &json, &why);
		CHECK_INT(ret, RC_OK);
		ret = field_read_whole(arena, table, ARRAY_LEN(table), json,
		    &out, &why);
		CHECK_STR(ret == RC_OK ? out : why, rows[i].stored);
	}
}

static void
test_numbers_once(void)
{
	static const struct field ports[] = {
	    {"ports", FIELD_INTS, FIELD_ONCE, 0, 9}};

	CHECK_STR(read_by(ports, 1, "{\"ports\":[4,2,4,2,2,0]}", true),
	    "{\"ports\":[4,2,0]}");
	CHECK_STR(read_by(ports, 1, "{\"ports\":[4,10,10]}", true),
	    "ports must be an array of whole numbers from 0 to 9");
}

static void
test_order_of_faults(void)
{
	CHECK_STR(read_body("{\"days\":999}", true), "name is required");
	CHECK_STR(read_body("{\"name\":\"a\",\"days\":999}", true),
	    "owner is required");
}

#define BODY(more) "{\"name\":\"a\",\"owner\":\"o\"," more "}"

static void
test_faults(void)
{
	static const struct {
		const char *body, *why;
	} rows[] = {
	    {BODY("\"id\":\"a/b\""),
		"id must be 1 to 128 of A-Z a-z 0-9 . _ -, not - first"},
	    {BODY("\"id\":\"-rf\""),
		"id must be 1 to 128 of A-Z a-z 0-9 . _ -, not - first"},
	    {BODY("\"tags\":{\"a\":\"\xe2\x80\xae\"}"),
		"tags must not contain control characters or others that "
		"can't be seen"},
	    {BODY("\"tags\":{\"\\u0007\":\"b\"}"),
		"tags must not contain control characters or others that "
		"can't be seen"},
	    {BODY("\"days\":366"), "days must be a whole number from 1 to 365"},
	    {BODY("\"days\":1.5"), "days must be a whole number from 1 to 365"},
	    {BODY("\"days\":\"5\""),
		"days must be a whole number from 1 to 365"},
	    {BODY("\"on\":1"), "on must be true or false"},
	    {BODY("\"at\":\"soon\""), "at must be an RFC 3339 time"},
	    {BODY("\"at\":5"), "at must be an RFC 3339 time"},
	    {BODY("\"names\":\"x\""), "names must be an array of strings"},
	    {BODY("\"names\":[1]"), "names must be an array of strings"},
	    {BODY("\"names\":[\"no\"]"), "names is not wanted"},
	    {BODY("\"names\":[\"0123456789\"]"),
		"names must be 9 characters or fewer"},
	    {BODY("\"steps\":[10]"),
		"steps must be an array of whole numbers from 0 to 9"},
	    {BODY("\"tags\":{\"a\":1}"),
		"tags must be an object of strings, not too long"},
	    {BODY("\"tags\":{\"a\":\"12345\"}"),
		"tags must be an object of strings, not too long"},
	    {BODY("\"config\":[]"), "config must be an object"},
	    {BODY("\"config\":{\"bad\":1}"), "config.bad is bad"},
	    {"{\"name\":\"abcd\"}", "name must be 3 characters or fewer"},
	    {"{\"name\":\"a\\n\"}",
		"name must not contain control characters or others that "
		"can't be seen"},
	    {"{\"name\":\"a\xe2\x80\x8b\"}",
		"name must not contain control characters or others that "
		"can't be seen"},
	    {"{\"name\":\"a\xc2\x9b\"}",
		"name must not contain control characters or others that "
		"can't be seen"},
	    {"{\"name\":\"  \"}", "name must not be blank"},
	    {"{\"name\":\"\xc2\xa0\"}", "name must not be blank"},
	    {"{\"name\":5}", "name must be a string"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_STR(read_body(rows[i].body, true), rows[i].why);
}

static void
test_values(void)
{
	CHECK_STR(read_body("{\"names\":[\"x\",\"y\"],\"steps\":[],\"tags\":{"
			    "\"a\":"
			    "\"b\"},\"config\":{\"x\":[1,{\"y\":null}]},"
			    "\"at\":\"2031-01-01T00:00:00Z\"}",
		      false),
	    "{\"at\":\"2031-01-01T00:00:00Z\",\"names\":[\"YES\",\"YES\"],"
	    "\"steps\":[],\"tags\":{\"a\":\"b\"},"
	    "\"config\":{\"x\":[1,{\"y\":null}]}}");
	/* Words have the table's letters, whatever the body's. */
	CHECK_STR(read_body("{\"colour\":\"gREEN\",\"parts\":[{\"a\":1}]}",
		      false),
	    "{\"colour\":\"Green\",\"parts\":[{\"a\":1}]}");
	CHECK_STR(read_body("{\"colour\":\"blue\"}", false),
	    "colour must be one of Red, Green");
	CHECK_STR(read_body("{\"parts\":[{},{},{}]}", false),
	    "parts must be an array of at most 2 objects");
	CHECK_STR(read_body("{\"parts\":[1]}", false),
	    "parts must be an array of objects");
	/* The unset time of the wire is no time. */
	CHECK_STR(read_body("{\"at\":\"0001-01-01T00:00:00Z\"}", false), "{}");
	arena_free(arena);
	arena = NULL;
}

CHECK_MAIN(CHECK_ROW(test_create),
    CHECK_ROW(test_update_names_only_what_is_said),
    CHECK_ROW(test_zero_may_say_nothing), CHECK_ROW(test_the_whole),
    CHECK_ROW(test_numbers_once), CHECK_ROW(test_order_of_faults),
    CHECK_ROW(test_faults), CHECK_ROW(test_values))
