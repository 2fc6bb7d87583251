/*
 * ca_call: one call of a task to a CA outside of this process that places no
 * order: its connector is opened, with the key of the issuer's account where it
 * wants one, and asked, and the op waits for what it says.
 *
 * The task's own state is still its op's; this hangs on the task.
 */
#ifndef WORKER_KINDS_CA_CALL_H
#define WORKER_KINDS_CA_CALL_H

#include "worker/kinds/kind.h"

struct ca_call { /* in the op's arena */
	/* what the caller says */
	const struct issuer_ops *ops;
	const char *config; /* of the issuer, JSON */
	/* Begins the call to what was opened; the answer goes to ca_call_answer
	 * with the ca_call.  As the functions of issuer_ops. */
	rc (*ask)(struct ca_call *c, void *opened);
	void *arg; /* for ask */
	op_step *then;
	/* what then sees */
	rc code; /* RC_OK: it was asked; else why it was not */
	const char *why;
	bool has_answer;
	struct issuer_answer answer; /* its texts live in the op's arena */
	/* ours */
	struct op *op;
	struct issuer_order order; /* of which the account alone is said */
};

/* Of a task's op.  c is kept by the task until the op ends. */
enum op_next ca_call_start(struct op *op, struct ca_call *c);
/* An issuer_answer_fn. */
void ca_call_answer(void *arg, const struct issuer_answer *answer);

#endif
