/*
 * Lists are found by issuer and tag, and go when there are too many bytes.
 */
#include "apiserver/live/crlstore.h"

#include <string.h>

#include "tests/unit/check.h"

static void
test_by_tag(void)
{
	struct crlstore *s = crlstore_new(100);
	struct span der;

	CHECK_INT(crlstore_get(s, "iss-1", "t1").len, 0);
	der = crlstore_put(s, "iss-1", "t1", "0102ff");
	CHECK_INT(der.len, 3);
	CHECK(memcmp(der.p, "\x01\x02\xff", 3) == 0);
	CHECK_INT(crlstore_get(s, "iss-1", "t1").len, 3);
	CHECK_INT(crlstore_get(s, "iss-1", "t2").len, 0);
	CHECK_INT(crlstore_get(s, "iss-2", "t1").len, 0);
	/* A new list takes the place of the old one. */
	CHECK_INT(crlstore_put(s, "iss-1", "t2", "01").len, 1);
	CHECK_INT(crlstore_get(s, "iss-1", "t1").len, 0);
	CHECK_INT(crlstore_get(s, "iss-1", "t2").len, 1);
	crlstore_free(s);
}

static void
test_what_is_no_hex(void)
{
	struct crlstore *s = crlstore_new(100);

	CHECK_INT(crlstore_put(s, "iss-1", "t1", "").len, 0);
	CHECK_INT(crlstore_put(s, "iss-1", "t1", "zz").len, 0);
	CHECK_INT(crlstore_put(s, "iss-1", "t1", "012").len, 0);
	CHECK_INT(crlstore_get(s, "iss-1", "t1").len, 0);
	crlstore_free(s);
}

static void
test_room(void)
{
	struct crlstore *s = crlstore_new(4);

	CHECK_INT(crlstore_put(s, "iss-1", "t", "0101").len, 2);
	CHECK_INT(crlstore_put(s, "iss-2", "t", "0202").len, 2);
	/* The first was used last, so the second goes. */
	CHECK_INT(crlstore_get(s, "iss-1", "t").len, 2);
	CHECK_INT(crlstore_put(s, "iss-3", "t", "03").len, 1);
	CHECK_INT(crlstore_get(s, "iss-1", "t").len, 2);
	CHECK_INT(crlstore_get(s, "iss-2", "t").len, 0);
	/* One that is larger than all the room is kept all the same. */
	CHECK_INT(crlstore_put(s, "iss-4", "t", "040404040404").len, 6);
	CHECK_INT(crlstore_get(s, "iss-4", "t").len, 6);
	CHECK_INT(crlstore_get(s, "iss-1", "t").len, 0);
	CHECK_INT(crlstore_get(s, "iss-3", "t").len, 0);
	crlstore_free(s);
}

CHECK_MAIN(CHECK_ROW(test_by_tag), CHECK_ROW(test_what_is_no_hex),
    CHECK_ROW(test_room))
