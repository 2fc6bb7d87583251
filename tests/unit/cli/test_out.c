/*
 * test_out: nothing that a terminal obeys or hides is printed, and JSON stays
 * the JSON it was.
 */
#include "cli/out.h"

#include <cjson/cJSON.h>

#include "common/json/json.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

static struct arena *a;

static const char *
harmless(const char *text)
{
	arena_free(a);
	a = arena_new();
	return out_harmless(a, text);
}

static void
plain_text_stays(void)
{
	static const char *const good[] = {"", "a", "Zertifikat für Köln",
	    "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x94\x92", "a\\nb", "~",
	    "\xc2\xa0", "\xef\xbf\xbd"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_STR(harmless(good[i]), good[i]);
}

static void
what_a_terminal_obeys_is_shown(void)
{
	CHECK_STR(harmless("a\nb\tc\rd"), "a\\nb\\tc\\x0dd");
	CHECK_STR(harmless("\x1b[2J\x1b]0;title\x07"),
	    "\\x1b[2J\\x1b]0;title\\x07");
	CHECK_STR(harmless("\x7f"), "\\x7f");
	/* C1: CSI in one character, and as a bare byte */
	CHECK_STR(harmless("\xc2\x9b"
			   "2J"),
	    "\\u009b2J");
	CHECK_STR(harmless("\x9b"
			   "2J"),
	    "\\x9b2J");
	for (int c = 1; c < ' '; c++) {
		const char text[] = {(char)c, '\0'};
		const char *shown = harmless(text);

		for (; *shown; shown++)
			CHECK(*shown >= ' ' && *shown < 0x7f);
	}
}

static void
what_is_not_seen_is_shown(void)
{
	CHECK_STR(harmless("\xe2\x80\xae"), "\\u202e"); /* RLO */
	CHECK_STR(harmless("\xe2\x81\xa6"), "\\u2066"); /* LRI */
	CHECK_STR(harmless("\xd8\x9c"), "\\u061c");     /* ALM */
	CHECK_STR(harmless("\xe2\x80\x8b"), "\\u200b"); /* ZWSP */
	CHECK_STR(harmless("\xe2\x80\xa8"), "\\u2028"); /* a line's end */
	CHECK_STR(harmless("\xef\xbb\xbf"), "\\ufeff"); /* BOM */
	CHECK_STR(harmless("\xc2\xad"), "\\u00ad");
	CHECK_STR(harmless("\xf3\xa0\x81\x81"), "\\U000e0041"); /* a tag */
}

static void
bytes_that_are_no_text_are_shown(void)
{
	CHECK_STR(harmless("\xff"), "\\xff");
	CHECK_STR(harmless("\xc0\x9b"), "\\xc0\\x9b"); /* overlong */
	CHECK_STR(harmless("\xe2\x80"), "\\xe2\\x80"); /* cut off */
	CHECK_STR(harmless("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");
	CHECK_STR(harmless("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* surrogate */
	CHECK_STR(harmless("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
	CHECK_STR(harmless("\xf8\x88\x80\x80"), "\\xf8\\x88\\x80\\x80");
	CHECK_STR(harmless("a\xc3"), "a\\xc3");
}

static void
every_way_out_is_harmless(void)
{
	capture_begin();
	out_print("%s|%s\n", "\x1b[31m", "a\nb");
	out_error("%s", "\xe2\x80\xae");
	out_tell("%s", "\x07"); /* a line, as an error is */
	capture_end();
	CHECK_STR(captured_out(), "\\x1b[31m|a\nb\n");
	CHECK_STR(captured_err(), "certctl: \\u202e\n\\x07\n");
}

static void
json_stays_the_same_json(void)
{
	static const char *const texts[] = {"{\"a\": \"b\"}\n",
	    "{\"a\":\"\xe2\x80\xaex\xf3\xa0\x81\x81y\x7f\xc2\x9bz\"}",
	    "{\n\t\"a\": \"\\u001b[2J\\n\"\n}", "{\"\xe2\x80\x8b\":[1,2]}",
	    "{\"a\":\"\xf0\x9f\x94\x92 \xc3\xbc\"}"};
	const struct cJSON *before = NULL, *after = NULL;
	const char *why = "";

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		arena_free(a);
		a = arena_new();
		capture_begin();
		out_json(texts[i]);
		capture_end();
		for (const char *p = captured_out(); *p; p++)
			CHECK((unsigned char)*p >= ' ' || *p == '\n' ||
			      *p == '\t');
		CHECK(!strstr(captured_out(), "\xe2\x80\xae"));
		CHECK(!strstr(captured_out(), "\xf3\xa0"));
		CHECK(!strstr(captured_out(), "\xc2\x9b"));
		CHECK(!strchr(captured_out(), 0x7f));
		CHECK_INT(json_parse(a, texts[i], strlen(texts[i]), &before,
			      &why),
		    RC_OK);
		CHECK_INT(json_parse(a, captured_out(), strlen(captured_out()),
			      &after, &why),
		    RC_OK);
		CHECK(cJSON_Compare(before, after, 1));
		CHECK(captured_out()[strlen(captured_out()) - 1] == '\n');
	}
}

static void
width_is_in_characters(void)
{
	CHECK_INT(out_width(""), 0);
	CHECK_INT(out_width("abc"), 3);
	CHECK_INT(out_width("K\xc3\xb6ln"), 4);
	CHECK_INT(out_width("\xf0\x9f\x94\x92"), 2);         /* a lock */
	CHECK_INT(out_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* Japan */
	CHECK_INT(out_width("e\xcc\x81"), 1); /* e, and a mark on it */
	CHECK_INT(out_width("\xff"), 1);
}

#define JAPAN "\xe6\x97\xa5\xe6\x9c\xac"

/* A wide one that does not fit whole is left out; a mark stays on its own. */
static void
a_cut_is_in_columns(void)
{
	arena_free(a);
	a = arena_new();
	CHECK_STR(out_cut(a, "abc", 3), "abc");
	CHECK_STR(out_cut(a, "abc", 2), "ab");
	CHECK_STR(out_cut(a, "abc", 0), "");
	CHECK_STR(out_cut(a, JAPAN, 4), JAPAN);
	CHECK_STR(out_cut(a, JAPAN, 3), "\xe6\x97\xa5");
	CHECK_STR(out_cut(a, "a" JAPAN, 2), "a");
	CHECK_STR(out_cut(a, "e\xcc\x81x", 1), "e\xcc\x81");
	CHECK_STR(out_shorten(a, JAPAN JAPAN, 4), "\xe6\x97\xa5\xe2\x80\xa6");
	CHECK_STR(out_shorten(a, "e\xcc\x81xyz", 2), "e\xcc\x81\xe2\x80\xa6");
}

static void
what_is_too_wide_ends_in_an_ellipsis(void)
{
	arena_free(a);
	a = arena_new();
	CHECK_STR(out_shorten(a, "abcdef", 6), "abcdef");
	CHECK_STR(out_shorten(a, "abcdef", 0), "abcdef");
	CHECK_STR(out_shorten(a, "abcdef", 5), "abcd\xe2\x80\xa6");
	CHECK_STR(out_shorten(a, "abcdef", 1), "\xe2\x80\xa6");
	/* No half of a wide character, no mark without its letter. */
	CHECK_STR(out_shorten(a, "\xe6\x97\xa5\xe6\x9c\xac", 3),
	    "\xe6\x97\xa5\xe2\x80\xa6");
	CHECK_STR(out_shorten(a, "\xe6\x97\xa5\xe6\x9c\xac", 2),
	    "\xe2\x80\xa6");
	CHECK_STR(out_shorten(a, "e\xcc\x81xyz", 2), "e\xcc\x81\xe2\x80\xa6");
}

CHECK_MAIN(CHECK_ROW(plain_text_stays),
    CHECK_ROW(what_a_terminal_obeys_is_shown),
    CHECK_ROW(what_is_not_seen_is_shown),
    CHECK_ROW(bytes_that_are_no_text_are_shown),
    CHECK_ROW(every_way_out_is_harmless), CHECK_ROW(json_stays_the_same_json),
    CHECK_ROW(width_is_in_characters), CHECK_ROW(a_cut_is_in_columns),
    CHECK_ROW(what_is_too_wide_ends_in_an_ellipsis))
