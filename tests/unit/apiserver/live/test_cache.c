#include "apiserver/live/cache.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/unit/check.h"

static int dropped;

static void
drop(void *value)
{
	dropped++;
	free(value);
}

static void
test_ttl(void)
{
	struct cache *c = cache_new(10, drop);

	dropped = 0;
	CHECK(cache_get(c, "a", 0) == NULL);
	cache_put(c, "a", mem_strdup("1"), 0, 100);
	CHECK_STR(cache_get(c, "a", 99), "1");
	CHECK(cache_get(c, "a", 100) == NULL);
	CHECK_INT(dropped, 1);
	CHECK_INT(cache_count(c), 0);
	cache_put(c, "a", mem_strdup("1"), 0, 100);
	cache_put(c, "a", mem_strdup("2"), 50, 100);
	CHECK_STR(cache_get(c, "a", 149), "2");
	CHECK_INT(dropped, 2);
	cache_drop(c, "a");
	cache_drop(c, "a");
	CHECK(cache_get(c, "a", 0) == NULL);
	CHECK_INT(dropped, 3);
	cache_free(c);
	cache_free(NULL);
}

static void
test_bound(void)
{
	struct cache *c = cache_new(3, drop);
	char key[2] = "a";

	dropped = 0;
	for (int i = 0; i < 5; i++) {
		cache_put(c, key, mem_strdup(key), 0, 100);
		key[0]++;
	}
	CHECK_INT(cache_count(c), 3);
	CHECK_INT(dropped, 2);
	/* The oldest left. */
	CHECK(cache_get(c, "b", 1) == NULL);
	CHECK_STR(cache_get(c, "c", 1), "c");
	CHECK_STR(cache_get(c, "e", 1), "e");
	cache_free(c);
	CHECK_INT(dropped, 5);
}

CHECK_MAIN(CHECK_ROW(test_ttl), CHECK_ROW(test_bound))
