/*
 * test_rand: unpredictable bytes, numbers and ids.
 */
#include "common/base/rand.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/unit/check.h"

static void
test_bytes(void)
{
	unsigned char a[32], b[32];

	rand_bytes(a, sizeof(a));
	rand_bytes(b, sizeof(b));
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	rand_bytes(a, 0);
}

static void
test_below(void)
{
	unsigned seen[10] = {0};

	CHECK_INT(rand_below(1), 0);
	for (int i = 0; i < 10000; i++) {
		uint32_t x = rand_below(10);

		CHECK(x < 10);
		seen[x]++;
	}
	/* 1000 expected, 30 deviation: ten of those are out of reach */
	for (size_t i = 0; i < 10; i++)
		CHECK(seen[i] > 700 && seen[i] < 1300);
	CHECK(rand_below(UINT32_MAX) < UINT32_MAX);
}

static void
test_jitter(void)
{
	int64_t low = INT64_MAX, high = INT64_MIN;

	for (int i = 0; i < 2000; i++) {
		int64_t x = rand_jitter(1000, 10);

		CHECK(x >= 900 && x <= 1100);
		low = x < low ? x : low;
		high = x > high ? x : high;
	}
	CHECK(low < 920 && high > 1080); /* both sides are used */
	CHECK_INT(rand_jitter(1000, 0), 1000);
	CHECK_INT(rand_jitter(0, 50), 0);
	CHECK_INT(rand_jitter(7, 10), 7); /* a share below one is nothing */
	CHECK(rand_jitter(-1000, 10) >= -1100);
	CHECK(rand_jitter(-1000, 10) <= -900);
	CHECK_INT(rand_jitter(INT64_MAX, 10), INT64_MAX);
	CHECK_INT(rand_jitter(INT64_MIN, 10), INT64_MIN);
	CHECK(rand_jitter(100, 1000) >= 0); /* never past the other end */
}

static void
test_id(void)
{
	char a[64], b[64], *end;
	unsigned long x, y;

	clock_set_fake(0, 1795463788123456);
	rand_id("job", a);
	rand_id("job", b);
	clock_set_fake(-1, 0);
	CHECK(strncmp(a, "job-1795463788123456000-", 24) == 0);
	CHECK(strncmp(b, a, 24) == 0);
	CHECK(strcmp(a, b) != 0);
	x = strtoul(a + 24, &end, 10);
	CHECK_INT(*end, 0);
	y = strtoul(b + 24, &end, 10);
	CHECK_INT(*end, 0);
	CHECK_INT((uint32_t)(x + 1), y);
	/* the longest prefix still leaves the counter whole */
	rand_id("abcdefghijklmnopqrstuvwxyz01234", a);
	CHECK(strlen(a) < 64);
	CHECK(strrchr(a, '-')[1] != '\0');
}

static void
test_uuid(void)
{
	char a[37], b[37];

	for (int i = 0; i < 200; i++) {
		rand_uuid(a);
		CHECK_INT(strlen(a), 36);
		CHECK_INT(a[8], '-');
		CHECK_INT(a[13], '-');
		CHECK_INT(a[14], '4');
		CHECK(strchr("89ab", a[19]) != NULL);
	}
	rand_uuid(b);
	CHECK(strcmp(a, b) != 0);
}

CHECK_MAIN(CHECK_ROW(test_bytes), CHECK_ROW(test_below), CHECK_ROW(test_jitter),
    CHECK_ROW(test_id), CHECK_ROW(test_uuid))
