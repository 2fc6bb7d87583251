/*
 * Certificate versions that ended long ago: all day, a little at a time.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>

static op_step version_retention_done;

const char *
duty_version_retention_off(const struct duty_settings *s)
{
	return s->version_retention_ms > 0
		   ? NULL
		   : "CERTCTL_VERSION_RETENTION is 0: expired versions are "
		     "kept for ever";
}

enum op_next
duty_version_retention(struct op *op)
{
	int64_t ms = duty_opts(op)->settings.version_retention_ms;

	return OP_QUERY(op, Q_DUTY_VERSION_RETENTION, version_retention_done,
	    duty_incarnation(op), duty_term(op), DUTY_GENTLE_TEXT,
	    op_printf(op, "%" PRId64, ms));
}

static enum op_next
version_retention_done(struct op *op)
{
	return duty_next_gently(op, duty_version_retention);
}
