/*
 * Answers kept for repeated requests (Idempotency-Key), a day after they were
 * given.
 */
#include "scheduler/duties/duties.h"

static op_step idempotency_cleanup_done;

enum op_next
duty_idempotency_cleanup(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_IDEMPOTENCY_CLEANUP,
	    idempotency_cleanup_done, duty_incarnation(op), duty_term(op),
	    DUTY_CHUNK_TEXT);
}

static enum op_next
idempotency_cleanup_done(struct op *op)
{
	return duty_next_chunk(op, DUTY_CHUNK, duty_idempotency_cleanup);
}
