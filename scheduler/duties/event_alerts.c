/*
 * Notifications of what the audit trail tells of: renewals, deployments,
 * revocations.  Only rows are made here; notification_dispatch has them sent.
 */
#include "common/policy/event_words.h"
#include "scheduler/duties/duties.h"

/* Events that are read at once; most are none that anybody is told of. */
#define EVENTS "5000"

static op_step alerts_done;

enum op_next
duty_event_alerts(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_EVENT_ALERTS, alerts_done,
	    duty_incarnation(op), duty_term(op), EVENTS, EVENT_WORDS_JSON);
}

static enum op_next
alerts_done(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	duty_add_rows(op, op_i64(op, 0, "rows"));
	if (!op_bool(op, 0, "is_more") || duty_is_over(op))
		return op_done(op);
	return op_goto(op, duty_event_alerts);
}
