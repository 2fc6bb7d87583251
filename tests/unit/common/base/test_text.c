/* Texts: how they end, their order, digits. */
#include "common/base/text.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static void
test_ends(void)
{
	CHECK(text_ends_with("a.key", ".key"));
	CHECK(text_ends_with(".key", ".key"));
	CHECK(text_ends_with("a", ""));
	CHECK(!text_ends_with("key", ".key"));
	CHECK(!text_ends_with("a.KEY", ".key"));
	CHECK(!text_ends_with("a.key ", ".key"));
	CHECK(!text_ends_with("", "x"));
}

static void
test_order(void)
{
	const char *texts[] = {"b", "", "a"};

	qsort(texts, ARRAY_LEN(texts), sizeof(texts[0]), text_compare);
	CHECK_STR(texts[0], "");
	CHECK_STR(texts[1], "a");
	CHECK_STR(texts[2], "b");
}

static void
test_digits(void)
{
	for (int c = -1; c < 256; c++)
		CHECK_INT(text_is_digit(c),
		    c == '0' || (c >= '1' && c <= '8') || c == '9');
	CHECK(!text_is_digit(EOF));
}

CHECK_MAIN(CHECK_ROW(test_ends), CHECK_ROW(test_order), CHECK_ROW(test_digits))
