#include "scheduler/permits.h"

#include "tests/unit/check.h"

static void
take_until_full(void)
{
	struct permits p;

	permits_init(&p, 2);
	CHECK(permits_take(&p) == RC_OK);
	CHECK(permits_take(&p) == RC_OK);
	CHECK(permits_take(&p) == RC_BUSY);
	CHECK_INT(permits_left(&p), 0);
	permits_give(&p);
	CHECK_INT(permits_left(&p), 1);
	permits_keep(&p);
	CHECK_INT(permits_left(&p), 1);
}

/* A claim in flight while rows are counted is added to what was counted. */
static void
recount_adds_what_is_in_flight(void)
{
	struct permits p;

	permits_init(&p, 10);
	CHECK(permits_take(&p) == RC_OK); /* becomes a lease before */
	permits_keep(&p);
	CHECK(permits_take(&p) == RC_OK); /* in flight */
	permits_mark(&p);
	CHECK(permits_take(&p) == RC_OK); /* taken after */
	permits_recount(&p, 1);
	CHECK_INT(permits_left(&p), 10 - 3);
	permits_give(&p);
	CHECK_INT(permits_left(&p), 10 - 2);
	permits_keep(&p);
	permits_mark(&p);
	permits_recount(&p, 1);
	CHECK_INT(permits_left(&p), 10 - 1);
}

/* Rows of an older leader, or a cap made smaller, may exceed the cap. */
static void
more_rows_than_permits(void)
{
	struct permits p;

	permits_init(&p, 2);
	permits_mark(&p);
	permits_recount(&p, 5);
	CHECK_INT(permits_left(&p), 0);
	CHECK(permits_take(&p) == RC_BUSY);
	permits_set_cap(&p, 6);
	CHECK_INT(permits_left(&p), 1);
}

CHECK_MAIN(CHECK_ROW(take_until_full),
    CHECK_ROW(recount_adds_what_is_in_flight),
    CHECK_ROW(more_rows_than_permits))
