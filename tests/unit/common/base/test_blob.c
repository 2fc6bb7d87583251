/*
 * test_blob: bytes that several hold.
 */
#include "common/base/blob.h"

#include "tests/unit/check.h"

static void
test_copy(void)
{
	char from[] = "a\0b";
	struct blob *b = blob_new(from, 3);

	from[0] = 'x';
	CHECK_INT(b->len, 3);
	CHECK(memcmp(b->bytes, "a\0b", 4) == 0);
	blob_let_go(b);
	b = blob_new(NULL, 0);
	CHECK_INT(b->len, 0);
	CHECK_STR(b->bytes, "");
	blob_let_go(b);
	blob_let_go(NULL);
}

static void
test_holders(void)
{
	struct blob *b = blob_new("text", 4);

	CHECK(blob_hold(b) == b);
	CHECK_INT(b->nholders, 2);
	blob_let_go(b);
	CHECK_STR(b->bytes, "text");
	blob_let_go(b);
}

CHECK_MAIN(CHECK_ROW(test_copy), CHECK_ROW(test_holders))
