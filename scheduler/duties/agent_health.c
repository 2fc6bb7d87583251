/*
 * Agents that were not heard for too long are Offline.  One statement.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>

static op_step agent_health_done;

enum op_next
duty_agent_health(struct op *op)
{
	int64_t ms = duty_opts(op)->settings.agent_offline_ms;

	return OP_QUERY(op, Q_DUTY_AGENT_HEALTH, agent_health_done,
	    duty_incarnation(op), duty_term(op), op_printf(op, "%" PRId64, ms));
}

static enum op_next
agent_health_done(struct op *op)
{
	/* No chunks: a count never reaches this one. */
	return duty_next_chunk(op, INT64_MAX, duty_agent_health);
}
