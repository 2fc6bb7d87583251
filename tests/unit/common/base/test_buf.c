/*
 * test_buf: the growable buffer and its ceiling.
 */
#include "common/base/buf.h"

#include "tests/unit/check.h"

static void
test_grow(void)
{
	struct buf b;

	buf_init(&b, 0);
	CHECK_STR(buf_cstr(&b), "");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%03d,", i);
	CHECK(buf_ok(&b));
	CHECK_INT(b.len, 4000);
	CHECK_INT(strlen(buf_cstr(&b)), 4000);
	CHECK(memcmp(buf_cstr(&b) + 3996, "999,", 5) == 0);
	buf_reset(&b);
	CHECK_STR(buf_cstr(&b), "");
	buf_puts(&b, "x");
	buf_putc(&b, 'y');
	buf_add(&b, "z\0w", 3);
	CHECK_INT(b.len, 5);
	CHECK(memcmp(b.data, "xyz\0w", 6) == 0);
	buf_fini(&b);
}

static void
test_printf_edges(void)
{
	struct buf b;

	/* around the first capacity, where the text is printed twice */
	for (int n = 250; n < 262; n++) {
		buf_init(&b, 0);
		buf_printf(&b, "%*d", n, 7);
		CHECK_INT(b.len, n);
		CHECK_INT(b.data[n - 1], '7');
		CHECK_INT(b.data[n], 0);
		buf_fini(&b);
	}
}

static void
test_ceiling(void)
{
	struct buf b;

	buf_init(&b, 10);
	buf_puts(&b, "0123456789");
	CHECK(buf_ok(&b));
	buf_putc(&b, 'x');
	CHECK(!buf_ok(&b));
	CHECK_STR(buf_cstr(&b), "0123456789");
	/* a failed buffer takes nothing, however small */
	buf_add(&b, "", 0);
	buf_printf(&b, "%s", "");
	CHECK(!buf_ok(&b));
	buf_reset(&b);
	CHECK(buf_ok(&b));
	buf_puts(&b, "abc");
	CHECK_STR(buf_cstr(&b), "abc");
	buf_fini(&b);
}

static void
test_ceiling_printf(void)
{
	struct buf b;

	buf_init(&b, 5);
	buf_puts(&b, "abc");
	buf_printf(&b, "%d", 12);
	CHECK_STR(buf_cstr(&b), "abc12");
	buf_reset(&b);
	buf_puts(&b, "abc");
	buf_printf(&b, "%d", 123); /* fits the memory, not the ceiling */
	CHECK(!buf_ok(&b));
	CHECK_STR(buf_cstr(&b), "abc");
	buf_reset(&b);
	buf_puts(&b, "abc");
	buf_printf(&b, "%500d", 1); /* fits neither */
	CHECK(!buf_ok(&b));
	CHECK_STR(buf_cstr(&b), "abc");
	buf_fini(&b);
}

static void
test_huge(void)
{
	struct buf b;

	buf_init(&b, 0);
	buf_puts(&b, "a");
	/* never read: it is past the ceiling whatever is at p */
	buf_add(&b, "", (size_t)-1);
	CHECK(!buf_ok(&b));
	CHECK_STR(buf_cstr(&b), "a");
	buf_fini(&b);
}

CHECK_MAIN(CHECK_ROW(test_grow), CHECK_ROW(test_printf_edges),
    CHECK_ROW(test_ceiling), CHECK_ROW(test_ceiling_printf),
    CHECK_ROW(test_huge))
