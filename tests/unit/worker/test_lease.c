/*
 * The worker's own lease on a simulated clock: when it renews, how long it
 * trusts, and that it never trusts what came too late.
 */
#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "worker/lease.h"

struct rig {
	struct loop *loop;
	struct db_pool *pool;
	struct lease *lease;
	int trusted, lost, left;
};

static void
on_trusted(void *arg)
{
	((struct rig *)arg)->trusted++;
}

static void
on_lost(void *arg)
{
	((struct rig *)arg)->lost++;
}

static void
on_left(void *arg)
{
	((struct rig *)arg)->left++;
}

static void
rig_start(struct rig *r)
{
	struct lease_opts opts = {
	    .incarnation = "worker-1",
	    .name = "name",
	    .host = "host",
	    .pid = 42,
	    .version = "0.1",
	    .slots = 2,
	    .on_trusted = on_trusted,
	    .on_lost = on_lost,
	    .arg = r,
	};

	*r = (struct rig){.loop = loop_new_sim(5000)};
	r->pool = db_script_new(r->loop);
	opts.loop = r->loop;
	opts.pool = r->pool;
	r->lease = lease_new(&opts);
	lease_start(r->lease);
}

static void
rig_stop(struct rig *r)
{
	CHECK(db_script_is_done(r->pool));
	lease_free(r->lease);
	db_pool_free(r->pool);
	loop_free(r->loop);
}

static void
expect_renewal(struct rig *r, const char *cancel)
{
	db_script_expect(r->pool, Q_WORKER_RENEW,
	    "worker-1|name|host|42|0.1|2|1700");
	db_script_rows(r->pool, "cancel_job_id", cancel);
}

static void
test_renews_every_500_ms(void)
{
	struct rig r;

	rig_start(&r);
	for (int i = 0; i < 5; i++)
		expect_renewal(&r, "\\N");
	CHECK(!lease_is_trusted(r.lease));
	loop_sim_advance(r.loop, 2400);
	CHECK(lease_is_trusted(r.lease));
	CHECK_INT(r.trusted, 1);
	CHECK_INT(r.lost, 0);
	rig_stop(&r);
}

static void
test_trust_counts_from_the_sending(void)
{
	struct rig r;

	rig_start(&r);
	expect_renewal(&r, "\\N");
	db_script_after(r.pool, 400); /* slow */
	expect_renewal(&r, "\\N");
	db_script_after(r.pool, -1); /* never answered */
	loop_sim_advance(r.loop, 1499);
	CHECK(lease_is_trusted(r.lease));
	loop_sim_advance(r.loop, 1);
	CHECK(!lease_is_trusted(r.lease));
	CHECK_INT(r.lost, 1);
	rig_stop(&r);
}

static void
test_answer_that_is_too_late_counts_nothing(void)
{
	struct rig r;

	rig_start(&r);
	expect_renewal(&r, "\\N");
	db_script_after(r.pool, 1500);
	expect_renewal(&r, "\\N");
	db_script_after(r.pool, -1);
	loop_sim_advance(r.loop, 1600);
	CHECK(!lease_is_trusted(r.lease));
	CHECK_INT(r.trusted, 0);
	CHECK_INT(r.lost, 0);
	rig_stop(&r);
}

/* Failures are tried again quickly, and trust comes back. */
static void
test_trust_is_lost_and_found(void)
{
	struct rig r;

	rig_start(&r);
	expect_renewal(&r, "\\N");
	for (int i = 0; i < 11; i++) { /* at 500, 600 ... 1500 */
		db_script_expect(r.pool, Q_WORKER_RENEW, NULL);
		db_script_code(r.pool, RC_UNAVAILABLE);
	}
	loop_sim_advance(r.loop, 1550);
	CHECK(!lease_is_trusted(r.lease));
	CHECK_INT(r.lost, 1);
	expect_renewal(&r, "\\N");
	loop_sim_advance(r.loop, 100);
	CHECK(lease_is_trusted(r.lease));
	CHECK_INT(r.trusted, 2);
	rig_stop(&r);
}

static void
test_remembers_what_is_to_be_cancelled(void)
{
	struct rig r;

	rig_start(&r);
	expect_renewal(&r, "job-1\njob-2");
	expect_renewal(&r, "\\N");
	loop_sim_advance(r.loop, 10);
	CHECK(lease_is_cancelled(r.lease, "job-1"));
	CHECK(lease_is_cancelled(r.lease, "job-2"));
	CHECK(!lease_is_cancelled(r.lease, "job-3"));
	loop_sim_advance(r.loop, 500);
	CHECK(!lease_is_cancelled(r.lease, "job-1"));
	rig_stop(&r);
}

static void
test_leaves(void)
{
	struct rig r;

	rig_start(&r);
	expect_renewal(&r, "\\N");
	loop_sim_advance(r.loop, 10);
	db_script_expect(r.pool, Q_WORKER_LEAVE, "worker-1");
	db_script_rows(r.pool, "freed", "0");
	lease_leave(r.lease, on_left, &r);
	CHECK_INT(r.lost, 1);
	CHECK_INT(r.left, 0);
	loop_sim_advance(r.loop, 3000);
	CHECK_INT(r.left, 1);
	CHECK(!lease_is_trusted(r.lease));
	rig_stop(&r);
}

/* A database that is gone does not keep a worker from stopping. */
static void
test_leaves_without_an_answer(void)
{
	struct rig r;

	rig_start(&r);
	expect_renewal(&r, "\\N");
	loop_sim_advance(r.loop, 10);
	db_script_expect(r.pool, Q_WORKER_LEAVE, "worker-1");
	db_script_after(r.pool, -1);
	lease_leave(r.lease, on_left, &r);
	loop_sim_advance(r.loop, 1999);
	CHECK_INT(r.left, 0);
	loop_sim_advance(r.loop, 1);
	CHECK_INT(r.left, 1);
	rig_stop(&r);
}

CHECK_MAIN(CHECK_ROW(test_renews_every_500_ms),
    CHECK_ROW(test_trust_counts_from_the_sending),
    CHECK_ROW(test_answer_that_is_too_late_counts_nothing),
    CHECK_ROW(test_trust_is_lost_and_found),
    CHECK_ROW(test_remembers_what_is_to_be_cancelled), CHECK_ROW(test_leaves),
    CHECK_ROW(test_leaves_without_an_answer))
