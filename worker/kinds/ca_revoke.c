/*
 * ca_revoke: tells a CA outside of this process that a certificate is revoked
 * (RFC 5280 section 5.3.1 has the reasons).
 *
 * The task stands since the transaction that revoked, and ends when the CA
 * confirmed: a worker that dies in between leaves it to the next, and a CA that
 * was told before confirms as well.  It goes through the issuer's lane as
 * orders do.  No failure ends it; people are told meanwhile.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "common/pki/cert/crl.h"
#include "worker/kinds/kind.h"

#define ANSWER_SLACK_MS 2000

struct told { /* state of the task's op */
	struct op *op;
	struct issuer_revocation what;
	bool has_answer;
	struct issuer_answer answer; /* its texts live in the op's arena */
};

static op_step revoke_known;
static op_step revoke_answered;

static struct told *
state(struct op *op)
{
	return op_state(op, sizeof(struct told));
}

enum op_next
ca_revoke_begin(struct op *op)
{
	struct task *t = op_owner(op);

	return OP_QUERY(op, Q_REVOCATION_BEGIN, revoke_known,
	    lease_incarnation(t->env->lease), t->lease_text, t->id);
}

static enum op_next
end(struct op *op, const char *outcome, const char *said, int64_t wait_s)
{
	struct task *t = op_owner(op);

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	log_info("REVOCATION", "%s at issuer %s: %s%s%s",
	    state(op)->what.serial, t->issuer_id, outcome, said[0] ? ": " : "",
	    said);
	return OP_QUERY(op, Q_REVOCATION_END, task_stored,
	    lease_incarnation(t->env->lease), t->lease_text, t->id, outcome,
	    said, op_printf(op, "%" PRId64, wait_s * 1000));
}

static void
on_answer(void *arg, const struct issuer_answer *answer)
{
	struct told *r = arg;

	r->answer = *answer;
	r->has_answer = true;
	op_wake(r->op);
}

static void
read_revocation(struct op *op, struct told *r)
{
	r->op = op;
	r->what = (struct issuer_revocation){
	    .certificate_id = op_text(op, 0, "certificate_id"),
	    .order_id = op_text(op, 0, "order_id"),
	    .serial = op_text(op, 0, "serial_number"),
	    .pem = op_text(op, 0, "pem"),
	    .reason = op_text(op, 0, "reason"),
	    .was_pending = op_bool(op, 0, "was_pending"),
	};
	r->what.reason_code = crl_reason(r->what.reason);
}

static enum op_next
revoke_known(struct op *op)
{
	struct task *t = op_owner(op);
	struct told *r = state(op);
	const struct issuer_ops *ops;
	const char *why = "";
	void *call;
	rc ret;

	if (op_rows(op) == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	if (strcmp(op_text(op, 0, "outcome"), "go") != 0)
		return op_done(op); /* put off until the lane lets it through */
	read_revocation(op, r);
	ops = issuer_find(t->env->issuers, op_text(op, 0, "type"));
	if (!ops)
		return end(op, "unable",
		    "this worker knows no issuers of that type", 0);
	if (!ops->revoke)
		return end(op, "by_hand", "", 0);
	ret = ops->open(ops, &t->env->issuer, op_arena(op),
	    op_text(op, 0, "config"), NULL, &call, &why);
	if (ret != RC_OK)
		return end(op, "unable", why, 0);
	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	fault_point("worker.revoke.before");
	ret = ops->revoke(call, &r->what, on_answer, r);
	if (ret != RC_OK)
		return end(op, "unable", "the CA could not be called", 0);
	task_wait(t, true);
	fault_point("worker.revoke.sent");
	return op_park(op, ISSUER_ASK_MS + ANSWER_SLACK_MS, revoke_answered);
}

static enum op_next
revoke_answered(struct op *op)
{
	struct told *r = state(op);
	const char *words = r->answer.words ? r->answer.words : "";

	task_wait(op_owner(op), false);
	fault_point("worker.revoke.answered");
	if (!r->has_answer)
		return end(op, "silent", "no answer came in time", 0);
	switch (r->answer.verdict) {
	case ISSUER_DONE:
		return end(op, "confirmed", words, 0);
	case ISSUER_PENDING:
		return end(op, "pending", words, r->answer.retry_after_s);
	case ISSUER_REFUSED:
	case ISSUER_NO_ORDER:
		return end(op, "refused", words, r->answer.retry_after_s);
	case ISSUER_ISSUED:
	case ISSUER_ENDED:
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
		break;
	}
	return end(op, "silent", words, r->answer.retry_after_s);
}
