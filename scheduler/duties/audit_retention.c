/*
 * Whole months of audit events that are old enough and sealed.  One month a
 * run; a lock that is not free at once is tried again at the next tick.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>
#include <string.h>

#include "common/log/log.h"

static op_step audit_retention_done;

enum op_next
duty_audit_retention(struct op *op)
{
	int64_t ms = duty_setting(op, "audit_retention");

	return OP_QUERY(op, Q_DUTY_AUDIT_RETENTION, audit_retention_done,
	    duty_incarnation(op), duty_term(op), op_printf(op, "%" PRId64, ms));
}

static enum op_next
audit_retention_done(struct op *op)
{
	const char *outcome, *partition;

	if (op_rows(op) == 0)
		return duty_term_over(op);
	outcome = op_text(op, 0, "outcome");
	partition = op_text(op, 0, "partition");
	if (strcmp(outcome, "unsealed") == 0)
		return op_fail(op, RC_CONFLICT,
		    "%s is old enough to go but not sealed yet; see why "
		    "sealing is behind",
		    partition);
	if (strcmp(outcome, "removed") == 0) {
		duty_add_rows(op, 1);
		log_info("AUDIT-RETENTION", "%s removed", partition);
	}
	return op_done(op);
}
