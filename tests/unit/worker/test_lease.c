/*
 * The worker's own lease on a simulated clock: when it renews, how long it
 * trusts, and that it never trusts what came too late.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "worker/lease.h"

struct rig {
	struct loop *loop;
	struct db_pool *pool;
	struct lease *lease;
	struct host_faults *host;
	const char *renewal; /* its parameters */
	int64_t skew_ms;     /* of the database's clock */
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

static bool
is_never_over(void *arg, const struct host_fault *f)
{
	return false;
}

static void
on_host_change(void *arg)
{
	lease_host_changed(((struct rig *)arg)->lease);
}

static struct bus_cert
bus_cert(void *arg)
{
	return (struct bus_cert){.near_unix = 1000, .ends_unix = 2000};
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
	    .clock_limit_ms = 30000,
	    .bus_cert = bus_cert,
	    .on_trusted = on_trusted,
	    .on_lost = on_lost,
	    .arg = r,
	};

	*r = (struct rig){.loop = loop_new_sim(5000)};
	r->pool = db_script_new(r->loop);
	r->host = host_faults_new(&(struct host_faults_opts){
	    .loop = r->loop,
	    .is_over = is_never_over,
	    .on_change = on_host_change,
	    .arg = r,
	});
	r->renewal = "worker-1|name|host|42|0.1|2|1700|||{}|1000|2000";
	opts.host_faults = r->host;
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
	host_faults_free(r->host);
	db_pool_free(r->pool);
	loop_free(r->loop);
}

static void
expect_renewal(struct rig *r, const char *cancel)
{
	char cells[128];
	int64_t now_ms = clock_wall_us() / 1000 + r->skew_ms;
	int at = 0;

	db_script_expect(r->pool, Q_WORKER_RENEW, r->renewal);
	/* A row for each job. */
	for (const char *p = cancel; *p; p += strcspn(p, "\n"), p += *p != 0)
		at += snprintf(cells + at, sizeof(cells) - (size_t)at,
		    "%s%.*s|%" PRId64, at > 0 ? "\n" : "",
		    (int)strcspn(p, "\n"), p, now_ms);
	db_script_rows(r->pool, "cancel_job_id|now_ms", cells);
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

/* Either way; what the answer's own way explains is no difference. */
static void
test_compares_the_clocks(void)
{
	/* Each by a second less a millisecond more: this clock is the real one.
	 */
	static const int64_t wrong[] = {31999, -31000};
	struct rig r;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		rig_start(&r);
		r.skew_ms = wrong[i];
		expect_renewal(&r, "\\N");
		loop_sim_advance(r.loop, 10);
		CHECK(host_faults_stop_all(r.host));
		CHECK(lease_is_trusted(r.lease));
		CHECK(strstr(host_faults_why(r.host, ""),
			  i == 0 ? "31 s behind" : "31 s ahead") != NULL);
		host_fault_raise(r.host, HOST_CA, "iss-a", "gone");
		host_fault_raise(r.host, HOST_CA, "iss-b", "too");
		r.skew_ms = 0;
		db_script_expect(r.pool, Q_WORKER_RENEW, NULL);
		db_script_rows(r.pool, "cancel_job_id|now_ms", "\\N|0");
		loop_sim_advance(r.loop, 500);
		host_fault_clear(r.host, HOST_CLOCK, "");
		r.renewal = "worker-1|name|host|42|0.1|2|1700|ca|"
			    "issuer iss-a: gone; issuer iss-b: too|"
			    "{\"iss-a\":\"gone\",\"iss-b\":\"too\"}|1000|2000";
		expect_renewal(&r, "\\N");
		loop_sim_advance(r.loop, 500);
		CHECK(!host_faults_stop_all(r.host));
		rig_stop(&r);
	}
}

static void
test_a_slow_answer_is_no_wrong_clock(void)
{
	struct rig r;

	rig_start(&r);
	/* Read just after it was sent, 40 s before it came. */
	clock_set_fake(0, 1790000000000000);
	expect_renewal(&r, "\\N");
	db_script_after(r.pool, 40000);
	clock_set_fake(0, 1790000040000000);
	loop_sim_advance(r.loop, 40000);
	CHECK(!host_faults_stop_all(r.host));
	clock_set_fake(-1, 0);
	db_script_expect(r.pool, Q_WORKER_RENEW, NULL);
	db_script_rows(r.pool, "cancel_job_id|now_ms", "\\N|0");
	loop_sim_advance(r.loop, 500);
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
    CHECK_ROW(test_remembers_what_is_to_be_cancelled),
    CHECK_ROW(test_compares_the_clocks),
    CHECK_ROW(test_a_slow_answer_is_no_wrong_clock), CHECK_ROW(test_leaves),
    CHECK_ROW(test_leaves_without_an_answer))
