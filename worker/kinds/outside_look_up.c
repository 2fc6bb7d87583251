/*
 * An order that may exist is looked up by our reference, and adopted.
 */
#include <errno.h>
#include <string.h>

#include "common/log/log.h"
#include "worker/kinds/outside.h"

static op_step outside_looked;

enum op_next
outside_look_up(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	rc ret;

	ISSUE_TRUST_OR_RETURN(op, b);
	o->has_answer = false;
	ret = b->outside->look_up(o->call, outside_on_answer, o);
	if (ret != RC_OK)
		return outside_host_fault(op,
		    op_printf(op, "the order could not be looked up: %s",
			strerror(errno)));
	outside_wait(op, true);
	return op_park(op, ISSUER_ASK_MS + OUTSIDE_SLACK_MS, outside_looked);
}

static enum op_next
no_order(struct op *op)
{
	struct outside *o = outside_state(op);

	/* It is kept open: what was on its way when its time was over is
	 * looked for once more before anything is ordered again. */
	if (o->was_placed)
		return outside_aside(op, ASIDE_RETRY,
		    op_printf(op,
			"the order was not answered (%s), and the CA has no "
			"such order",
			o->unsure_words));
	log_info("ORDER-NONE", "%s: the CA has no such order, it is placed",
	    o->job->id);
	return op_goto(op, outside_place);
}

static enum op_next
outside_looked(struct op *op)
{
	struct outside *o = outside_state(op);

	outside_answer_or_none(op);
	switch (o->answer.verdict) {
	case ISSUER_ISSUED:
		log_info("ORDER-ADOPTED", "%s: %s", o->job->id,
		    o->order.reference);
		return outside_accept(op);
	case ISSUER_PENDING:
		log_info("ORDER-ADOPTED", "%s: %s, order %s", o->job->id,
		    o->order.reference, o->answer.order_id);
		return outside_pending(op, 0);
	case ISSUER_REFUSED:
	case ISSUER_ENDED:
		return outside_ended(op, o->order.reference);
	case ISSUER_NO_ORDER:
		return no_order(op);
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
	case ISSUER_DONE:
		break;
	}
	return outside_retry(op,
	    op_printf(op, "the order could not be looked up: %s",
		o->answer.words));
}
