/* When a CA is asked again: the times, the jitter, the limit, Retry-After. */
#include "tests/unit/check.h"
#include "worker/issuers/poll_plan.h"

enum { TRIES = 2000 };

static struct poll_plan
plan(int64_t polls, int64_t waited_ms)
{
	return (struct poll_plan){
	    .polls = polls,
	    .waited_ms = waited_ms,
	    .max_wait_ms = 600000,
	};
}

/* Between a fifth less and a fifth more, and not always the same. */
static void
check_spread(struct poll_plan p, int64_t about_ms, bool is_over)
{
	int64_t least = INT64_MAX, most = 0;
	struct poll_wait wait;

	for (int i = 0; i < TRIES; i++) {
		wait = poll_plan_wait(&p);
		CHECK(wait.is_over == is_over);
		CHECK_INT(wait.grid_ms, 0);
		least = wait.ms < least ? wait.ms : least;
		most = wait.ms > most ? wait.ms : most;
	}
	CHECK(least >= about_ms - about_ms / 5);
	CHECK(most <= about_ms + about_ms / 5);
	CHECK(most - least > about_ms / 5);
}

static void
test_times(void)
{
	check_spread(plan(0, 0), 5000, false);
	check_spread(plan(1, 5000), 15000, false);
	check_spread(plan(2, 20000), 45000, false);
	check_spread(plan(3, 65000), 120000, false);
	check_spread(plan(4, 185000), 300000, false);
	check_spread(plan(INT64_MAX, 0), 300000, false);
	check_spread(plan(-1, 0), 300000, false); /* edited by hand */
}

static void
test_limit(void)
{
	struct poll_plan p = plan(5, 599000);

	CHECK_INT(poll_plan_wait(&p).ms, 1000);
	CHECK(!poll_plan_wait(&p).is_over);
	check_spread(plan(6, 600000), 3600000, true);
	check_spread(plan(0, INT64_MAX), 3600000, true);
}

static void
test_retry_after(void)
{
	struct poll_plan p = plan(0, 0);

	p.retry_after_s = 90;
	CHECK_INT(poll_plan_wait(&p).ms, 90000);
	/* Also where that is beyond the limit, but not for ever. */
	p.retry_after_s = 7200;
	CHECK_INT(poll_plan_wait(&p).ms, 7200000);
	CHECK(!poll_plan_wait(&p).is_over);
	p.retry_after_s = INT64_MAX;
	CHECK_INT(poll_plan_wait(&p).ms, 86400000);
	/* It is no reason to ask sooner. */
	p.polls = 4;
	p.retry_after_s = 1;
	CHECK(poll_plan_wait(&p).ms >= 240000);
}

/* Due at a multiple, at most a tenth before or after the time of the plan. */
static void
check_together(int64_t polls, int64_t about_ms)
{
	struct poll_plan p = plan(polls, 0);
	struct poll_wait w;

	p.is_together = true;
	w = poll_plan_wait(&p);
	CHECK_INT(w.ms, about_ms + about_ms / 10);
	CHECK_INT(w.grid_ms, about_ms / 5);
}

static void
test_together(void)
{
	struct poll_plan p = plan(4, 0);
	struct poll_wait w;

	check_together(0, 5000);
	check_together(1, 15000);
	check_together(2, 45000);
	check_together(3, 120000);
	check_together(4, 300000);
	p.is_together = true;
	/* The limit and what the CA asked for are kept to the moment. */
	p.waited_ms = 590000;
	w = poll_plan_wait(&p);
	CHECK_INT(w.ms, 10000);
	CHECK_INT(w.grid_ms, 0);
	p.waited_ms = 0;
	p.retry_after_s = 280;
	w = poll_plan_wait(&p);
	CHECK_INT(w.ms, 330000);
	CHECK_INT(w.grid_ms, 0);
	p.retry_after_s = 270;
	CHECK_INT(poll_plan_wait(&p).grid_ms, 60000);
	p.retry_after_s = 7200;
	w = poll_plan_wait(&p);
	CHECK_INT(w.ms, 7200000);
	CHECK_INT(w.grid_ms, 0);
	/* Once an hour, past it. */
	p.retry_after_s = 0;
	p.waited_ms = 600000;
	w = poll_plan_wait(&p);
	CHECK(w.is_over);
	CHECK_INT(w.ms, 3960000);
	CHECK_INT(w.grid_ms, 720000);
}

CHECK_MAIN(CHECK_ROW(test_times), CHECK_ROW(test_limit),
    CHECK_ROW(test_retry_after), CHECK_ROW(test_together))
