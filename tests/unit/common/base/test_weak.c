#include "common/base/weak.h"

#include <string.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"

static bool
is_refused(const char *key)
{
	return weak_is_refused(key, strlen(key));
}

static void
test_weak_is_refused(void)
{
	static const char *const weak[] = {"", "password", "abcdefghijk",
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	    "abcdeabcdeabcdeabcdeabcde"};

	for (size_t i = 0; i < ARRAY_LEN(weak); i++)
		CHECK(is_refused(weak[i]));
	CHECK(!is_refused("abcdefghijkl"));
	CHECK(!is_refused("abcdefabcdef"));
}

static void
test_short_is_under_24(void)
{
	CHECK(weak_is_short(23));
	CHECK(!weak_is_short(24));
}

CHECK_MAIN(CHECK_ROW(test_weak_is_refused), CHECK_ROW(test_short_is_under_24))
