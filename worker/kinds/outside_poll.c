/*
 * The CA is asked what became of an order that it has, or to cancel it.
 */
#include <errno.h>
#include <string.h>

#include "common/log/log.h"
#include "worker/kinds/outside.h"

static op_step outside_polled;
static op_step outside_cancelled;
static op_step outside_left;

/* The CA is asked about the order that it has; "next" sees its answer. */
static enum op_next
ask_about(struct op *op,
    rc (*ask)(void *, const char *, issuer_answer_fn *, void *), op_step *next)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	rc ret;

	ISSUE_TRUST_OR_RETURN(op, b);
	o->has_answer = false;
	ret = ask(o->call, o->order_id, outside_on_answer, o);
	if (ret != RC_OK)
		return outside_host_fault(op,
		    op_printf(op, "the CA could not be asked for order %s: %s",
			o->order_id, strerror(errno)));
	outside_wait(op, true);
	return op_park(op, ISSUER_ASK_MS + OUTSIDE_SLACK_MS, next);
}

enum op_next
outside_poll(struct op *op)
{
	return ask_about(op, outside_batch(op)->outside->poll, outside_polled);
}

/* What the CA has forgotten may still be there under our own reference. */
static enum op_next
forgotten(struct op *op)
{
	struct outside *o = outside_state(op);
	const char *words =
	    op_printf(op, "the CA does not know its order %s any more (%s)",
		o->order_id, o->answer.words);

	log_warn("ORDER-FORGOTTEN", "%s: %s", o->job->id, words);
	o->order_id = "";
	if (outside_batch(op)->outside->can_look_up(o->call))
		return op_goto(op, outside_look_up);
	return outside_uncertain(op, words);
}

static enum op_next
outside_polled(struct op *op)
{
	struct outside *o = outside_state(op);

	outside_answer_or_none(op);
	switch (o->answer.verdict) {
	case ISSUER_ISSUED:
		return outside_accept(op);
	case ISSUER_PENDING:
		return outside_pending(op, o->polls + 1);
	case ISSUER_REFUSED:
	case ISSUER_ENDED:
		return outside_ended(op, o->order_id);
	case ISSUER_NO_ORDER:
		return forgotten(op);
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
	case ISSUER_LISTED:
	case ISSUER_DONE:
		break;
	}
	return outside_park(op, ASIDE_SILENT, o->order_id, o->polls + 1,
	    &o->answer);
}

/* --- cancelling --- */

enum op_next
outside_cancel(struct op *op)
{
	const struct issue_batch *b = outside_batch(op);

	/* What it has issued by now is stored, whoever can cancel what. */
	return b->outside->cancel
		   ? ask_about(op, b->outside->cancel, outside_cancelled)
		   : ask_about(op, b->outside->poll, outside_left);
}

/* An order that this CA goes on with, whatever we want. */
static enum op_next
outside_left(struct op *op)
{
	const struct outside *o = outside_state(op);

	if (!o->has_answer || o->answer.verdict != ISSUER_PENDING)
		return outside_cancelled(op);
	outside_wait(op, false);
	return outside_aside(op, ASIDE_CANCEL,
	    op_printf(op,
		"cancelled; the CA has order %s still, which cannot be "
		"cancelled from here: cancel it at the CA, and revoke what it "
		"issued",
		o->order_id));
}

static enum op_next
outside_cancelled(struct op *op)
{
	struct outside *o = outside_state(op);

	if (o->has_answer && (o->answer.verdict == ISSUER_REFUSED ||
				 o->answer.verdict == ISSUER_ENDED ||
				 o->answer.verdict == ISSUER_NO_ORDER)) {
		outside_wait(op, false);
		o->job->is_open = false;
		return outside_aside(op, ASIDE_CANCEL,
		    op_printf(op, "cancelled, and order %s at the CA with it",
			o->order_id));
	}
	return outside_polled(op);
}
