/*
 * outside_rig: one job of a CA outside, on a CA and a database that the test
 * plays: what is committed before anything leaves, and what was answered.
 */
#ifndef TESTS_UNIT_WORKER_OUTSIDE_RIG_H
#define TESTS_UNIT_WORKER_OUTSIDE_RIG_H

#include "tests/unit/check.h"
#include "tests/unit/worker/rig.h"

/* The database's time; what this host's clock says is of no account. */
#define OUTSIDE_NOW 1900000000

/* Of the test that runs; outside_begin clears it. */
struct outside_rig {
	struct rig *r;
	/* the database */
	const char *state;   /* of the order, as the checkpoint says */
	const char *outcome; /* of issue_placing; NULL: not ours any more */
	int64_t placing_ms;  /* how long it takes */
	const char *stored;  /* serial numbers, one a line */
	int lost_after;      /* rounds; 0: the job stays ours */
	bool is_last;
	int placings;
	char aside[16], error[512], open[64], order[512];
	const char *order_id; /* of the checkpoint */
	const char *note;     /* likewise; NULL: none */
	int polled;           /* times, so it says */
	int64_t waited_ms;
	char serial[41], pem[4096];
	/* the CA */
	const char *open_why; /* NULL: opens */
	bool can_look_up;
	rc place_code;
	int64_t delay_ms; /* < 0: no answer */
	struct issuer_answer placed, looked, poll;
	int places, look_ups, polls, cancels;
	/* A look-up that takes so many rounds more; what each lists, what was
	 * asked for that, and said to it: 't' and 'f', a certificate each. */
	int rounds;
	const char *const *serials;
	size_t nserials;
	char compared[256], told[16];
	bool placed_first; /* committed before it was sent */
	bool is_waiting;
};
extern struct outside_rig outside_t;

/* The CA that cancels orders, where fake does not. */
void outside_cancels(void);
/* A certificate for the job's request until then, PEM. */
const char *outside_pem(struct arena *a, int64_t not_after_unix);
struct issuer_answer outside_answer(enum issuer_verdict verdict,
    const char *pem, const char *words);
struct issuer_answer outside_pending_answer(const char *order_id,
    int64_t retry_after_s);
void outside_begin(void);
/* An order that the CA has, asked for so often since so long. */
void outside_begin_ordered(int polls, int64_t waited_ms);
/* How the op is told that its lease's slot is free. */
void outside_on_wait(void *owner, bool is_waiting);
void outside_run(void);
void outside_end(void);
/* What became of the job, and whether an order may exist. */
void outside_check_aside(const char *outcome, bool is_open, const char *words);
/* The milliseconds until the order is asked for again, whose id and polls are
 * those. */
int64_t outside_order_wait_ms(const char *order_id, int polls);
/* To 20 %, as the plan's jitter is. */
void outside_check_about(int64_t ms, int64_t about_ms);

#endif
