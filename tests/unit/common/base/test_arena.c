/*
 * test_arena: memory that dies together, and deferred functions.
 */
#include "common/base/arena.h"

#include <stdalign.h>
#include <stdint.h>

#include "tests/unit/check.h"

static char order[16];
static size_t norder;

static void
note(void *p)
{
	order[norder++] = *(const char *)p;
}

static void
test_zeroed_and_aligned(void)
{
	struct arena *a = arena_new();

	/* over several blocks, with sizes that disturb the alignment */
	for (size_t i = 0; i < 3000; i++) {
		size_t size = i % 97 + (i % 50 == 0 ? 5000 : 0);
		unsigned char *p = arena_alloc(a, size);

		CHECK((uintptr_t)p % alignof(max_align_t) == 0);
		for (size_t j = 0; j < size; j++)
			CHECK_INT(p[j], 0);
		memset(p, 0xa5, size);
	}
	CHECK(arena_bytes(a) > 3000 * 48);
	arena_free(a);
}

static void
test_objects_do_not_overlap(void)
{
	struct arena *a = arena_new();
	unsigned char *p[200];

	for (size_t i = 0; i < 200; i++) {
		p[i] = arena_alloc(a, 100 * (i % 7) + 1);
		memset(p[i], (int)i, 100 * (i % 7) + 1);
	}
	for (size_t i = 0; i < 200; i++) {
		for (size_t j = 0; j < 100 * (i % 7) + 1; j++)
			CHECK_INT(p[i][j], (unsigned char)i);
	}
	arena_free(a);
}

static void
test_strings(void)
{
	struct arena *a = arena_new();
	char *s;

	CHECK_STR(arena_strdup(a, "abc"), "abc");
	CHECK_STR(arena_strndup(a, "abcdef", 3), "abc");
	CHECK_STR(arena_strndup(a, "", 0), "");
	CHECK_STR(arena_printf(a, "%s-%d", "x", 7), "x-7");
	/* texts alone go another way */
	CHECK_STR(arena_printf(a, "%s", ""), "");
	CHECK_STR(arena_printf(a, "%s/%s?", "a", "bc"), "a/bc?");
	CHECK_STR(arena_printf(a, "100%% of %s", "x"), "100% of x");
	CHECK_STR(arena_printf(a, "%s %.2s", "a", "bcd"), "a bc");
	for (int n = 250; n <= 258; n++) {
		s = arena_alloc(a, (size_t)n + 1);
		memset(s, 'x', (size_t)n);
		CHECK_INT(strlen(arena_printf(a, "-%s", s)), n + 1);
	}
	/* 255 fits the stack buffer, 256 does not */
	for (int n = 254; n <= 258; n++) {
		s = arena_printf(a, "%*d", n, 5);
		CHECK_INT(strlen(s), n);
		CHECK_INT(s[n - 1], '5');
	}
	arena_free(a);
}

static void
test_defer_reverse(void)
{
	struct arena *a = arena_new();

	norder = 0;
	memset(order, 0, sizeof(order));
	arena_defer(a, note, arena_strdup(a, "1"));
	arena_defer(a, note, arena_strdup(a, "2"));
	arena_defer(a, note, arena_strdup(a, "3"));
	CHECK_INT(norder, 0);
	arena_free(a);
	CHECK_STR(order, "321");
	arena_free(NULL);
}

static struct arena *late;

static void
defer_again(void *p)
{
	note(p);
	arena_defer(late, note, arena_strdup(late, "b"));
}

/* A disposer may use the arena that is ending. */
static void
test_defer_in_defer(void)
{
	norder = 0;
	memset(order, 0, sizeof(order));
	late = arena_new();
	arena_defer(late, note, arena_strdup(late, "c"));
	arena_defer(late, defer_again, arena_strdup(late, "a"));
	arena_free(late);
	CHECK_STR(order, "abc");
}

/* Rounds end what they made and keep what was there before. */
static void
test_rewind(void)
{
	struct arena *a = arena_new();
	const char *kept = arena_strdup(a, "kept");
	struct arena_mark mark;
	size_t before;

	norder = 0;
	memset(order, 0, sizeof(order));
	arena_defer(a, note, arena_strdup(a, "0"));
	mark = arena_mark(a);
	before = arena_bytes(a);
	for (int round = 0; round < 100; round++) {
		char *small = arena_alloc(a, 100), *large;

		for (int i = 0; i < 100; i++)
			CHECK_INT(small[i], 0);
		memset(small, 'x', 100);
		for (int i = 0; i < 50; i++)
			memset(arena_alloc(a, 3000), 'y', 3000);
		large = arena_alloc(a, 100000);
		CHECK_INT(large[99999], 0);
		if (round < 2)
			arena_defer(a, note,
			    arena_strdup(a, round == 0 ? "1" : "2"));
		arena_rewind(a, &mark);
		CHECK_INT(arena_bytes(a), before);
	}
	CHECK_STR(order, "12");
	CHECK_STR(kept, "kept");
	arena_free(a);
	CHECK_STR(order, "120");
}

CHECK_MAIN(CHECK_ROW(test_zeroed_and_aligned),
    CHECK_ROW(test_objects_do_not_overlap), CHECK_ROW(test_strings),
    CHECK_ROW(test_defer_reverse), CHECK_ROW(test_defer_in_defer),
    CHECK_ROW(test_rewind))
