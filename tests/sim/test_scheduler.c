/*
 * What the leader promises when anything stops, is late or is lost.
 */
#include "tests/sim/world.h"
#include "tests/unit/check.h"

#define LOCAL "GenericCA"
/* The request runs into its time limit, then the work itself. */
#define REQUEST_LOST_MS 2600

static struct world *
usual_world(size_t jobs)
{
	struct world *w = world_new();
	size_t local = world_issuer(w, "iss-local", LOCAL, 8, 5);

	world_jobs(w, local, jobs);
	world_worker(w, 2);
	world_worker(w, 2);
	world_sched_start(w, 0);
	return w;
}

static int64_t
last_done(const struct world *w, size_t issuer)
{
	int64_t last = 0;

	for (size_t i = 0; i < w->njobs; i++)
		if (w->jobs[i].issuer == issuer && w->jobs[i].done_ms > last)
			last = w->jobs[i].done_ms;
	return last;
}

static void
a_quiet_drain(void)
{
	struct world *w = usual_world(2000);

	CHECK(world_drain(w, 2000));
	CHECK_INT(w->freed, 0);
	CHECK_INT(w->dead_grants, 0);
	CHECK_INT(w->lost_commits, 0);
	CHECK(w->claims < 2000 / 64 + 10);
	CHECK(w->looks < 20); /* a backlog needs no look for each claim */
	world_free(w);
}

static void
a_hint_is_not_needed(void)
{
	struct world *w = usual_world(0);

	world_run(w, 5000);
	world_jobs(w, 0, 10);
	CHECK(world_drain(w, 1200)); /* the look once a second */
	world_free(w);
}

/* A transaction that began before others commits behind them: what it made due
 * lies behind the key of what was handed out meanwhile. */
static void
a_hint_finds_what_was_committed_late(void)
{
	struct world *w = usual_world(0);

	world_run(w, 5000);
	for (int i = 0; i < 20; i++) {
		world_jobs(w, 0, 1);
		world_hint(w, 0, w->now_ms);
		CHECK(world_drain(w, 60));
		world_parked(w, 0, 1, -80);
		world_hint(w, 0, w->now_ms - 80);
		CHECK(world_drain(w, 60));
	}
	world_free(w);
}

static void
issuers_take_turns(void)
{
	struct world *w = usual_world(3000);
	size_t acme = world_issuer(w, "iss-acme", "ACME", 4, 20);
	size_t tasks = world_issuer(w, "", "", 25, 5);
	int64_t start = w->now_ms;

	world_jobs(w, acme, 8);
	world_jobs(w, tasks, 8);
	CHECK(world_drain(w, 5000));
	CHECK(last_done(w, 0) > last_done(w, acme));
	CHECK(last_done(w, 0) > last_done(w, tasks));
	CHECK(last_done(w, acme) - start < 600);
	world_free(w);
}

static void
a_slow_ca_keeps_nobody_waiting(void)
{
	struct world *w = usual_world(500);
	size_t slow = world_issuer(w, "iss-slow", "ACME", 2, 60000);

	world_jobs(w, slow, 40);
	world_run(w, 3000);
	CHECK_INT(world_left(w), 40);
	CHECK(w->most_running >= 3);
	world_free(w);
}

static void
permits_bound_the_fleet(void)
{
	struct world *w = world_new();

	w->permits = 3;
	world_jobs(w, world_issuer(w, "iss-a", "ACME", 8, 50), 20);
	world_jobs(w, world_issuer(w, "iss-b", "ACME", 8, 50), 20);
	world_worker(w, 8);
	world_worker(w, 8);
	world_sched_start(w, 0);
	CHECK(world_drain(w, 5000));
	CHECK_INT(w->most_running, 3);
	world_free(w);
}

static void
the_leader_is_killed(void)
{
	struct world *w = usual_world(4000);
	int64_t killed;

	w->issuers[0].lease_ms = 40;
	world_sched_start(w, 1);
	world_run(w, 300);
	CHECK_INT(world_leader(w), 0);
	CHECK(world_left(w) > 0);
	killed = w->now_ms;
	world_sched_kill(w, 0, -1);
	CHECK(world_drain(w, 10000));
	CHECK_INT(world_leader(w), 1);
	CHECK(w->led_ms - killed <= 1020);
	/* What ran went on to its end under the new leader. */
	CHECK_INT(w->freed_held, 0);
	CHECK_INT(w->lost_commits, 0);
	world_free(w);
}

static void
the_leader_is_stopped_and_wakes_up(void)
{
	struct world *w = usual_world(4000);
	int claims;

	w->issuers[0].lease_ms = 40;
	world_sched_start(w, 1);
	world_run(w, 300);
	world_sched_freeze(w, 0);
	world_run(w, 1200);
	CHECK_INT(world_leader(w), 1);
	CHECK(leader_term(w->scheds[0].leader) == 1);
	claims = w->claims;
	world_sched_thaw(w, 0);
	/* Its queued requests were answered without a statement. */
	CHECK_INT(leader_term(w->scheds[0].leader), 0);
	CHECK_INT(w->claims, claims);
	CHECK_INT(w->refused, 0);
	CHECK(world_drain(w, 10000));
	CHECK_INT(w->freed_held, 0);
	world_free(w);
}

/* Stopped for less than the lease: the row is still its own, but it trusts
 * itself only after a new renewal. */
static void
a_short_stop(void)
{
	struct world *w = usual_world(4000);

	w->issuers[0].lease_ms = 40;
	world_run(w, 300);
	world_sched_freeze(w, 0);
	world_run(w, 930);
	world_sched_thaw(w, 0);
	CHECK(!leader_is_trusted(w->scheds[0].leader));
	CHECK(world_drain(w, 10000));
	CHECK_INT(w->freed_held, 0);
	CHECK_INT(w->refused, 0);
	world_free(w);
}

static void
only_one_of_two_leads(void)
{
	struct world *w = usual_world(100);

	world_sched_start(w, 1);
	world_run(w, 20000); /* world_run checks that never two do */
	CHECK_INT(w->leaders, 1);
	CHECK_INT(world_left(w), 0);
	world_free(w);
}

/* Renewals that take longer than trust lasts: nobody acts as the leader. */
static void
renewals_answered_too_late(void)
{
	struct world *w = usual_world(100);

	w->late_holds_ms = 950;
	world_run(w, 10000);
	CHECK_INT(w->claims, 0);
	w->late_holds_ms = 0;
	CHECK(world_drain(w, 3000));
	world_free(w);
}

static void
a_reply_is_lost(void)
{
	struct world *w = usual_world(100);

	w->drop_replies = 1;
	CHECK(world_drain(w, REQUEST_LOST_MS));
	CHECK_INT(w->freed, 1);
	CHECK_INT(w->freed_held, 0);
	world_free(w);
}

/* The worker has given up and asked again when the claim's answer comes: the
 * lease goes out with the answer to the new request. */
static void
a_claim_is_late(void)
{
	struct world *w = usual_world(10);

	w->late_claim_ms = 5000;
	CHECK(world_drain(w, 8000));
	CHECK_INT(w->freed_held, 0);
	CHECK_INT(w->dead_grants, 0);
	CHECK_INT(w->lost_commits, 0);
	world_free(w);
}

/* The connection ends between the commit and the answer.  There may be a lease:
 * no other takes its place, which world_run looks at, before a look has
 * counted; and what its worker never got is freed, not left to the attempt's
 * end. */
static void
claims_are_lost(void)
{
	struct world *w = usual_world(10);

	world_jobs(w, world_issuer(w, "iss-one", "ACME", 1, 50), 20);
	w->lose_claims = 8;
	CHECK(world_drain(w, 8000));
	CHECK_INT(w->lose_claims, 0);
	world_free(w);
}

/* Its connection closes: what it held runs elsewhere at once, although it
 * lies behind the lane's low-water key. */
static void
a_worker_is_killed(void)
{
	struct world *w = usual_world(256);

	w->issuers[0].lease_ms = 500;
	world_worker(w, 4);
	world_run(w, 300);
	CHECK(w->workers[0].nheld > 0);
	world_worker_kill(w, 0, -1);
	world_run(w, 25);
	CHECK(w->freed > 0);
	CHECK_INT(w->workers[1].nheld + w->workers[2].nheld, 4);
	CHECK(world_drain(w, 3000));
	world_free(w);
}

/* No connection closes: its lease runs out. */
static void
a_worker_is_stopped(void)
{
	struct world *w = usual_world(256);

	w->issuers[0].lease_ms = 500;
	world_run(w, 300);
	CHECK(w->workers[0].nheld > 0);
	world_worker_freeze(w, 0);
	world_run(w, 1600);
	CHECK_INT(w->freed, 0);
	world_run(w, 250);
	CHECK(w->freed > 0);
	CHECK(world_drain(w, 3000));
	world_worker_thaw(w, 0);
	world_run(w, 1000);
	CHECK_INT(world_left(w), 0);
	world_free(w);
}

/* Somebody else's term shows in the first statement that is refused, not only
 * in the next renewal. */
static void
the_row_is_taken_away(void)
{
	struct world *w = usual_world(0);

	world_run(w, 1000);
	w->late_holds_ms = 800;
	w->term++;
	snprintf(w->holder, sizeof(w->holder), "somebody");
	w->expires_ms = w->now_ms + 1000;
	world_run(w, 120);
	CHECK(w->refused > 0);
	CHECK_INT(leader_term(w->scheds[0].leader), 0);
	world_free(w);
}

static void
an_idle_fleet(void)
{
	struct world *w = usual_world(0);
	uint64_t asked;

	world_run(w, 1000);
	asked = w->last_reply_to;
	world_run(w, 10000);
	/* Each of two is answered with nothing once a second, and asks. */
	asked = w->last_reply_to - asked;
	CHECK(asked >= 16 && asked <= 22);
	CHECK_INT(w->timeouts, 0);
	CHECK_INT(w->claims, 0);
	world_free(w);
}

static void
both_are_killed(void)
{
	struct world *w = usual_world(2000);

	w->issuers[0].lease_ms = 50;
	world_run(w, 250);
	world_worker_kill(w, 0, 400);
	world_sched_kill(w, 0, 200);
	CHECK(world_drain(w, 6000));
	CHECK_INT(w->leaders, 2);
	world_free(w);
}

/* --- everything at random --- */

static void
random_fault(struct world *w)
{
	int sched = (int)world_rand(w, SCHEDS);
	size_t worker = world_rand(w, (uint32_t)w->nworkers);

	switch (world_rand(w, 8)) {
	case 0:
		world_sched_kill(w, sched, world_rand(w, 500));
		break;
	case 1:
		world_worker_kill(w, worker, world_rand(w, 500));
		break;
	case 2:
		world_sched_freeze(w, sched);
		break;
	case 3:
		world_worker_freeze(w, worker);
		break;
	case 4:
	case 5:
		world_sched_thaw(w, sched);
		break;
	default:
		world_worker_thaw(w, worker);
		break;
	}
}

static void
chaos(uint32_t seed)
{
	struct world *w = usual_world(1000);
	size_t acme = world_issuer(w, "iss-acme", "ACME", 4, 80);
	size_t tasks = world_issuer(w, "", "", 25, 10);

	w->seed = seed;
	w->fault_percent = 10;
	w->issuers[0].lease_ms = 60;
	world_sched_start(w, 1);
	for (int i = 0; i < 60; i++) {
		world_jobs(w, i % 3 == 0 ? acme : i % 3 == 1 ? tasks : 0, 40);
		random_fault(w);
		world_run(w, 50 + world_rand(w, 300));
	}
	w->fault_percent = 0;
	for (int i = 0; i < SCHEDS; i++)
		world_sched_thaw(w, i);
	for (size_t i = 0; i < w->nworkers; i++)
		world_worker_thaw(w, i);
	if (!world_drain(w, 30000)) {
		printf("  seed %u: %zu jobs left\n", seed, world_left(w));
		CHECK(false);
	}
	world_free(w);
}

static void
everything_at_random(void)
{
	for (uint32_t seed = 1; seed <= 15; seed++)
		chaos(seed);
}

CHECK_MAIN(CHECK_ROW(a_quiet_drain), CHECK_ROW(a_hint_is_not_needed),
    CHECK_ROW(a_hint_finds_what_was_committed_late),
    CHECK_ROW(issuers_take_turns), CHECK_ROW(a_slow_ca_keeps_nobody_waiting),
    CHECK_ROW(permits_bound_the_fleet), CHECK_ROW(the_leader_is_killed),
    CHECK_ROW(the_leader_is_stopped_and_wakes_up), CHECK_ROW(a_short_stop),
    CHECK_ROW(only_one_of_two_leads), CHECK_ROW(renewals_answered_too_late),
    CHECK_ROW(a_reply_is_lost), CHECK_ROW(a_claim_is_late),
    CHECK_ROW(claims_are_lost), CHECK_ROW(a_worker_is_killed),
    CHECK_ROW(a_worker_is_stopped), CHECK_ROW(the_row_is_taken_away),
    CHECK_ROW(an_idle_fleet), CHECK_ROW(both_are_killed),
    CHECK_ROW(everything_at_random))
