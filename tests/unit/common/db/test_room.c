/*
 * A server that has no room: a pool remembers for some seconds that it was told
 * so, whatever else goes on working, and nothing else than that.
 */
#include "common/base/clock.h"
#include "common/db/db_int.h"
#include "tests/unit/common/db/test_db.h"

#define DISK_FULL "53100"

enum { LONG_MS = 7000 };

static bool
is_full(void)
{
	struct db_stats st;

	db_pool_stats(pool, &st);
	return st.is_full;
}

static void
fail_with(const char *sqlstate)
{
	struct answer a;

	CHECK_INT(ASK(&a, STMT0(Q_T_FLAKY_RESET)), RC_OK);
	CHECK(ASK(&a, STMT(Q_T_FLAKY, sqlstate, "1")) != RC_OK);
}

static void
a_full_disk_is_remembered_and_forgotten(void)
{
	struct answer a;

	begin();
	CHECK_INT(ASK(&a, STMT0(Q_T_FLAKY_COUNT), STMT0(Q_T_FLAKY_MAKE)),
	    RC_OK);
	fail_with("53200"); /* memory is another matter */
	CHECK(!is_full() && db_pool_trouble(pool) == NULL);
	fail_with(DISK_FULL);
	CHECK(is_full());
	CHECK_STR(db_pool_trouble(pool), "the database's disk is full");
	/* What needs no room works all the while. */
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	CHECK(is_full());
	clock_set_fake(clock_boot_ms() + LONG_MS, clock_wall_us());
	CHECK(!is_full() && db_pool_trouble(pool) == NULL);
	clock_set_fake(-1, 0);
	end();
}

CHECK_MAIN(CHECK_ROW(a_full_disk_is_remembered_and_forgotten))
