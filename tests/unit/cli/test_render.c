/*
 * test_render: one list and one object in each format, whatever they hold.
 */
#include "cli/render.h"

#include <stdlib.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "cli/yaml_read.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

static struct cli cli;

static const struct column columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"UNTIL", "until", COLUMN_TIME},
    {"LEFT", "until", COLUMN_LEFT},
};

static const char list[] =
    "{\"data\":[{\"id\":\"a\",\"until\":\"2001-02-03T04:05:06Z\",\"n\":5,"
    "\"note\":\"x\\ny\",\"in\":{\"b\":true}},{\"id\":\"b,\\\"c\\\"\","
    "\"until\":null,\"n\":-1}],\"total\":2}";

static void
begin(const char *format, const char *fields)
{
	arena_free(cli.arena);
	cli = (struct cli){.arena = arena_new()};
	CHECK(render_take_format(&cli, format));
	if (fields)
		CHECK(render_take_fields(&cli, fields));
	capture_begin();
}

static const struct cJSON *
parsed(const char *text)
{
	const struct cJSON *json = NULL;
	const char *why;

	CHECK_INT(json_parse(cli.arena, text, strlen(text), &json, &why),
	    RC_OK);
	return json;
}

static const char *
list_as(const char *format, const char *fields)
{
	const struct cJSON *json;

	begin(format, fields);
	json = parsed(list);
	render_list(&cli, json, list, json_get(json, "data"), columns,
	    ARRAY_LEN(columns));
	capture_end();
	return captured_out();
}

static const char *
object_as(const char *format, const char *fields, const char *text)
{
	static const char *const members[] = {"id", "note"};

	begin(format, fields);
	render_object(&cli, parsed(text), text, members, 2);
	capture_end();
	return captured_out();
}

static const char *
text_as(const char *format, const char *fields, const char *text)
{
	begin(format, fields);
	render_text(&cli, text);
	capture_end();
	return captured_out();
}

static void
a_list_has_each_format(void)
{
	CHECK_STR(list_as("table", NULL),
	    "ID     UNTIL                LEFT\n"
	    "a      2001-02-03 04:05:06  expired\n"
	    "b,\"c\"  -                    -\n2 in all\n");
	CHECK(!cli.as_json);
	/* What is of one line and in no column; times stay readable. */
	CHECK_STR(list_as("wide", NULL),
	    "ID     UNTIL                LEFT     N\n"
	    "a      2001-02-03 04:05:06  expired  5\n"
	    "b,\"c\"  -                    -        -1\n2 in all\n");
}

static void
data_formats_hold_all_or_the_columns(void)
{
	char *with_feed = NULL;

	CHECK(asprintf(&with_feed, "%s\n", list) > 0);
	CHECK_STR(list_as("json", NULL), with_feed);
	free(with_feed);
	CHECK(cli.as_json);
	CHECK_STR(list_as("csv", NULL),
	    "id,until\r\na,2001-02-03T04:05:06Z\r\n\"b,\"\"c\"\"\",\r\n");
	CHECK_STR(list_as("name", NULL), "a\nb,\"c\"\n");
	CHECK_STR(list_as("yaml", NULL),
	    "data:\n- id: a\n  until: \"2001-02-03T04:05:06Z\"\n  \"n\": 5\n"
	    "  note: \"x\\ny\"\n  in:\n    b: true\n- id: \"b,\\\"c\\\"\"\n"
	    "  until: null\n  \"n\": -1\ntotal: 2\n");
}

static void
fields_are_those_that_are_named(void)
{
	CHECK_STR(list_as("table", "in.b,until"),
	    "IN.B  UNTIL\ntrue  2001-02-03 04:05:06\n-     -\n");
	CHECK(cli.as_json);
	CHECK_STR(list_as("json", "n,in.b"),
	    "{\"data\":[{\"n\":5,\"in.b\":true},{\"n\":-1,\"in.b\":null}],"
	    "\"total\":2}\n");
	CHECK_STR(list_as("csv", "n,note"), "n,note\r\n5,x\\ny\r\n-1,\r\n");
	CHECK_STR(list_as("yaml", "n"),
	    "data:\n- \"n\": 5\n- \"n\": -1\ntotal: 2\n");
	CHECK_STR(captured_err(), "");
	CHECK_STR(list_as("csv", "id,odd"),
	    "id,odd\r\na,\r\n\"b,\"\"c\"\"\",\r\n");
	CHECK_STR(captured_err(),
	    "warning: nothing here has a member \"odd\"; there are id, until, "
	    "n, note, in\n");
}

static void
lists_of_fields_are_checked(void)
{
	static const char *const bad[] = {"", ",", "a,", ",a", "a,,b"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin("table", NULL);
		CHECK(!render_take_fields(&cli, bad[i]));
		capture_end();
		CHECK(strstr(captured_err(), "--fields"));
	}
}

static void
an_object_has_each_format(void)
{
	static const char text[] = "{\"id\":\"a\",\"note\":\"x\",\"more\":7}";

	CHECK_STR(object_as("table", NULL, text),
	    "id                   a\nnote                 x\n");
	CHECK_STR(object_as("wide", NULL, text),
	    "id                   a\nnote                 x\n"
	    "more                 7\n");
	CHECK_STR(object_as("csv", NULL, text), "id,note\r\na,x\r\n");
	CHECK_STR(object_as("name", NULL, text), "a\n");
	CHECK_STR(object_as("json", "more", text), "{\"more\":7}\n");
	CHECK_STR(object_as("table", "more", text), "more                 7\n");
	CHECK_STR(object_as("wide", NULL,
		      "{\"id\":\"a\",\"note\":\"x\","
		      "\"auto_create_missing_renewals\":false}"),
	    "id                           a\n"
	    "note                         x\n"
	    "auto_create_missing_renewals false\n");
}

static void
what_has_no_columns_goes_by_its_members(void)
{
	CHECK_STR(text_as("csv", NULL, "[{\"a\":1},{\"b\":[2]}]"),
	    "a,b\r\n1,\r\n,[2]\r\n");
	CHECK_STR(text_as("csv", NULL, "{\"a\":{\"b\":\"c\"}}"),
	    "a\r\n\"{\"\"b\"\":\"\"c\"\"}\"\r\n");
	CHECK_STR(text_as("name", NULL, "{\"job_id\":\"j-1\"}"), "j-1\n");
	CHECK_STR(text_as("table", NULL, "{\"a\":1}"), "{\"a\":1}\n");
	CHECK_STR(text_as("table", "a", "{\"data\":[{\"a\":1}]}"), "A\n1\n");
	CHECK_STR(text_as("name", NULL, "{\"a\":1}"), "");
	CHECK(cli.is_unshown && strstr(captured_err(), "no id"));
}

static void
formulas_are_texts(void)
{
	static const struct {
		const char *json, *cell;
	} cells[] = {
	    {"\"=1+1\"", "'=1+1"},
	    {"\"=A1,B1\"", "\"'=A1,B1\""},
	    {"\"+49\"", "'+49"},
	    {"\"-1\"", "'-1"},
	    {"\"@x\"", "'@x"},
	    {"\"  =1\"", "'  =1"},
	    {"\"\\t=1\"", "'\\t=1"},
	    {"\"\\r=1\"", "'\\x0d=1"},
	    {"\"\\n=1\"", "'\\n=1"},
	    {"\"\\uff1d1\"", "'\xef\xbc\x9d"
			     "1"},
	    {"-1", "-1"},
	    {"\"a=b\"", "a=b"},
	    {"\" a\"", "\" a\""},
	    {"\"\\u001b[2J\"", "\\x1b[2J"},
	    {"\"\\u202e\"", "\\u202e"},
	};
	char text[128], want[128];

	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		(void)snprintf(text, sizeof(text), "{\"a\":%s}", cells[i].json);
		(void)snprintf(want, sizeof(want), "a\r\n%s\r\n",
		    cells[i].cell);
		CHECK_STR(text_as("csv", NULL, text), want);
	}
	CHECK_STR(text_as("csv", NULL, "{\"=x\":1}"), "'=x\r\n1\r\n");
}

static void
yaml_is_read_as_it_was_meant(void)
{
	static const char text[] =
	    "{\"no\":\"no\",\"a\":[\"true\",\"12\",\"1e3\",\"~\",\"\",\"null\","
	    "\"a: b\",\"- x\",\"#c\",\" lead\",\"trail \",\"0x1f\",\"a b\","
	    "\"2026-01-02\",\"K\xc3\xb6ln\",\"\\u202e\xf0\x9f\x94\x92\","
	    "\"\\u0085\\u2028\",\"'\\\"\\\\\",\"=\",\"<<\",\"*a\",\"&a\","
	    "\"!t\",\"%d\",\"---\",\"on\"],\"e\":[],\"o\":{},\"=\":null,"
	    "\"pem\":\"-----BEGIN X-----\\nAAAA\\n-----END X-----\\n\","
	    "\"lines\":\"a\\n b\\n\\nc\\n\",\"odd\":\"a \\nb\\n\","
	    "\"deep\":[[[1,-0.5,1e10]]],\"\\u202e\":\"\\u001b[2J\\t\"}";
	struct cJSON *again = NULL;
	const char *out, *why = "";

	out = text_as("yaml", NULL, text);
	for (const char *p = out; *p; p++)
		CHECK((unsigned char)*p >= ' ' || *p == '\n');
	CHECK(!strstr(out, "\xe2\x80\xae"));
	CHECK(strstr(out, "\npem: |\n  -----BEGIN X-----\n  AAAA\n"));
	CHECK_INT(yaml_read(cli.arena, out, strlen(out), &again, &why), RC_OK);
	CHECK_STR(json_text(cli.arena, again),
	    json_text(cli.arena, parsed(text)));
}

static void
several_answers_have_one_head(void)
{
	static const char text[] = "{\"id\":\"a\",\"note\":\"x\"}";
	static const char *const members[] = {"id", "note"};

	begin("csv", NULL);
	for (int i = 0; i < 2; i++)
		render_object(&cli, parsed(text), text, members, 2);
	capture_end();
	CHECK_STR(captured_out(), "id,note\r\na,x\r\na,x\r\n");
	begin("yaml", NULL);
	for (int i = 0; i < 2; i++)
		render_object(&cli, parsed(text), text, members, 2);
	capture_end();
	CHECK_STR(captured_out(), "id: a\nnote: x\n---\nid: a\nnote: x\n");
}

CHECK_MAIN(CHECK_ROW(a_list_has_each_format),
    CHECK_ROW(data_formats_hold_all_or_the_columns),
    CHECK_ROW(fields_are_those_that_are_named),
    CHECK_ROW(lists_of_fields_are_checked),
    CHECK_ROW(an_object_has_each_format),
    CHECK_ROW(what_has_no_columns_goes_by_its_members),
    CHECK_ROW(formulas_are_texts), CHECK_ROW(yaml_is_read_as_it_was_meant),
    CHECK_ROW(several_answers_have_one_head))
