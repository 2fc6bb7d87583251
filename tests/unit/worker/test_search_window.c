/* Times that are searched one after another: none is left out, whatever a
 * search has too much of. */
#include "tests/unit/check.h"
#include "worker/issuers/search_window.h"

enum { SOON = 10000, MOST = 3 };

/* Who is among the so many at these times, and how many searches it took to
 * see all; -1: one could not be made short enough. */
static int
searches(const int64_t *at_unix, bool *seen, size_t n)
{
	struct search_window w = {.from_unix = 100};
	int count = 0;
	bool goes_on = true;

	while (goes_on) {
		size_t found = 0;

		CHECK(++count < 1000);
		for (size_t i = 0; i < n; i++)
			if (at_unix[i] >= w.from_unix &&
			    (w.len_s == 0 ||
				at_unix[i] < w.from_unix + w.len_s) &&
			    ++found <= MOST)
				seen[i] = true;
		if (found > MOST && !search_window_halve(&w, SOON))
			return -1;
		if (found <= MOST)
			goes_on = search_window_next(&w, SOON);
	}
	return count;
}

static void
test_few(void)
{
	const int64_t at[] = {100, 9999, 20000};
	bool seen[3] = {false};

	CHECK_INT(searches(at, seen, 3), 1);
	CHECK(seen[0] && seen[1] && seen[2]);
}

static void
test_many(void)
{
	int64_t at[400];
	bool seen[400] = {false};

	/* Three a second, some of them later than anything was expected. */
	for (int i = 0; i < 390; i++)
		at[i] = 5000 + i / 3;
	for (int i = 390; i < 400; i++)
		at[i] = 20000 + i;
	CHECK(searches(at, seen, 400) > 130);
	for (int i = 0; i < 400; i++)
		CHECK(seen[i]);
}

static void
test_too_many(void)
{
	const int64_t at[] = {500, 500, 500, 500};
	bool seen[4] = {false};

	CHECK_INT(searches(at, seen, 4), -1);
	CHECK(!seen[3]);
}

CHECK_MAIN(CHECK_ROW(test_few), CHECK_ROW(test_many), CHECK_ROW(test_too_many))
