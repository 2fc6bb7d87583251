/*
 * With which server a process is, and which others it goes to.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/db/db_int.h"
#include "tests/unit/check.h"

static struct db_home *home;
static int left;
static char why[512];

static void
on_leave(void *arg)
{
	++*(int *)arg;
}

static struct db_seen
seen(const char *system, int timeline, const char *started, int64_t lsn,
    const char *known)
{
	struct db_seen s = {.timeline = timeline, .lsn = lsn};

	(void)snprintf(s.host, sizeof(s.host), "db%d port 5432", timeline);
	(void)snprintf(s.system, sizeof(s.system), "%s", system);
	(void)snprintf(s.started, sizeof(s.started), "%s", started);
	(void)snprintf(s.known, sizeof(s.known), "%s", known);
	return s;
}

static bool
admits(const char *system, int timeline, const char *started, int64_t lsn,
    const char *known)
{
	struct db_seen s = seen(system, timeline, started, lsn, known);

	why[0] = '\0';
	return db_home_admits(home, &s, why, sizeof(why));
}

static void
begin(void)
{
	home = db_home_new();
	left = 0;
	CHECK_STR(db_home_text(home), "");
	db_home_join(home, on_leave, &left);
	CHECK(admits("700", 2, "t0", 1000, "{1,2}"));
	CHECK_STR(db_home_text(home), "db2 port 5432, system 700, timeline 2");
	left = 0;
}

static void
end(void)
{
	db_home_part(home, &left);
	db_home_free(home);
}

static void
same_server_is_admitted(void)
{
	begin();
	CHECK(admits("700", 2, "t0", 1000, "{1,2}"));
	CHECK(admits("700", 2, "t0", 5000, "{1,2}"));
	CHECK_INT(left, 0);
	/* Started anew, with all that was durable. */
	CHECK(admits("700", 2, "t1", 5000, "{1,2}"));
	CHECK_INT(left, 1);
	end();
}

static void
others_are_refused(void)
{
	begin();
	CHECK(!admits("701", 2, "t0", 9000, "{1,2}"));
	CHECK(strstr(why, "it is another database") != NULL);
	CHECK(!admits("700", 1, "t9", 9000, "{1}"));
	CHECK(strstr(why, "it is an old primary") != NULL);
	/* A copy that somebody started, of before. */
	CHECK(!admits("700", 2, "t9", 999, "{1,2}"));
	CHECK(strstr(why, "it lacks what was written") != NULL);
	CHECK(
	    strstr(why, "with db2 port 5432, system 700, timeline 2") != NULL);
	CHECK_INT(left, 0);
	end();
}

static void
all_follow_a_promotion_of_the_same_past(void)
{
	begin();
	CHECK(!admits("700", 3, "t9", 2000, "{1,3}"));
	CHECK(strstr(why, "another past") != NULL);
	CHECK(!admits("700", 22, "t9", 2000, "{1,22}"));
	CHECK(!admits("700", 3, "t9", 2000, "{}"));
	CHECK_INT(left, 0);
	CHECK(admits("700", 3, "t9", 2000, "{1,2,3}"));
	CHECK_INT(left, 1);
	CHECK(!admits("700", 2, "t0", 9000, "{1,2}"));
	CHECK_INT(left, 1);
	end();
}

/* A peer is further than we are: nothing older will do while it says so. */
static void
what_others_say_is_looked_for(void)
{
	enum { NOW = 1000000, HALF_A_MINUTE = 30000, LONG = 3600000 };

	clock_set_fake(NOW, 0);
	begin();
	db_home_seek(home, 1);
	db_home_seek(home, 2);
	CHECK_INT(left, 0);
	db_home_seek(home, 3);
	CHECK_INT(left, 1);
	CHECK(!admits("700", 2, "t0", 1000, "{1,2}"));
	CHECK(strstr(why, "others are on a later timeline") != NULL);
	CHECK(admits("700", 3, "t9", 2000, "{1,2,3}"));
	CHECK(admits("700", 3, "t9", 2000, "{1,2,3}"));
	end();

	/* We can't reach that server: for hours nothing is written here. */
	begin();
	for (int ms = 0; ms < LONG; ms += HALF_A_MINUTE - 1) {
		clock_set_fake(NOW + ms, 0);
		CHECK(ms == 0 || !admits("700", 2, "t0", 1000, "{1,2}"));
		db_home_seek(home, 99);
	}
	CHECK_INT(left, 1);
	db_home_seek(home, 3);
	CHECK(!admits("700", 3, "t9", 2000, "{1,2,3}"));
	db_home_seek(home, 100);
	CHECK_INT(left, 2);
	/* Nobody is there any more. */
	clock_set_fake(NOW + 2 * LONG, 0);
	CHECK(admits("700", 2, "t0", 1000, "{1,2}"));
	CHECK(admits("700", 2, "t0", 1000, "{1,2}"));
	CHECK_INT(left, 2);
	/* And again somebody is. */
	db_home_seek(home, 99);
	CHECK_INT(left, 3);
	CHECK(!admits("700", 2, "t0", 1000, "{1,2}"));
	end();
	clock_set_fake(-1, 0);
}

CHECK_MAIN(CHECK_ROW(same_server_is_admitted), CHECK_ROW(others_are_refused),
    CHECK_ROW(all_follow_a_promotion_of_the_same_past),
    CHECK_ROW(what_others_say_is_looked_for))
