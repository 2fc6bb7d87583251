/*
 * Rows of processes that ended long ago, and partitions for the audit events
 * of the months to come.  One statement.
 */
#include "scheduler/duties/duties.h"

static op_step process_rows_done;

enum op_next
duty_process_rows(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_PROCESS_ROWS, process_rows_done,
	    duty_incarnation(op), duty_term(op));
}

static enum op_next
process_rows_done(struct op *op)
{
	return duty_next_chunk(op, INT64_MAX, duty_process_rows);
}
