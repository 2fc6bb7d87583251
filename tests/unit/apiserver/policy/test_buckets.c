#include "apiserver/policy/buckets.h"

#include <stdio.h>

#include "tests/unit/check.h"

enum { HOUR_S = 3600 };

static void
test_rate(void)
{
	const struct buckets_opts opts = {2000 * HOUR_S, 3, 60000, 10};
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
	const struct buckets_opts opts = {1000 * HOUR_S, 1, 60000, 10};
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

/* Half a token a second, and a thousandth. */
static void
test_fractions(void)
{
	const struct buckets_opts half = {500 * HOUR_S, 1, 60000, 10};
	const struct buckets_opts least = {1 * HOUR_S, 1, 60000, 10};
	struct buckets *b = buckets_new(&half);

	CHECK_INT(buckets_wait_ms(b, "a", 0), 0);
	CHECK(buckets_take(b, "a", 0));
	CHECK_INT(buckets_wait_ms(b, "a", 0), 2000);
	for (int64_t ms = 100; ms < 2000; ms += 100)
		CHECK(!buckets_take(b, "a", ms));
	CHECK_INT(buckets_wait_ms(b, "a", 1999), 1);
	CHECK(buckets_take(b, "a", 2000));
	CHECK(!buckets_take(b, "a", 3999));
	buckets_free(b);
	b = buckets_new(&least);
	CHECK(buckets_take(b, "a", 0));
	CHECK(!buckets_take(b, "a", 999999));
	CHECK(buckets_take(b, "a", 1000000));
	buckets_free(b);
}

/* A bucket that fills slower than it is forgotten would fill by that. */
static void
test_not_full_by_being_forgotten(void)
{
	const struct buckets_opts opts = {500 * HOUR_S, 100, 60000, 10};
	struct buckets *b = buckets_new(&opts);

	for (int i = 0; i < 100; i++)
		CHECK(buckets_take(b, "a", 0));
	CHECK(buckets_take(b, "b", 100000));
	CHECK_INT(buckets_count(b), 2);
	for (int i = 0; i < 50; i++)
		CHECK(buckets_take(b, "a", 100000));
	CHECK(!buckets_take(b, "a", 100000));
	buckets_free(b);
}

/* Fifty an hour, to the millisecond. */
static void
test_few_an_hour(void)
{
	const struct buckets_opts opts = {50 * 1000, 50, 60000, 10};
	struct buckets *b = buckets_new(&opts);

	for (int i = 0; i < 50; i++)
		CHECK(buckets_take(b, "a", 0));
	CHECK_INT(buckets_wait_ms(b, "a", 0), 72000);
	CHECK(!buckets_take(b, "a", 71999));
	CHECK(buckets_take(b, "a", 72000));
	buckets_free(b);
}

CHECK_MAIN(CHECK_ROW(test_rate), CHECK_ROW(test_bound),
    CHECK_ROW(test_fractions), CHECK_ROW(test_not_full_by_being_forgotten),
    CHECK_ROW(test_few_an_hour))
