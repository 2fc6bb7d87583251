/*
 * What a host cannot do: raised once, tried each second, over by itself.
 */
#include <string.h>

#include "common/base/attr.h"
#include "tests/unit/check.h"
#include "worker/host_fault.h"

static struct {
	struct loop *loop;
	struct host_faults *h;
	int changes, tries;
	bool is_over;
} t;

static bool
is_over(void *arg, const struct host_fault *f)
{
	CHECK(f->kind != HOST_CLOCK);
	t.tries++;
	return t.is_over;
}

static void
on_change(void *arg)
{
	t.changes++;
}

static void
start(void)
{
	struct host_faults_opts opts = {
	    .is_over = is_over,
	    .on_change = on_change,
	};

	memset(&t, 0, sizeof(t));
	opts.loop = t.loop = loop_new_sim(1000);
	t.h = host_faults_new(&opts);
}

static void
stop(void)
{
	host_faults_free(t.h);
	loop_free(t.loop);
}

static void
test_it_is_tried_until_it_is_over(void)
{
	start();
	CHECK(!host_faults_why(t.h, "iss-a"));
	host_fault_raise(t.h, HOST_JOURNAL, "iss-a", "full");
	host_fault_raise(t.h, HOST_JOURNAL, "iss-a", "full");
	CHECK_INT(t.changes, 1);
	CHECK_STR(host_faults_why(t.h, "iss-a"), "full");
	CHECK(!host_faults_why(t.h, "iss-b"));
	CHECK(!host_faults_stop_all(t.h));
	loop_sim_advance(t.loop, 3 * HOST_TRY_MS);
	CHECK_INT(t.tries, 3);
	CHECK_STR(host_faults_why(t.h, "iss-a"), "full");
	t.is_over = true;
	loop_sim_advance(t.loop, HOST_TRY_MS);
	CHECK(!host_faults_why(t.h, "iss-a"));
	CHECK_INT(t.changes, 2);
	loop_sim_advance(t.loop, 5 * HOST_TRY_MS);
	CHECK_INT(t.tries, 4);
	stop();
}

static void
test_another_reason_is_told(void)
{
	start();
	host_fault_raise(t.h, HOST_JOURNAL, "iss-a", "full");
	host_fault_raise(t.h, HOST_JOURNAL, "iss-a", "read-only");
	CHECK_INT(t.changes, 2);
	CHECK_STR(host_faults_why(t.h, "iss-a"), "read-only");
	CHECK(host_faults_at(t.h, 0) != NULL);
	CHECK(!host_faults_at(t.h, 1));
	stop();
}

static void
test_words_are_fit_to_be_stored(void)
{
	start();
	host_fault_raise(t.h, HOST_CA, "iss-a", "/k\xff\033ey cannot");
	host_fault_raise(t.h, HOST_CA, "iss-a", "/k\xff\033ey cannot");
	CHECK_STR(host_faults_why(t.h, "iss-a"), "/k??ey cannot");
	CHECK_INT(t.changes, 1);
	stop();
}

/* The clock's is cleared by who compares it, and is of all work. */
static void
test_the_clock_stops_all(void)
{
	start();
	t.is_over = true;
	host_fault_raise(t.h, HOST_CLOCK, "", "a day behind");
	host_fault_raise(t.h, HOST_SCRIPT, "iss-a", "gone");
	CHECK(host_faults_stop_all(t.h));
	CHECK_STR(host_faults_why(t.h, "iss-b"), "a day behind");
	loop_sim_advance(t.loop, HOST_TRY_MS);
	CHECK_INT(t.tries, 1);
	CHECK(host_faults_stop_all(t.h));
	host_fault_clear(t.h, HOST_CLOCK, "");
	host_fault_clear(t.h, HOST_CLOCK, "");
	CHECK(!host_faults_stop_all(t.h));
	CHECK_INT(t.changes, 4);
	stop();
}

static void
test_more_than_can_be_told(void)
{
	char id[16];

	start();
	for (int i = 0; i < HOST_FAULTS_MAX + 10; i++) {
		snprintf(id, sizeof(id), "iss-%d", i);
		host_fault_raise(t.h, HOST_CA, id, "unreadable");
	}
	CHECK(host_faults_at(t.h, HOST_FAULTS_MAX - 1) != NULL);
	CHECK(!host_faults_at(t.h, HOST_FAULTS_MAX));
	stop();
}

CHECK_MAIN(CHECK_ROW(test_it_is_tried_until_it_is_over),
    CHECK_ROW(test_another_reason_is_told),
    CHECK_ROW(test_words_are_fit_to_be_stored),
    CHECK_ROW(test_the_clock_stops_all), CHECK_ROW(test_more_than_can_be_told))
