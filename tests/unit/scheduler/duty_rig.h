/*
 * duty_rig: duties of a leader on a simulated clock, with a database of
 * scripts.
 *
 * What the test sets in the rig is what the database answers; what it reads
 * there is what was asked of it.  One rig at a time.
 */
#ifndef TESTS_UNIT_SCHEDULER_DUTY_RIG_H
#define TESTS_UNIT_SCHEDULER_DUTY_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scheduler/duty.h"

#define HOUR ((int64_t)3600 * 1000)

struct rig {
	struct loop *loop;
	struct db_pool *pool;
	struct leader *leader;
	struct duties *duties;
	const char *rows; /* of the duties table */
	bool is_term_over;
	bool is_away; /* the database, for what a duty asks of it */
	int registered;
	char offs[256];  /* reasons, as they were registered */
	char next[24];   /* planned, at the last begin */
	char skips[24];  /* of the last end */
	char error[256]; /* of the last end */
	int chunks;      /* of the job retention, left */
	int64_t run_ms;  /* how long a run takes */
	int begun, ended, lost;
	int64_t began_ms[512]; /* of the duty "one" */
	char outcome[32];      /* of the last end */
	char events[4096];
	int64_t chunks_left;
	int64_t chunk_enqueued;
	int64_t chunk_ms;
	int64_t left;
	int64_t rows_ended;
	int budgets; /* that were ended */
};

enum { RIG_ONE = 1, RIG_FOUR = 4 };

/* Tables of duties: those that take run_ms, and two of the real ones. */
extern const struct duty_def rig_one[RIG_ONE];
extern const struct duty_def rig_four[RIG_FOUR];
extern const struct duty_def rig_scan[RIG_ONE];
extern const struct duty_def rig_retention[RIG_ONE];
/* The setting that rig_retention needs; 0: it is off. */
extern int64_t rig_retention_ms;

/* Leads, with these duties.  rows: of the duties table. */
void rig_start(struct rig *r, const struct duty_def *table, size_t n,
    int64_t interval, const char *rows);
void rig_end(struct rig *r);

#endif
