/*
 * lanes: one lane an issuer, and one for tasks.
 *
 * A lane knows whether jobs of its issuer are due, how many of its batches
 * run (and may run), and a low-water key: the last job it handed out, behind
 * which the next claim starts, so that the dead rows of what was handed out
 * are never walked.  Lanes take turns, so that one issuer's backlog does not
 * keep the others waiting; a lane whose claim is under way is passed over.
 *
 * A lane may let through only some jobs, or none: its breaker is open, or its
 * rate is used up.  Those are passed over as well; the claim itself asks the
 * lane's row again, so what is known here only has to be nearly true.
 *
 * What is known of lanes comes from a look (lanes_look_*): the database's
 * answer for all of them.  A full look forgets the low-water keys first: jobs
 * that came back lie behind them.  The key of tasks stands until the look's
 * answer moves it, so that no claim walks what a full look has walked.
 *
 * A transaction that began earlier may commit later, and what it made due lies
 * behind the key of what was handed out meanwhile.  So who made something due
 * that somebody waits for says where it lies (lane_hint), and the key goes
 * back as far.
 */
#ifndef SCHEDULER_LANES_H
#define SCHEDULER_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "scheduler/permits.h"

/* The lane of tasks has this id; no issuer's is empty. */
#define LANE_TASKS ""
#define LANE_ALLOWS_ALL (-1)
/* Tasks a lease; the claim takes fewer of kinds that go alone. */
#define LANE_TASKS_BATCH 1000

struct lane { /* read; change it through the functions only */
	char *issuer_id;
	size_t batch; /* at most so many jobs a lease */
	bool is_due;
	bool is_open;   /* its breaker, or half-open */
	int64_t allows; /* so many jobs may go now; LANE_ALLOWS_ALL */
	bool is_claiming;
	bool is_seen; /* by the look under way */
	/* A claim was refused for its data: at most so many; 0: all. */
	size_t at_most;
	unsigned nempty; /* claims in a row that brought nothing */
	struct permits permits;
	bool is_moved;   /* the key, while a claim was under way */
	char *low_after; /* NULL: from the beginning; bytes compare as times */
	char *low_id;
	bool is_hinted;   /* since the last claim and look were sent */
	char *hint_after; /* the lowest since the claim was sent, or NULL */
};

struct lanes; /* defined in lanes.c */

/* batch: of issuers that sign in batches (the local CA). */
struct lanes *lanes_new(size_t batch);
void lanes_free(struct lanes *ls);
/* Nothing is known any more: a new term. */
void lanes_reset(struct lanes *ls);

/* The lane whose turn it is, those of n issuers passed over; NULL when none is
 * due, free and idle. */
struct lane *lanes_next(struct lanes *ls, char *const *without, size_t n);
/* A lane is due and has room, though its claim may be under way. */
bool lanes_have_due(const struct lanes *ls);
struct lane *lanes_find(struct lanes *ls, const char *issuer_id);
/* The most jobs a claim should ask for. */
size_t lane_limit(const struct lane *l);
bool lane_is_tasks(const struct lane *l);

/* A claim starts: RC_BUSY when the lane is full or claiming. */
rc lane_claim(struct lane *l) MUST_CHECK;
/* It brought a lease of n jobs; low keys may be NULL.  is_full: as many as
 * were asked for, so there may be more.  Keys that were set or forgotten since
 * the claim was sent stand: what they were moved back for lies behind it. */
void lane_claimed(struct lane *l, int64_t n, bool is_full,
    const char *low_after, const char *low_id);
/* It brought nothing. */
void lane_claim_empty(struct lane *l);
/* Nobody knows whether it brought a lease: its permit stays taken until a look
 * has counted. */
void lane_claim_unknown(struct lane *l);
/* It asked for n and was refused for what is stored of one of them: the next
 * asks for half; one alone is set aside by lane_is_careful's claim. */
void lane_claim_refused(struct lane *l, size_t n);
/* The next claim is for one job, which is set aside if it is refused. */
bool lane_is_careful(const struct lane *l);

/* Something of the lane that lies at after became due, and is committed. */
void lane_hint(struct lane *l, const char *after);

/* A look is sent; the keys to send with it, n of each, in the arena. */
struct lane_keys {
	size_t n;
	const char **issuer_ids;
	const char **low_afters;
	const char **low_ids;
};
void lanes_look_begin(struct lanes *ls, bool is_full, struct arena *a,
    struct lane_keys *out);
/* One row of its answer. */
struct lane_row {
	const char *issuer_id;
	const char *issuer_type;
	size_t cap;
	size_t running;
	bool is_due;
	bool is_open;
	int64_t allows;
};
void lanes_look_row(struct lanes *ls, const struct lane_row *row);
/* What a full look found to be the first that is due in a lane; NULL: none. */
void lanes_look_first(struct lanes *ls, const char *issuer_id,
    const char *low_after, const char *low_id);
/* Its end: lanes it did not name are gone. */
void lanes_look_end(struct lanes *ls);

#endif
