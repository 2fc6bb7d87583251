#include "apiserver/policy/buckets.h"

#include <stdio.h>

#include "tests/unit/check.h"

static void
test_rate(void)
{
	const struct buckets_opts opts = {2, 3, 60000, 10};
	struct buckets *b = buckets_new(&opts);

	for (int i = 0; i < 3; i++)
		CHECK(buckets_take(b, "a", 1000));
	CHECK(!buckets_has(b, "a", 1000));
	CHECK(!buckets_take(b, "a", 1000));
	CHECK(buckets_take(b, "b", 1000));
	/* Half a second is one token, whatever was asked in between. */
	CHECK(!buckets_take(b, "a", 1250));
	CHECK(buckets_has(b, "a", 1500));
	CHECK(buckets_take(b, "a", 1500));
	CHECK(!buckets_take(b, "a", 1500));
	/* Never more than a full bucket. */
	for (int i = 0; i < 3; i++)
		CHECK(buckets_take(b, "a", INT64_MAX / 2));
	CHECK(!buckets_take(b, "a", INT64_MAX / 2));
	buckets_free(b);
}

static void
test_bound(void)
{
	const struct buckets_opts opts = {1, 1, 60000, 10};
	struct buckets *b = buckets_new(&opts);
	char name[16];

	CHECK(buckets_take(b, "used", 0));
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		CHECK(buckets_take(b, name, 0));
		CHECK(!buckets_take(b, "used", 0));
	}
	CHECK_INT(buckets_count(b), 10);
	/* All but the newest have been idle for too long. */
	CHECK(buckets_take(b, "late", 60001));
	CHECK_INT(buckets_count(b), 1);
	buckets_free(b);
}

CHECK_MAIN(CHECK_ROW(test_rate), CHECK_ROW(test_bound))
