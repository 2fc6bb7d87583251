/*
 * Waits that lasted too long: a job without a CSR fails, one that nobody
 * approved is cancelled.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>

static op_step job_timeouts_done;

enum op_next
duty_job_timeouts(struct op *op)
{
	const struct duty_settings *s = &duty_opts(op)->settings;

	return OP_QUERY(op, Q_DUTY_JOB_TIMEOUTS, job_timeouts_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT,
	    op_printf(op, "%" PRId64, s->csr_timeout_ms),
	    op_printf(op, "%" PRId64, s->approval_timeout_ms));
}

static enum op_next
job_timeouts_done(struct op *op)
{
	return duty_next_chunk(op, DUTY_CHUNK, duty_job_timeouts);
}
