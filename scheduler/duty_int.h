/*
 * duty_int: what duty.c and duty_run.c share; nobody else includes it.
 */
#ifndef SCHEDULER_DUTY_INT_H
#define SCHEDULER_DUTY_INT_H

#include <stdbool.h>

#include "scheduler/duty.h"

struct duty {
	struct duties *all;
	const struct duty_def *def;
	const char *off; /* why it does not run, or NULL */
	int64_t interval_ms;
	struct timer *timer;
	int64_t due_ms; /* when the timer ends */
	struct op *op;  /* the run, or NULL */
	int64_t started_ms;
	int64_t rows;
	int64_t skipped; /* ticks, during this run */
	bool is_woken;   /* this run is beside the ticks */
	int failures;    /* in a row, counted to a limit */
	char term[24];   /* of the run */
};

struct duties {
	struct duty_opts o;
	bool is_on;
	uint64_t term;
	bool has_loaded; /* when each is due, in this term */
	struct timer *requests;
	struct db_req *load;
	size_t running;
	struct duty *items; /* o.n of them */
};

/* The bound on one run. */
int64_t duty_bound_ms(const struct duty *d);

#endif
