/*
 * test_rc: the table of result codes.
 */
#include "common/base/rc.h"

#include "tests/unit/check.h"

static void
test_known(void)
{
	CHECK_STR(rc_name(RC_OK), "ok");
	CHECK_STR(rc_name(RC_LEASE_LOST), "lease-lost");
	CHECK_INT(rc_http_status(RC_NOT_FOUND), 404);
	CHECK_INT(rc_http_status(RC_BUSY), 503);
	CHECK(rc_is_retryable(RC_TIMEOUT));
	CHECK(!rc_is_retryable(RC_INVALID));
	/* what was lost is not won back by asking again */
	CHECK(!rc_is_retryable(RC_LEASE_LOST));
}

static void
test_every_row(void)
{
	for (int i = 0; i < RC_COUNT; i++) {
		CHECK(rc_name((rc)i) != NULL);
		CHECK(rc_http_status((rc)i) >= 200);
		CHECK(rc_http_status((rc)i) < 600);
		for (int j = 0; j < i; j++)
			CHECK(strcmp(rc_name((rc)i), rc_name((rc)j)) != 0);
		/* a client's fault is never worth the same call again */
		if (rc_http_status((rc)i) < 500 && i != RC_RATE_LIMITED)
			CHECK(!rc_is_retryable((rc)i));
	}
}

static void
test_first(void)
{
	CHECK_INT(rc_first(RC_OK, RC_OK), RC_OK);
	CHECK_INT(rc_first(RC_OK, RC_IO), RC_IO);
	CHECK_INT(rc_first(RC_INVALID, RC_OK), RC_INVALID);
	CHECK_INT(rc_first(RC_INVALID, RC_IO), RC_INVALID);
}

static void
test_outside(void)
{
	CHECK_STR(rc_name(RC_COUNT), "internal");
	CHECK_INT(rc_http_status((rc)4711), 500);
	CHECK(!rc_is_retryable((rc)4711));
}

CHECK_MAIN(CHECK_ROW(test_known), CHECK_ROW(test_every_row),
    CHECK_ROW(test_first), CHECK_ROW(test_outside))
