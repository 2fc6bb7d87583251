/*
 * outside: one job of a CA outside, as the files of its steps see it.
 *
 * issue_outside.c reads the job's row and says which step is next:
 * outside_place.c orders, outside_look_up.c finds an order again,
 * outside_poll.c asks what became of one, or has it cancelled; outside_list.c
 * asks for all orders of a lease by one list.  outside.c has
 * the ends that they share.  The op's state is the batch (issue_batch.h); this
 * hangs on it, and lives in the op's arena.
 */
#ifndef WORKER_KINDS_OUTSIDE_H
#define WORKER_KINDS_OUTSIDE_H

#include "worker/kinds/issue_batch.h"

/* The request leaves so soon after the intent was sent to the database, or
 * not at all. */
#define OUTSIDE_SEND_MS 3000
/* What an answer may take beyond the limit. */
#define OUTSIDE_SLACK_MS 2000

struct outside_list; /* of outside_list.c */

/* What is known of an order that the CA has. */
struct outside_order {
	const char *id;
	int64_t polls;
	int64_t waited_ms; /* since it was taken */
};

struct outside { /* beside the batch, in the arena */
	struct op *op;
	struct issue_job *job;
	struct issuer_order order;
	void *call;
	int64_t intent_ms;  /* when the intent was sent to the database */
	int64_t look_up_ms; /* when the look-up began */
	const char *const *serials; /* that its answer listed, as stored */
	int64_t max_ttl_s;
	/* The database's time, and when that was: our own may jump. */
	int64_t now_unix, now_ms;
	const char *config, *order_state; /* of the job's row */
	bool was_placed;                  /* by this attempt */
	const char *unsure_words; /* why it is unknown what came of that */
	op_step *order_anew;      /* where a look-up found no order */
	bool is_last;             /* attempts are used up by one more failure */
	/* what is known of an order that the CA has */
	const char *order_id; /* "": nothing */
	int64_t polls;
	int64_t waited_ms; /* since it was taken */
	int64_t max_wait_s;
	struct outside_list *list; /* of a lease that is one list */
	bool is_waiting;           /* the slot was told so */
	bool has_answer;
	struct issuer_answer answer; /* words in the arena */
};

struct outside *outside_state(struct op *op);
struct issue_batch *outside_batch(struct op *op);

/* The first step of each file, by what is known of the job's order. */
op_step outside_place;
op_step outside_look_up;
op_step outside_poll;
op_step outside_list;
op_step outside_cancel;

/* From now on the op may take as long as the CA may, and storing. */
void outside_extend(struct op *op);
/* While it is waited for the CA no slot of the worker is held. */
void outside_wait(struct op *op, bool is_waiting);
/* As issuer_answer_fn, with the struct outside: wakes the op. */
issuer_answer_fn outside_on_answer;
/* The wait for an answer is over; who was asked for an order and said nothing
 * is asked again later. */
void outside_answer_or_none(struct op *op);

/* --- ends: what becomes of the job --- */

enum op_next outside_aside(struct op *op, enum issue_aside aside,
    const char *reason);
/* An order may exist, and nobody can say: a person looks. */
enum op_next outside_uncertain(struct op *op, const char *words);
/* Of an order that may exist the job may not simply end as Failed. */
enum op_next outside_retry(struct op *op, const char *reason);
/* This host cannot ask the CA; the job is another's. */
enum op_next outside_host_fault(struct op *op, const char *why);
/* The job waits until the CA is asked for this order again. */
enum op_next outside_park(struct op *op, enum issue_aside how,
    const char *order_id, int64_t polls, const struct issuer_answer *said);
/* Likewise a job of several, of which the CA said this. */
void outside_park_job(struct op *op, struct issue_job *j, enum issue_aside how,
    const struct outside_order *known, const struct issuer_answer *said);
/* No order of the job is left, and another may be placed after so long. */
void outside_order_again(struct op *op, int64_t retry_after_s);
/* By the answer: ISSUED, judged and stored. */
enum op_next outside_accept(struct op *op);
/* The CA has the order of the answer, which it was asked for so many times. */
enum op_next outside_pending(struct op *op, int64_t polls);
/* It had an order of the job, and it came to nothing: the job is over too, or
 * tried again by another order, which is safe since this one has ended. */
enum op_next outside_ended(struct op *op, const char *order_id);

#endif
