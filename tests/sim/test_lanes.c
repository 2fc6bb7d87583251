/*
 * What one issuer's trouble costs the others: nothing; and what a job that
 * waits costs: a row.
 */
#include <malloc.h>
#include <stdio.h>

#include "tests/sim/world.h"
#include "tests/unit/check.h"

enum { LANES = 10, JOBS_EACH = 60 };

static struct world *
world_of(size_t workers)
{
	struct world *w = world_new();

	for (size_t i = 0; i < workers; i++)
		world_worker(w, HELD_MAX);
	world_sched_start(w, 0);
	return w;
}

/* Milliseconds until all jobs of the lanes from 1 on are done. */
static int64_t
nine_lanes_ms(bool with_hanging, int64_t hangs_ms)
{
	static char ids[LANES][16];
	struct world *w = world_of(4);
	int64_t start, last = 0;

	for (size_t i = 0; i < LANES; i++) {
		snprintf(ids[i], sizeof(ids[i]), "iss-%zu", i);
		world_issuer(w, ids[i], "ACME", i == 0 ? 8 : 1,
		    i == 0 ? hangs_ms : 40);
		if (i > 0 || with_hanging)
			world_jobs(w, i, JOBS_EACH);
	}
	start = w->now_ms;
	world_run(w, 15000);
	for (size_t i = 0; i < w->njobs; i++) {
		const struct sim_job *j = &w->jobs[i];

		if (j->issuer == 0)
			continue;
		CHECK(j->state == JOB_DONE);
		last = j->done_ms > last ? j->done_ms : last;
	}
	if (with_hanging)
		CHECK_INT(world_left(w), JOBS_EACH);
	world_free(w);
	return last - start;
}

static void
nine_finish_as_if_the_tenth_were_not_there(void)
{
	int64_t alone = nine_lanes_ms(false, 0);
	int64_t beside = nine_lanes_ms(true, INT64_MAX / 2);

	CHECK(alone > JOBS_EACH * 40);
	if (beside > alone + alone / 10)
		printf("  alone %lld ms, beside a hanging one %lld ms\n",
		    (long long)alone, (long long)beside);
	CHECK(beside <= alone + alone / 10);
}

static void
a_breaker_opens_half_opens_and_closes(void)
{
	struct world *w = world_of(2);
	size_t bad = world_issuer(w, "iss-bad", "ACME", 1, 20);
	struct sim_issuer *is = &w->issuers[bad];
	int64_t began;

	is->away_until_ms = w->now_ms + 80000;
	world_jobs(w, bad, 200);
	world_run(w, 3000);
	CHECK(is->breaker == LANE_OPEN);
	CHECK_INT(is->calls, 5);
	/* Quiet for the 30 s, and half a second to notice. */
	world_run(w, 26000);
	CHECK_INT(is->calls, 5);
	world_run(w, 3000);
	CHECK_INT(is->calls, 6);
	CHECK_INT(is->opens, 2);
	/* The next one after twice as long finds it back. */
	world_run(w, 58000);
	CHECK_INT(is->calls, 6);
	began = w->now_ms;
	CHECK(world_drain(w, 30000));
	CHECK(is->breaker == LANE_CLOSED);
	CHECK_INT(is->failures, 0);
	CHECK(w->now_ms - began >= 200 * 20);
	world_free(w);
}

/* An issuer that refuses everything for half an hour is not called more often
 * than its breaker lets through, whoever leads. */
static void
no_retry_storm(void)
{
	struct world *w = world_of(2);
	size_t bad = world_issuer(w, "iss-bad", "ACME", 8, 20);
	size_t good = world_issuer(w, "iss-good", "ACME", 8, 20);

	w->issuers[bad].away_until_ms = w->now_ms + 1800000;
	world_jobs(w, bad, 100);
	world_sched_start(w, 1);
	world_run(w, 10000);
	world_sched_kill(w, 0, 1000);
	world_jobs(w, good, 500);
	world_run(w, 290000);
	/* Eight of its cap at first, then after 30, 60, 120 s. */
	CHECK(w->issuers[bad].calls >= 8);
	CHECK(w->issuers[bad].calls <= 16);
	CHECK_INT(world_left(w), 100);
	world_free(w);
}

/* A trial whose worker died lets another one through. */
static void
the_trial_dies_with_its_worker(void)
{
	struct world *w = world_of(2);
	size_t bad = world_issuer(w, "iss-bad", "ACME", 1, 20);
	struct sim_issuer *is = &w->issuers[bad];

	is->away_until_ms = w->now_ms + 20000;
	world_jobs(w, bad, 20);
	world_run(w, 3000);
	CHECK(is->breaker == LANE_OPEN);
	is->lease_ms = 5000;
	while (is->breaker == LANE_OPEN)
		world_run(w, 10);
	is->lease_ms = 20;
	for (size_t i = 0; i < w->nworkers; i++)
		if (w->workers[i].nheld > 0)
			world_worker_kill(w, i, -1);
	CHECK(world_drain(w, 10000));
	CHECK(is->breaker == LANE_CLOSED);
	world_free(w);
}

static size_t
heap_bytes(void)
{
	return mallinfo2().uordblks;
}

/* What five seconds add to the heap; the scripted pools keep the
 * answers they gave, so it is never nothing. */
static size_t
growth(struct world *w)
{
	size_t before = heap_bytes(), after;

	world_run(w, 5000);
	after = heap_bytes();
	return after > before ? after - before : 0;
}

static void
ten_thousand_parked_jobs(void)
{
	struct world *w = world_of(2);
	size_t slow = world_issuer(w, "iss-slow", "ACME", 8, 20);
	size_t good = world_issuer(w, "iss-good", "ACME", 8, 20);
	size_t idle, parked;
	int claims;

	world_jobs(w, good, 100);
	CHECK(world_drain(w, 5000));
	world_run(w, 1500);
	idle = growth(w);
	claims = w->claims;
	world_parked(w, slow, 10000, 3600000);
	parked = growth(w);
	CHECK_INT(dispatch_running(w->scheds[0].dispatch), 0);
	CHECK_INT(w->claims, claims);
	/* Less than a byte a job. */
	CHECK(parked < idle + 10000);
	world_jobs(w, good, 100);
	world_run(w, 3000);
	CHECK_INT(world_left(w), 10000);
	CHECK_INT(w->timeouts, 0);
	world_free(w);
}

CHECK_MAIN(CHECK_ROW(nine_finish_as_if_the_tenth_were_not_there),
    CHECK_ROW(a_breaker_opens_half_opens_and_closes), CHECK_ROW(no_retry_storm),
    CHECK_ROW(the_trial_dies_with_its_worker),
    CHECK_ROW(ten_thousand_parked_jobs))
