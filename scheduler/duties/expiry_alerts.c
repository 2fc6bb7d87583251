/*
 * Notifications of certificates that passed one of their policy's thresholds,
 * in pieces.  Only rows are made here; notification_dispatch has them sent.
 */
#include "scheduler/duties/duties.h"

/* The messages, by format(): name, common name, end, threshold, days left. */
static const char words[] =
    "{\"expires\":\"Certificate %1$s (%2$s) expires in %5$s days, on %3$s UTC "
    "[threshold:%4$s]\",\"expired\":\"Certificate %1$s (%2$s) expired on %3$s "
    "UTC [threshold:%4$s]\"}";

static op_step alerts_next;
static op_step alerts_done;

static enum op_next
look(struct op *op, const char *is_first)
{
	return OP_QUERY(op, Q_DUTY_EXPIRY_ALERTS, alerts_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT, is_first,
	    words);
}

enum op_next
duty_expiry_alerts(struct op *op)
{
	return look(op, "t");
}

static enum op_next
alerts_next(struct op *op)
{
	return look(op, "f");
}

static enum op_next
alerts_done(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	duty_add_rows(op, op_i64(op, 0, "rows"));
	if (!op_bool(op, 0, "is_more") || duty_is_over(op))
		return op_done(op);
	return op_goto(op, alerts_next);
}
