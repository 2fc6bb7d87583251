/*
 * An order is placed: the intent is committed, then the request leaves, and
 * what the CA answers is judged.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "worker/kinds/outside.h"

#define SEND_MARGIN_MS 1000

static op_step outside_placed;
static op_step outside_answered;

enum op_next
outside_place(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	const struct certprofile *profile;

	if (!issue_rules_allow(op, o->job) ||
	    !issue_read_profile(op, o->job, &profile))
		return op_goto(op, issue_finish);
	if (o->job->is_cancelled ||
	    lease_is_cancelled(b->env->lease, o->job->id))
		return outside_aside(op, ASIDE_CANCEL,
		    "cancelled before it was ordered");
	ISSUE_TRUST_OR_RETURN(op, b);
	o->intent_ms = loop_now_ms(b->env->loop);
	return OP_QUERY(op, Q_ISSUE_PLACING, outside_placed, b->worker,
	    b->lease_text, o->job->id, op_printf(op, "%d", OUTSIDE_SEND_MS),
	    op_printf(op, "%" PRId64,
		b->outside->limit_ms(o->call) + OUTSIDE_SLACK_MS));
}

static enum op_next
outside_placed(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	int64_t took_ms = loop_now_ms(b->env->loop) - o->intent_ms;
	rc ret;

	if (op_rows(op) == 0) {
		o->job->fate = ISSUE_LOST;
		return op_goto(op, issue_finish);
	}
	if (strcmp(op_text(op, 0, "outcome"), "held") == 0)
		return outside_aside(op, ASIDE_HELD,
		    "given back before it was ordered: somebody's open "
		    "transaction held its row");
	if (strcmp(op_text(op, 0, "outcome"), "placing") != 0)
		return outside_aside(op, ASIDE_CANCEL,
		    "cancelled before it was ordered");
	o->job->is_open = true;
	fault_point("worker.outside.placing");
	/* The last moment at which it is still certain that nothing left. */
	ISSUE_TRUST_OR_RETURN(op, b);
	if (took_ms > OUTSIDE_SEND_MS - SEND_MARGIN_MS) {
		o->job->is_open = false;
		return outside_aside(op, ASIDE_RELEASE, NULL);
	}
	o->has_answer = false;
	ret = b->outside->place(o->call, outside_on_answer, o);
	if (ret != RC_OK) {
		o->job->is_open = false;
		return outside_host_fault(op,
		    op_printf(op, "the order could not be sent: %s",
			strerror(errno)));
	}
	o->was_placed = true;
	outside_wait(op, true);
	fault_point("worker.outside.sent");
	return op_park(op, b->outside->limit_ms(o->call) + OUTSIDE_SLACK_MS,
	    outside_answered);
}

static enum op_next
outside_answered(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);

	outside_wait(op, false);
	if (!o->has_answer)
		o->answer = (struct issuer_answer){
		    .verdict = ISSUER_UNSURE,
		    .words = "no answer came in time",
		};
	switch (o->answer.verdict) {
	case ISSUER_ISSUED:
		return outside_accept(op);
	case ISSUER_PENDING:
		log_info("ORDER-PENDING", "%s: %s", o->job->id,
		    o->answer.order_id);
		return outside_pending(op, 0);
	case ISSUER_REFUSED:
		o->job->is_open = false;
		return outside_aside(op, ASIDE_FAIL,
		    op_printf(op, "the CA refused: %s", o->answer.words));
	case ISSUER_RETRY:
		o->job->is_open = false;
		outside_order_again(op, o->answer.retry_after_s);
		return outside_aside(op, ASIDE_REFUSE,
		    op_printf(op, "the CA refused: %s", o->answer.words));
	case ISSUER_UNSURE:
	case ISSUER_ENDED:
	case ISSUER_NO_ORDER:
	case ISSUER_LISTED:
	case ISSUER_DONE:
		break;
	}
	o->unsure_words = o->answer.words;
	log_warn("ORDER-UNSURE", "%s: %s", o->job->id, o->answer.words);
	if (b->outside->can_look_up(o->call))
		return op_goto(op, outside_look_up);
	return outside_uncertain(op, o->answer.words);
}
