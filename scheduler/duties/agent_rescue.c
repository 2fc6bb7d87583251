/*
 * Deployments in the hands of agents that are gone: waiting again when the
 * agent is offline, Failed when it was retired.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>

static op_step agent_rescue_done;

enum op_next
duty_agent_rescue(struct op *op)
{
	int64_t ms = duty_opts(op)->settings.agent_rescue_ms;

	return OP_QUERY(op, Q_DUTY_AGENT_RESCUE, agent_rescue_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT,
	    op_printf(op, "%" PRId64, ms));
}

static enum op_next
agent_rescue_done(struct op *op)
{
	return duty_next_chunk(op, DUTY_CHUNK, duty_agent_rescue);
}
