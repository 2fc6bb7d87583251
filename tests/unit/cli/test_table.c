/*
 * test_table: cells are one harmless line each, and columns as wide as their
 * widest.
 */
#include <stdio.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

static struct cli cli;

static const struct cJSON *
parsed(const char *text)
{
	const struct cJSON *o = NULL;
	const char *why = "";

	arena_free(cli.arena);
	cli.arena = arena_new();
	CHECK_INT(json_parse(cli.arena, text, strlen(text), &o, &why), RC_OK);
	return o;
}

static void
cells_are_one_harmless_line(void)
{
	const struct cJSON *o =
	    parsed("{\"s\":\"a\\nb\\u001b[1m\",\"e\":\"\",\"n\":null,\"i\":12,"
		   "\"l\":[\"x\",\"\xe2\x80\xae\"],\"b\":true}");

	CHECK_STR(cell(&cli, o, "s"), "a\\nb\\x1b[1m");
	CHECK_STR(cell(&cli, o, "e"), "-");
	CHECK_STR(cell(&cli, o, "n"), "-");
	CHECK_STR(cell(&cli, o, "absent"), "-");
	CHECK_STR(cell(&cli, o, "i"), "12");
	CHECK_STR(cell(&cli, o, "l"), "[\"x\",\"\\u202e\"]");
	CHECK_STR(cell(&cli, o, "b"), "true");
}

static void
columns_are_as_wide_as_their_widest(void)
{
	static const char *const heads[] = {"ID", "NAME", "LAST"};
	static const char *const first[] = {"1", "K\xc3\xb6ln", "x"};
	static const char *const second[] = {"12345", "a", ""};
	struct table *t;

	(void)parsed("{}");
	t = table_new(&cli, 3, heads);
	table_row(t, first);
	table_row(t, second);
	capture_begin();
	table_print(t);
	capture_end();
	CHECK_STR(captured_out(),
	    "ID     NAME  LAST\n1      K\xc3\xb6ln  x\n12345  a     \n");
}

static const char *
printed_within(size_t columns)
{
	static const char *const heads[] = {"ID", "NAME", "LAST ERROR"};
	static const char *const row[] = {"mc-0123456789abcdef",
	    "\xe6\x97\xa5\xe6\x9c\xac.example.test",
	    "the CA says that it is closed on Sundays"};
	struct table *t;

	(void)parsed("{}");
	t = table_new(&cli, 3, heads);
	table_row(t, row);
	capture_begin();
	table_print_within(t, columns);
	capture_end();
	return captured_out();
}

static void
the_widest_give_way_where_there_is_no_room(void)
{
	CHECK_STR(printed_within(0),
	    "ID                   NAME               LAST ERROR\n"
	    "mc-0123456789abcdef  \xe6\x97\xa5\xe6\x9c\xac.example.test  the "
	    "CA says that it is closed on Sundays\n");
	CHECK_STR(printed_within(60),
	    "ID                   NAME               LAST ERROR\n"
	    "mc-0123456789abcdef  \xe6\x97\xa5\xe6\x9c\xac.example.test  the "
	    "CA says that it\xe2\x80\xa6\n");
	/* Both, down to what can be read; never the id. */
	CHECK_STR(printed_within(20),
	    "ID                   NAME      LAST ERROR\n"
	    "mc-0123456789abcdef  \xe6\x97\xa5\xe6\x9c\xac.ex\xe2\x80\xa6  "
	    "the CA sa\xe2\x80\xa6\n");
}

static void
times_are_read_or_left_out(void)
{
	const struct cJSON *o = parsed(
	    "{\"t\":\"2026-11-23T19:56:28.5Z\",\"z\":\"0001-01-01T00:00:00Z\","
	    "\"x\":\"\\u001b[2J\",\"n\":5,\"p\":\"2001-01-01T00:00:00Z\"}");

	CHECK_STR(cell_time(&cli, o, "t"), "2026-11-23 19:56:28");
	CHECK_STR(cell_time(&cli, o, "z"), "-");
	CHECK_STR(cell_time(&cli, o, "x"), "-");
	CHECK_STR(cell_time(&cli, o, "n"), "-");
	CHECK_STR(cell_time(&cli, o, "absent"), "-");
	CHECK_STR(cell_left(&cli, o, "p"), "expired");
	CHECK_STR(cell_left(&cli, o, "z"), "-");
	CHECK_STR(cell(&cli, o, "z"), "-"); /* of an object, in any member */
	CHECK_STR(cell(&cli, o, "p"), "2001-01-01T00:00:00Z");
}

static const char *
left_after(time_t seconds)
{
	char text[64], stamp[32];
	time_t at = time(NULL) + seconds;
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(text, sizeof(text), "{\"t\":\"%s\"}", stamp);
	return cell_left(&cli, parsed(text), "t");
}

static void
what_is_left_has_a_fitting_unit(void)
{
	CHECK_STR(left_after(89 * 86400 + 100), "89 d");
	CHECK_STR(left_after(2 * 86400 - 100), "47 h");
	CHECK_STR(left_after(3 * 3600 + 100), "3 h");
	CHECK_STR(left_after(600 - 5), "10 min");
}

CHECK_MAIN(CHECK_ROW(cells_are_one_harmless_line),
    CHECK_ROW(columns_are_as_wide_as_their_widest),
    CHECK_ROW(the_widest_give_way_where_there_is_no_room),
    CHECK_ROW(times_are_read_or_left_out),
    CHECK_ROW(what_is_left_has_a_fitting_unit))
