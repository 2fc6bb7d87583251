/*
 * duty: runs the table of periodic work, on the leader only.
 *
 * Each duty has an interval, moved by +-10 % at every tick, and a bound on
 * its run time.  A tick that finds the last run still going is skipped, and
 * missed ticks are not made up; one that failed is repeated soon, and later
 * each time.  The duties table says of each when it ran,
 * how that went and when it is due next, so that a new leader goes on where
 * the last one was and does not run everything at once; a duty that never ran
 * is due at once, and one somebody asked for (duties.run_requested_at) within
 * a second.  So is one that has work which can't wait for its next tick
 * (duty_cannot_wait); it keeps that tick.  One that its condition keeps off is
 * in the table with the reason, and never runs.
 *
 * A run is an op; its first step gets the term from duty_params() and ends
 * with duty_term_over() when a statement answers with no row.
 */
#ifndef SCHEDULER_DUTY_H
#define SCHEDULER_DUTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/op/op.h"
#include "scheduler/leader.h"

#define DUTY_JITTER_PERCENT 10
/* Runs at once; the pool of duties has a connection for each. */
#define DUTY_RUNNING_MAX 2

#define DUTY_SETTINGS_MAX 2

/* When a duty that is one statement runs it again. */
enum duty_repeat {
	DUTY_ONCE,
	DUTY_WHILE_FULL, /* the count "rows" fills the chunk */
	DUTY_WHILE_ANY,  /* "rows" is not 0 */
	DUTY_GENTLY      /* "is_more", after a pause */
};

struct duty_def {
	const char *name;
	/* The configuration key that it comes from; 0, where that may be,
	 * keeps the duty off. */
	const char *interval;
	int64_t timeout_ms; /* of a run; 0: the interval */
	op_step *first;
	/* For duty_statement. */
	enum query q;
	int64_t chunk; /* rows at most; 0: the statement takes no number */
	enum duty_repeat repeat;
	bool wakes_agents;
	const char *settings[DUTY_SETTINGS_MAX]; /* keys of durations */
	/* The key of a duration or switch that keeps the duty off while it is
	 * 0, and what to say then; NULL: always on. */
	const char *needs;
	const char *why_off;
	int64_t keep_ms; /* a parameter after the settings; 0: none */
	bool says;       /* its last parameter are the words of job_words.h */
};

struct duties; /* defined in duty.c */

struct duty_opts {
	struct loop *loop;
	struct db_pool
	    *pool; /* theirs alone: one that ends what is forgotten */
	struct leader *leader;
	const char *incarnation; /* outlives the duties */
	const struct duty_def *table;
	size_t n;
	/* The duration of that configuration key, in ms. */
	int64_t (*setting)(void *arg, const char *key);
	/* An event for everybody: {"agents":[...]}. */
	void (*publish)(void *arg, const char *body, size_t len);
	/* Look at every lane. */
	void (*full_look)(void *arg);
	/* Leases running. */
	size_t (*running)(void *arg);
	void *arg;
};

struct duties *duties_new(const struct duty_opts *opts);
void duties_free(struct duties *ds);
void duties_start(struct duties *ds, uint64_t term);
/* Ends what runs. */
void duties_stop(struct duties *ds);
/* Runs that are going on. */
size_t duties_running(const struct duties *ds);

/* --- for the steps of a run --- */
const struct duty_opts *duty_opts(const struct op *op);
const struct duty_def *duty_def(const struct op *op);
/* A duration of the configuration, ms. */
int64_t duty_setting(const struct op *op, const char *key);
/* The first two parameters of every statement: incarnation, term. */
const char *duty_incarnation(const struct op *op);
const char *duty_term(const struct op *op);
/* Counts what the run has done. */
void duty_add_rows(struct op *op, int64_t rows);
int64_t duty_rows(const struct op *op);
/* Time since the start of the run, and its bound. */
int64_t duty_elapsed_ms(const struct op *op);
int64_t duty_budget_ms(const struct op *op);
/* It runs beside its ticks, for what can't wait. */
bool duty_is_woken(const struct op *op);
/* No more chunks are to be started. */
bool duty_is_over(const struct op *op);
/* The end of a run whose statement found the term over. */
enum op_next duty_term_over(struct op *op);
/* Wakes these agents; agents is a JSON array. */
void duty_wake_agents(struct op *op, const char *agents);

#endif
