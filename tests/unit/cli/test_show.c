/*
 * test_show: lists and objects as a table or as JSON; an answer that holds
 * none is no empty list.
 */
#include "cli/cli.h"
#include "cli/out.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"
#include "tests/unit/cli/scripted.h"

static struct cli cli;

static void
begin(bool as_json, const char *text)
{
	arena_free(cli.arena);
	cli = (struct cli){.server = "https://x",
	    .format = as_json ? FORMAT_JSON : FORMAT_TABLE,
	    .as_json = as_json,
	    .arena = arena_new()};
	scripted_begin();
	scripted_answer("GET /x", 200, text);
}

static int
rows(bool as_json, const char *text)
{
	static const struct column columns[] = {
	    {"ID", "id", COLUMN_TEXT},
	    {"AT", "at", COLUMN_TIME},
	};
	int exit_code;

	begin(as_json, text);
	capture_begin();
	exit_code = show_rows(&cli, "/x", columns, ARRAY_LEN(columns));
	capture_end();
	return exit_code;
}

static void
a_list_is_a_table_and_its_total(void)
{
	CHECK_INT(rows(false, "{\"data\":[{\"id\":\"a\",\"at\":"
			      "\"2026-01-02T03:04:05Z\"},{\"id\":\"b\\n\"}],"
			      "\"total\":2}"),
	    EXIT_DONE);
	CHECK_STR(captured_out(),
	    "ID   AT\na    2026-01-02 03:04:05\nb\\n  -\n2 in all\n");
	CHECK_STR(scripted_asked(0), "GET /x");
	CHECK_INT(rows(false, "{\"data\":[],\"total\":0}"), EXIT_DONE);
	CHECK_STR(captured_out(), "ID  AT\n0 in all\n");
	CHECK_INT(rows(false, "[{\"id\":\"a\"}]"), EXIT_DONE);
	CHECK_STR(captured_out(), "ID  AT\na   -\n");
	/* One without a total, of which the empty table would say nothing. */
	CHECK_INT(rows(false, "{\"data\":[]}"), EXIT_DONE);
	CHECK_STR(captured_out(), "ID  AT\n0 in all\n");
}

static void
an_answer_without_a_list_is_a_failure(void)
{
	static const char *const bad[] = {"{}", "{\"data\":5}",
	    "{\"data\":\"x\"}", "{\"total\":3}", "[1]", "", "<html>"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(rows(false, bad[i]) != EXIT_DONE);
		CHECK_STR(captured_out(), "");
	}
}

static void
json_comes_as_it_is_but_harmless(void)
{
	CHECK_INT(rows(true, "{\"data\":[{\"id\":\"\xe2\x80\xae\"}]}"),
	    EXIT_DONE);
	CHECK_STR(captured_out(), "{\"data\":[{\"id\":\"\\u202e\"}]}\n");
	CHECK(rows(true, "no JSON") != EXIT_DONE);
	CHECK_STR(captured_out(), "");
}

static int
show_it(const char *const *members)
{
	struct answer a = client_call(&cli, "GET", "/x", NULL);
	int exit_code = client_check_json(&cli, &a);

	if (exit_code == EXIT_DONE)
		exit_code = client_check_object(&cli, &a, members, 2);
	if (exit_code == EXIT_DONE)
		show_answer(&cli, &a, members, 2);
	return exit_code;
}

static void
an_object_is_a_line_a_member(void)
{
	static const char *const members[] = {"id", "note"};
	int exit_code;

	begin(false, "{\"id\":\"a\",\"note\":\"x\\ny: z\"}");
	capture_begin();
	exit_code = show_it(members);
	capture_end();
	CHECK_INT(exit_code, EXIT_DONE);
	CHECK_STR(captured_out(),
	    "id                   a\nnote                 x\\ny: z\n");
	scripted_begin();
	scripted_answer("GET /x", 404, "{\"message\":\"gone\"}");
	capture_begin();
	exit_code = show_it(members);
	capture_end();
	CHECK_INT(exit_code, EXIT_NOT_FOUND);
	CHECK_STR(captured_out(), "");
	CHECK(strncmp(captured_err(), "certctl: gone (404)\nTo fix it: ", 31) ==
	      0);
	/* What has none of the members is nobody's object. */
	begin(false, "{\"hello\":\"world\"}");
	capture_begin();
	exit_code = show_it(members);
	capture_end();
	CHECK_INT(exit_code, EXIT_FAILED);
	CHECK_STR(captured_out(), "");
	CHECK(strstr(captured_err(), "is it a certctl server?"));
}

static void
something_done_says_so(void)
{
	struct answer a = {.status = 204, .text = ""};

	begin(false, "");
	capture_begin();
	CHECK_INT(show_done(&cli, &a, "revoked"), EXIT_DONE);
	cli.as_json = true;
	CHECK_INT(show_done(&cli, &a, "revoked"), EXIT_DONE);
	capture_end();
	CHECK_STR(captured_out(), "revoked\n{}\n");
}

CHECK_MAIN(CHECK_ROW(a_list_is_a_table_and_its_total),
    CHECK_ROW(an_answer_without_a_list_is_a_failure),
    CHECK_ROW(json_comes_as_it_is_but_harmless),
    CHECK_ROW(an_object_is_a_line_a_member), CHECK_ROW(something_done_says_so))
