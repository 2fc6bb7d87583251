/*
 * ca_init: makes or opens the CA of an issuer as soon as it is configured, so
 * that the first certificate need not wait and a mistake is seen at once: the
 * issuer's test status says how it went.  Of a CA outside of the process the
 * configuration is looked at, and the CA is called where its connector can do
 * so without ordering anything.
 */
#include "common/log/log.h"
#include "worker/kinds/ca_call.h"

#define CA_POLL_MS 10

struct ca_init {
	rc code;
	const char *why;
	struct ca_call call;
};

static op_step ca_init_known;
static op_step ca_init_wait;
static op_step ca_init_answered;
static op_step ca_init_done;
static op_step ca_init_failed;

enum op_next
ca_init_begin(struct op *op)
{
	struct task *t = op_owner(op);

	if (t->issuer_id[0] == '\0')
		return op_fail(op, RC_NOT_IMPLEMENTED,
		    "the task names no issuer");
	/* Its configuration may be why the task was made. */
	local_ca_forget(t->env->cas, t->issuer_id);
	host_fault_clear(t->env->host, HOST_CA, t->issuer_id);
	host_fault_clear(t->env->host, HOST_SCRIPT, t->issuer_id);
	return OP_QUERY(op, Q_ISSUER_CONFIG, ca_init_known, t->issuer_id);
}

static enum op_next
report_failure(struct op *op, rc code, const char *why)
{
	struct task *t = op_owner(op);
	struct ca_init *c = op_state(op, sizeof(*c));

	c->code = code;
	c->why = op_printf(op, "%s", why);
	return OP_QUERY(op, Q_TASK_CA_INIT_FAILED, ca_init_failed,
	    lease_incarnation(t->env->lease), t->lease_text, t->id);
}

static enum op_next
report_success(struct op *op)
{
	struct task *t = op_owner(op);

	return OP_QUERY(op, Q_TASK_CA_INIT_DONE, ca_init_done,
	    lease_incarnation(t->env->lease), t->lease_text, t->id);
}

static rc
validate(struct ca_call *c, void *opened)
{
	return c->ops->validate(opened, ca_call_answer, c);
}

static enum op_next
ask(struct op *op, const struct issuer_ops *outside, const char *config)
{
	struct ca_init *c = op_state(op, sizeof(*c));

	c->call.ops = outside;
	c->call.config = config;
	c->call.ask = validate;
	c->call.then = ca_init_answered;
	return ca_call_start(op, &c->call);
}

static enum op_next
ca_init_answered(struct op *op)
{
	struct task *t = op_owner(op);
	struct ca_init *s = op_state(op, sizeof(*s));
	const struct ca_call *c = &s->call;
	const char *words = c->answer.words;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	if (c->code != RC_OK)
		return report_failure(op, c->code, c->why);
	if (!c->has_answer)
		return report_failure(op, RC_TIMEOUT,
		    "the CA did not answer in time");
	if (c->answer.verdict == ISSUER_DONE)
		return report_success(op);
	return report_failure(op,
	    c->answer.verdict == ISSUER_REFUSED ? RC_INVALID : RC_UNAVAILABLE,
	    op_printf(op, "the CA %s%s%s",
		c->answer.verdict == ISSUER_REFUSED
		    ? "refused the test"
		    : "did not say that it can be used",
		words[0] ? ": " : "", words));
}

static enum op_next
ca_init_known(struct op *op)
{
	struct task *t = op_owner(op);
	const struct issuer_ops *outside;
	const char *config, *why = "";
	rc ret;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	if (op_rows(op) == 0)
		return report_failure(op, RC_NOT_FOUND, "the issuer is gone");
	outside = issuer_find(t->env->issuers, op_text(op, 0, "type"));
	if (!outside)
		return op_goto(op, ca_init_wait);
	config = op_text(op, 0, "config");
	ret =
	    issuer_check(outside, &t->env->issuer, op_arena(op), config, &why);
	if (ret != RC_OK)
		return report_failure(op, ret, why);
	return outside->validate ? ask(op, outside, config)
				 : report_success(op);
}

static enum op_next
ca_init_wait(struct op *op)
{
	struct task *t = op_owner(op);
	struct local_ca *ca;
	const char *why;
	rc ret;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	ret = local_ca_get(t->env->cas, t->issuer_id, NULL, &ca, &why);
	switch (ret) {
	case RC_OK:
		local_ca_unref(ca);
		return report_success(op);
	case RC_BUSY:
	case RC_UNAVAILABLE:
	case RC_TIMEOUT:
		return op_sleep(op, CA_POLL_MS, ca_init_wait);
	default:
		return report_failure(op, ret, why);
	}
}

static enum op_next
ca_init_done(struct op *op)
{
	struct task *t = op_owner(op);

	if (op_rows(op) > 0)
		log_info("CA-READY", "issuer %s", t->issuer_id);
	return op_done(op);
}

static enum op_next
ca_init_failed(struct op *op)
{
	const struct ca_init *c = op_state(op, sizeof(*c));

	return op_fail(op, c->code, "%s", c->why);
}
