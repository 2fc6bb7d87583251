/*
 * Deployments for targets that should serve another version than they do, so
 * that a failed deployment is never the last word.
 */
#include "scheduler/duties/duties.h"

static op_step redeploy_done;

enum op_next
duty_redeploy(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_REDEPLOY, redeploy_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT);
}

static enum op_next
redeploy_done(struct op *op)
{
	if (op_rows(op) > 0)
		duty_wake_agents(op, op_text(op, 0, "agents"));
	return duty_next_chunk(op, DUTY_CHUNK, duty_redeploy);
}
