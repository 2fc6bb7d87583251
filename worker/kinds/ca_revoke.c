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
#include "worker/kinds/ca_call.h"

struct told { /* state of the task's op */
	struct issuer_revocation what;
	struct ca_call call;
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
read_revocation(struct op *op, struct told *r)
{
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

static rc
revoke(struct ca_call *c, void *opened)
{
	rc ret;

	fault_point("worker.revoke.before");
	ret = c->ops->revoke(opened, c->arg, ca_call_answer, c);
	if (ret == RC_OK)
		fault_point("worker.revoke.sent");
	return ret;
}

static enum op_next
revoke_known(struct op *op)
{
	struct task *t = op_owner(op);
	struct told *r = state(op);
	const struct issuer_ops *ops;

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
	r->call.ops = ops;
	r->call.config = op_text(op, 0, "config");
	r->call.ask = revoke;
	r->call.arg = &r->what;
	r->call.then = revoke_answered;
	return ca_call_start(op, &r->call);
}

static enum op_next
revoke_answered(struct op *op)
{
	const struct ca_call *c = &state(op)->call;
	const char *words = c->answer.words;

	if (c->code == RC_NOT_FOUND)
		return end(op, "by_hand", "", 0);
	if (c->code != RC_OK)
		return end(op, "unable", c->why, 0);
	fault_point("worker.revoke.answered");
	if (!c->has_answer)
		return end(op, "silent", "no answer came in time", 0);
	switch (c->answer.verdict) {
	case ISSUER_DONE:
		return end(op, "confirmed", words, 0);
	case ISSUER_PENDING:
		return end(op, "pending", words, c->answer.retry_after_s);
	case ISSUER_REFUSED:
	case ISSUER_NO_ORDER:
		return end(op, "refused", words, c->answer.retry_after_s);
	case ISSUER_ISSUED:
	case ISSUER_ENDED:
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
	case ISSUER_LISTED:
		break;
	}
	return end(op, "silent", words, c->answer.retry_after_s);
}
