#include "common/base/plain.h"

#include <stdio.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static void
test_what_is_seen_passes(void)
{
	static const char *const good[] = {"", "a", "Web server 1",
	    "\xc3\xbc\xc3\x9f", "\xe4\xb8\xad\xe6\x96\x87", "\xd7\xa9",
	    "\xf0\x9f\x98\x80",
	    ("a\xc2\xa0"
	     "b")};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CHECK(plain_is_line(good[i]));
		CHECK(plain_is_text(good[i]));
	}
}

static void
test_what_is_hidden_does_not(void)
{
	static const char *const bad[] = {"\x01", "a\x1b[2J", "\x7f",
	    "\xc2\x80",
	    ("\xc2\x9b"
	     "31m"),
	    "\xc2\xad", "\xd8\x9c", "\xe1\xa0\x8e", "\xe2\x80\x8b",
	    "\xe2\x80\x8d", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xa8",
	    "\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x80\xae", "\xe2\x81\xa0",
	    "\xe2\x81\xa6", "\xe2\x81\xa9", "\xe3\x85\xa4", "\xef\xb8\x8f",
	    "\xef\xbb\xbf", "\xf3\xa0\x80\x81", "\xff", "\xc3(", "\xed\xa0\x80",
	    "\xc0\x80"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK(!plain_is_line(bad[i]));
		CHECK(!plain_is_text(bad[i]));
	}
}

static void
test_only_texts_have_lines(void)
{
	CHECK(!plain_is_line("a\nb"));
	CHECK(!plain_is_line("a\tb"));
	CHECK(plain_is_text("a\r\n\tb"));
	CHECK(!plain_is_text("a\vb"));
}

static void
test_cleaned(void)
{
	static const struct {
		const char *given, *kept;
	} rows[] = {
	    {"", ""},
	    {"plain\r\n\ttext \xc3\xbc", "plain\r\n\ttext \xc3\xbc"},
	    {"\x1b[31mred", "?[31mred"},
	    {"\xe2\x80\xae\xe2\x80\x8b\xc2\x85\x01", "????"},
	    {"a\xff\xc3(\xe2\x80", "a?\?(?\?"},
	    {"\xf0\x9f\x98\x80\xf3\xa0\x81\x81", "\xf0\x9f\x98\x80?"},
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)snprintf(text, sizeof(text), "%s", rows[i].given);
		plain_clean(text);
		CHECK_STR(text, rows[i].kept);
		CHECK(plain_is_text(text));
	}
}

static void
test_blank(void)
{
	static const char *const blank[] = {"", " ", " \t\n", "\xc2\xa0",
	    "\xe2\x80\x83", "\xe3\x80\x80", "\xe2\xa0\x80"};

	for (size_t i = 0; i < ARRAY_LEN(blank); i++)
		CHECK(plain_is_blank(blank[i]));
	CHECK(!plain_is_blank(" a "));
	CHECK(!plain_is_blank("\xff"));
}

CHECK_MAIN(CHECK_ROW(test_what_is_seen_passes),
    CHECK_ROW(test_what_is_hidden_does_not),
    CHECK_ROW(test_only_texts_have_lines), CHECK_ROW(test_cleaned),
    CHECK_ROW(test_blank))
