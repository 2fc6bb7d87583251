#include "worker/kinds/ca_call.h"

#include "worker/kinds/issuer_account.h"

#define ANSWER_SLACK_MS 2000

static op_step call_account;
static op_step call_account_kept;
static op_step call_open;
static op_step call_answered;

static struct ca_call *
call_of(struct op *op)
{
	struct task *t = op_owner(op);

	return t->call;
}

static enum op_next
end(struct op *op, rc code, const char *why)
{
	struct ca_call *c = call_of(op);

	c->code = code;
	c->why = op_printf(op, "%s", why);
	return op_goto(op, c->then);
}

enum op_next
ca_call_start(struct op *op, struct ca_call *c)
{
	struct task *t = op_owner(op);

	t->call = c;
	c->op = op;
	c->why = "";
	if (c->ops->wants_account_key)
		return issuer_account_ask(op, t->issuer_id, call_account);
	return op_goto(op, call_open);
}

static enum op_next
open_account(struct op *op)
{
	struct task *t = op_owner(op);
	const char *why = "";
	rc ret;

	ret = issuer_account_open(op, t->env, t->issuer_id,
	    &t->call->order.account_key, &why);
	return ret == RC_OK ? op_goto(op, call_open) : end(op, ret, why);
}

static enum op_next
call_account(struct op *op)
{
	struct task *t = op_owner(op);
	const char *sealed, *why = "";
	rc ret;

	if (op_rows(op) > 0)
		return open_account(op);
	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	ret = issuer_account_make(op, t->env, t->issuer_id, &sealed, &why);
	if (ret != RC_OK)
		return end(op, ret, why);
	return issuer_account_keep(op, t->issuer_id, sealed, call_account_kept);
}

static enum op_next
call_account_kept(struct op *op)
{
	return open_account(op);
}

static enum op_next
call_open(struct op *op)
{
	struct task *t = op_owner(op);
	struct ca_call *c = t->call;
	const char *why = "";
	void *opened;
	rc ret;

	ret = c->ops->open(c->ops, &t->env->issuer, op_arena(op), c->config,
	    c->ops->wants_account_key ? &c->order : NULL, &opened, &why);
	if (ret != RC_OK)
		return end(op, ret, why);
	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	ret = c->ask(c, opened);
	if (ret != RC_OK)
		return end(op, ret, "the CA could not be called");
	task_wait(t, true);
	return op_park(op, ISSUER_ASK_MS + ANSWER_SLACK_MS, call_answered);
}

void
ca_call_answer(void *arg, const struct issuer_answer *answer)
{
	struct ca_call *c = arg;

	c->answer = *answer;
	c->has_answer = true;
	op_wake(c->op);
}

static enum op_next
call_answered(struct op *op)
{
	struct ca_call *c = call_of(op);

	task_wait(op_owner(op), false);
	if (!c->answer.words)
		c->answer.words = "";
	return op_goto(op, c->then);
}
