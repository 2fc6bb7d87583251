/*
 * op_int: an op from the inside.  op.c drives it; op_have.c says what it has.
 */
#ifndef COMMON_OP_OP_INT_H
#define COMMON_OP_OP_INT_H

#include "common/op/op.h"

enum op_wait {
	OP_WAIT_NONE, /* a step runs, or the op has ended */
	OP_WAIT_TURN, /* next runs on the next turn */
	OP_WAIT_DB,
	OP_WAIT_SLEEP,
	OP_WAIT_PARK,
};

/* Lives in its own arena, so one free ends all of it. */
struct op {
	struct op_env env;
	uint64_t id;
	struct arena *arena;
	int64_t deadline_at_ms;
	struct timer *deadline;
	struct timer *alarm; /* of sleep and park, made when first needed */

	enum op_wait wait;
	op_step *next;
	op_step *handler; /* op_catch, for the next wait only */
	bool has_ended;   /* no step runs any more, on_end comes or came */
	bool is_told;     /* on_end was called */
	rc code;
	const char *message;

	void *state;
	size_t state_size;
	struct arena_mark mark; /* of op_mark */
	bool woken;
	struct db_req *req; /* in flight */
	struct db_result **results;
	size_t nresults;
	const struct db_result *shown; /* op_show; NULL: the last result */
	size_t shown_from, nshown;
	void *lent; /* op_lend */
	rc caught;
	const struct db_error *error;
};

#endif
