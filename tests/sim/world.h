/*
 * world: schedulers, workers, a bus and a database on one simulated clock.
 *
 * The schedulers are the real code (leader, beat, dispatch), each on a loop
 * of its own; the database is a few arrays behind the scripted pool; workers
 * follow the rules of the bus: one request at a time, listing what they hold.
 * world_run moves everything by a millisecond at a time and checks after each
 * that no more runs than may run and that two leaders never trust themselves.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus/bus.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "scheduler/beat.h"
#include "scheduler/dispatch.h"
#include "scheduler/leader.h"

enum { ISSUERS_MAX = 12, JOBS_MAX = 12288, WORKERS_MAX_SIM = 4, SCHEDS = 2 };
enum { HELD_MAX = 8, INBOX_MAX = 64 };

enum job_state { JOB_PENDING, JOB_RUNNING, JOB_DONE };
struct sim_job {
	enum job_state state;
	size_t issuer;
	int64_t run_after;
	int64_t lease;
	char worker[32];
	int times_done;
	int64_t done_ms;
};

struct sim_issuer {
	const char *id; /* "" are tasks */
	const char *type;
	size_t cap;
	int64_t lease_ms;      /* what a lease takes a worker */
	int64_t away_until_ms; /* its calls fail until then */
	int calls;             /* that ended, well or not */
	/* its lane's row, as lane_failed and jobs_claim keep it */
	enum { LANE_CLOSED, LANE_OPEN, LANE_HALF_OPEN } breaker;
	int failures;
	int opens;
	int64_t opened_until_ms;
	int64_t trial_lease;
};

struct sim_held {
	int64_t lease;
	int64_t until_ms;
};

struct world;

struct sim_worker {
	bool is_alive;
	bool is_frozen;
	int generation;
	char name[32];
	int64_t lease_until_ms; /* its row */
	int64_t back_ms;        /* dead: starts again then */
	size_t slots;
	struct sim_held held[HELD_MAX];
	size_t nheld;
	bool is_asking;
	int64_t asked_ms;
	uint64_t reply_to;
	int sched; /* whom it asked */
	uint32_t pipe[SCHEDS];
};

struct inbox_item {
	enum { IN_REQUEST, IN_CLOSED, IN_HINT } what;
	uint64_t reply_to;
	uint32_t pipe;
	char body[512];
};

struct bus_server { /* the world's own: the real one is not linked */
	struct world *world;
	int sched;
};

struct sim_sched {
	struct world *world;
	int index;
	bool is_alive;
	bool is_frozen;
	int generation;
	int64_t back_ms;
	char incarnation[32];
	struct loop *loop;
	struct db_pool *pool;
	struct db_pool *leader_pool;
	struct bus_server bus;
	struct leader *leader;
	struct beat *beat;
	struct dispatch *dispatch;
	/* its last beat */
	int64_t beat_ms;
	uint64_t beat_term;
	struct inbox_item inbox[INBOX_MAX]; /* while it is frozen */
	size_t ninbox;
};

struct world {
	int64_t now_ms;
	uint32_t seed;
	/* rows */
	uint64_t term;
	char holder[32];
	int64_t expires_ms;
	struct sim_issuer issuers[ISSUERS_MAX];
	size_t nissuers;
	struct sim_job jobs[JOBS_MAX];
	size_t njobs;
	int64_t last_lease;
	/* processes */
	struct sim_sched scheds[SCHEDS];
	struct sim_worker workers[WORKERS_MAX_SIM];
	size_t nworkers;
	uint64_t last_reply_to;
	uint32_t last_pipe;
	/* settings */
	size_t permits;
	size_t batch;
	int drop_replies;       /* so many of the next */
	int lose_claims;        /* so many of the next commit, unanswered */
	int64_t late_claim_ms;  /* the next claim's answer takes so long */
	int64_t late_holds_ms;  /* every renewal's answer takes so long */
	unsigned fault_percent; /* of replies and statements that are lost */
	/* what was seen */
	int claims;
	int looks;
	int refused;      /* statements of a term that is over */
	int freed;        /* leases */
	int freed_held;   /* of which a live worker was holding */
	int dead_grants;  /* leases that were gone when they arrived */
	int lost_commits; /* completions under a lease that was gone */
	int timeouts;     /* requests nobody answered in time */
	size_t most_running;
	int leaders;    /* changes of leader */
	int64_t led_ms; /* the last one */
};

struct world *world_new(void);
void world_free(struct world *w);
/* Returns the issuer's index. */
size_t world_issuer(struct world *w, const char *id, const char *type,
    size_t cap, int64_t lease_ms);
void world_jobs(struct world *w, size_t issuer, size_t n);
/* A hint to the leader: something of the issuer, due at run_after. */
void world_hint(struct world *w, size_t issuer, int64_t run_after);
/* Parked: due only in wait_ms. */
void world_parked(struct world *w, size_t issuer, size_t n, int64_t wait_ms);
void world_worker(struct world *w, size_t slots);
void world_sched_start(struct world *w, int index);
void world_run(struct world *w, int64_t ms);
/* Runs until all jobs are done; false when that takes longer than max_ms. */
bool world_drain(struct world *w, int64_t max_ms);
size_t world_left(const struct world *w);
/* The scheduler that leads by the row; -1: none. */
int world_leader(const struct world *w);
/* kill -9; it is started again after back_ms (< 0: never). */
void world_sched_kill(struct world *w, int index, int64_t back_ms);
/* SIGSTOP and SIGCONT. */
void world_sched_freeze(struct world *w, int index);
void world_sched_thaw(struct world *w, int index);
void world_worker_kill(struct world *w, size_t index, int64_t back_ms);
void world_worker_freeze(struct world *w, size_t index);
void world_worker_thaw(struct world *w, size_t index);
uint32_t world_rand(struct world *w, uint32_t bound);

/* world_db.c: the rules of the pools of one scheduler. */
void world_db_rules(struct sim_sched *s);
/* A worker's commit: what is still under that lease is done; or, when its
 * issuer is away, waits for another attempt. */
void world_db_complete(struct world *w, struct sim_worker *worker,
    int64_t lease);
bool world_db_is_live(const struct world *w, int64_t lease);

#endif
