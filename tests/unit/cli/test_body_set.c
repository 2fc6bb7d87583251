/*
 * test_body_set: where --set leads, and what its value is.
 */
#include "cli/body_set.h"

#include <cjson/cJSON.h>

#include "cli/body_value.h"
#include "cli/cli.h"
#include "common/base/buf.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

static struct cli cli;

static void
begin(void)
{
	arena_free(cli.arena);
	cli = (struct cli){.server = "https://x", .arena = arena_new()};
}

/* The names between bars, then the value; or what was told. */
static const char *
apart(const char *given)
{
	struct body_set set;
	struct buf b;
	const char *out;
	int exit_code;

	begin();
	capture_begin();
	exit_code = body_set_read(&cli, given, &set);
	capture_end();
	if (exit_code != EXIT_DONE) {
		CHECK_INT(exit_code, EXIT_USAGE);
		return captured_err();
	}
	buf_init(&b, 0);
	for (size_t i = 0; i < set.path.n; i++)
		buf_printf(&b, "%s|", set.path.names[i]);
	buf_printf(&b, " %s%s", set.is_json ? ":" : "", set.value);
	out = arena_strdup(cli.arena, buf_cstr(&b));
	buf_fini(&b);
	return out;
}

static void
dots_lead_into_objects(void)
{
	CHECK_STR(apart("a=b"), "a| b");
	CHECK_STR(apart("a="), "a| ");
	CHECK_STR(apart("a.b.c=d=e.f"), "a|b|c| d=e.f");
	CHECK_STR(apart("a:={}"), "a| :{}");
	CHECK_STR(apart("a:b=1"), "a:b| 1");
	CHECK_STR(apart("tags.app\\.io/a\\\\b=1"), "tags|app.io/a\\b| 1");
	CHECK_STR(apart("\\.=1"), ".| 1");
	CHECK(body_set_is_deep("a.b=1"));
	CHECK(!body_set_is_deep("a\\.b=1.2"));
	CHECK(body_set_is_deep("a\\\\.b=1"));
}

static void
a_key_that_leads_nowhere_is_refused(void)
{
	static const char *const bad[] = {"a", "=a", ":=1", ".a=1", "a.=1",
	    "a..b=1", "a\\b=1", "a\\=1"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(strstr(apart(bad[i]), "--set takes KEY=VALUE"));
		CHECK(strstr(captured_err(), "\"") != NULL);
	}
}

/* The JSON of a value, or what was told. */
static const char *
value(const struct option *o, const char *text)
{
	struct cJSON *json;
	const char *out;

	begin();
	capture_begin();
	json = body_value_set(&cli, o, text);
	capture_end();
	if (!json)
		return captured_err();
	out = json_text(cli.arena, json);
	cJSON_Delete(json);
	return out;
}

static void
what_json_writes_so_is_json(void)
{
	static const char *const json[] = {"443", "-1", "0", "0.5", "true",
	    "false", "null", "\"a\"", "\"443\"", "[1,\"a\"]", "{\"a\":[]}",
	    "4503599627370495"};

	for (size_t i = 0; i < ARRAY_LEN(json); i++)
		CHECK_STR(value(NULL, json[i]), json[i]);
}

static void
everything_else_stays_the_text_that_it_is(void)
{
	static const char *const texts[] = {"1.10", "1.0", "007", "1e3", "+5",
	    " 1", "1 ", "True", "no", "a b", "", "~", "10.0.0.1",
	    "9007199254740993", "5000000000000001", "[::1]:443", "{a}", "0x1f"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		CHECK_STR(value(NULL, texts[i]),
		    arena_printf(cli.arena, "\"%s\"", texts[i]));
}

static void
an_option_says_what_its_member_is(void)
{
	static const struct option text = {"--name", "TEXT", "", .null = "-"};
	static const struct option number = {"--port", "1..65535", ""};
	static const struct option boolean = {"--enabled", "true|false", ""};
	static const struct option list = {"--sans", "A,B", "", OPTION_TEXTS};
	static const struct option ints = {"--days", "N,N", "", OPTION_INTS};
	static const struct option tags = {"--tags", "K=V", "", OPTION_TAGS};
	static const struct option json = {"--config", "JSON", "", OPTION_JSON};

	CHECK_STR(value(&text, "443"), "\"443\"");
	CHECK_STR(value(&text, "true"), "\"true\"");
	CHECK_STR(value(&text, "\"443\""), "\"443\"");
	CHECK_STR(value(&text, "null"), "null");
	CHECK_STR(value(&text, "-"), "null");
	CHECK_STR(value(&number, "443"), "443");
	CHECK_STR(value(&number, "many"), "\"many\"");
	CHECK_STR(value(&boolean, "false"), "false");
	CHECK_STR(value(&boolean, "no"), "\"no\"");
	CHECK_STR(value(&list, "a,443"), "[\"a\",\"443\"]");
	CHECK_STR(value(&list, "443"), "[\"443\"]");
	CHECK_STR(value(&list, "[\"a\"]"), "[\"a\"]");
	CHECK_STR(value(&ints, "30"), "[30]");
	CHECK(strstr(value(&ints, "a"), "whole numbers"));
	CHECK_STR(value(&tags, "a=b"), "{\"a\":\"b\"}");
	CHECK_STR(value(&tags, "{}"), "{}");
	CHECK_STR(value(&json, "1.50"), "1.5");
	CHECK(strstr(value(&json, "{"), "takes JSON"));
}

CHECK_MAIN(CHECK_ROW(dots_lead_into_objects),
    CHECK_ROW(a_key_that_leads_nowhere_is_refused),
    CHECK_ROW(what_json_writes_so_is_json),
    CHECK_ROW(everything_else_stays_the_text_that_it_is),
    CHECK_ROW(an_option_says_what_its_member_is))
