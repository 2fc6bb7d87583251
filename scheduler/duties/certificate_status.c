/*
 * Certificates whose status no longer says what is true: expiring, expired,
 * or in progress with no job.
 */
#include "scheduler/duties/duties.h"

static op_step certificate_status_done;

enum op_next
duty_certificate_status(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_CERTIFICATE_STATUS, certificate_status_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT);
}

static enum op_next
certificate_status_done(struct op *op)
{
	/* Rows are counted that changed, of those that were looked at: only
	 * none at all says that nothing is left. */
	return duty_next_chunk(op, 1, duty_certificate_status);
}
