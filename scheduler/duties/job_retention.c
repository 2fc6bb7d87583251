/*
 * Jobs that ended long ago, and tasks that failed: all day, a little at a time.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>

static op_step job_retention_done;

const char *
duty_job_retention_off(const struct duty_settings *s)
{
	return s->job_retention_ms > 0 ? NULL
				       : "CERTCTL_JOB_RETENTION is 0: finished "
					 "jobs are kept for ever";
}

enum op_next
duty_job_retention(struct op *op)
{
	int64_t ms = duty_opts(op)->settings.job_retention_ms;

	return OP_QUERY(op, Q_DUTY_JOB_RETENTION, job_retention_done,
	    duty_incarnation(op), duty_term(op), DUTY_GENTLE_TEXT,
	    op_printf(op, "%" PRId64, ms));
}

static enum op_next
job_retention_done(struct op *op)
{
	return duty_next_gently(op, duty_job_retention);
}
