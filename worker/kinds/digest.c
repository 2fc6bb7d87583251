/*
 * digest: mails the state of the inventory.
 *
 * Without a recipient the task is the whole of one digest: it ends by leaving
 * a task for each recipient, so that one whose mail is refused gets no other
 * mailed twice.  What fails is tried again as any task is.
 */
#include <string.h>

#include "common/digest/digest.h"
#include "worker/kinds/kind.h"
#include "worker/notifiers/notifier.h"

#define SEND_MS 35000
#define STORE_MS 2000

struct digest {
	struct op *op;
	struct notice notice;
	bool has_answer;
	struct notifier_answer answer;
};

static op_step digest_send;
static op_step digest_answered;
static op_step digest_gone;

static struct digest *
state(struct op *op)
{
	return op_state(op, sizeof(struct digest));
}

static const char *
worker_of(struct op *op)
{
	struct task *t = op_owner(op);

	return lease_incarnation(t->env->lease);
}

static enum op_next
spread(struct op *op, const struct notifier_settings *s)
{
	struct task *t = op_owner(op);
	size_t n = 0;

	while (s->digest_recipients[n])
		n++;
	return OP_QUERY(op, Q_DIGEST_SPREAD, task_stored, worker_of(op),
	    t->lease_text, t->id,
	    db_text_array(op_arena(op), s->digest_recipients, n));
}

enum op_next
digest_begin(struct op *op)
{
	static const struct db_stmt stmts[] = DIGEST_STMTS;
	struct task *t = op_owner(op);
	const struct notifier_settings *s = t->env->notifier->settings;

	state(op)->op = op;
	if (!notifier_email.is_on(s))
		return op_fail(op, RC_NOT_IMPLEMENTED,
		    "mail is not configured: set %s for the workers",
		    notifier_email.needs);
	if (*t->subject == '\0')
		return spread(op, s);
	return op_batch(op, digest_send, ARRAY_LEN(stmts), stmts);
}

/* --- one recipient --- */

static void
on_answer(void *arg, const struct notifier_answer *answer)
{
	struct digest *d = arg;

	d->answer = *answer;
	d->has_answer = true;
	op_wake(d->op);
}

static void
make_notice(struct op *op, struct notice *n)
{
	struct task *t = op_owner(op);
	const struct db_result *r = op_result(op, 0);

	n->id = t->id;
	n->type = n->subject = "certctl digest";
	n->severity = "informational";
	n->recipient = t->subject;
	n->certificate_id = n->created_at = "";
	n->now_unix = db_i64(r, 0, db_col(r, "now_unix"));
	n->total = 1;
	n->text = digest_text(op);
	n->html = digest_html(op);
}

static enum op_next
digest_send(struct op *op)
{
	struct task *t = op_owner(op);
	struct digest *d = state(op);
	const char *why = "";
	rc ret;

	if (!digest_is_known(op))
		return op_fail(op, RC_UNAVAILABLE, DIGEST_UNKNOWN);
	make_notice(op, &d->notice);
	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	if (op_left_ms(op) < SEND_MS)
		return op_fail(op, RC_IO, "there is no time left to send it");
	ret = notifier_send(t->env->notifier, op_arena(op), &notifier_email,
	    &d->notice, on_answer, d, &why);
	if (ret == RC_BUSY)
		return op_fail(op, RC_IO,
		    "the mail server has as much under way as it is given at "
		    "once");
	if (ret != RC_OK)
		return op_fail(op, RC_NOT_IMPLEMENTED, "%s", why);
	task_wait(t, true);
	return op_park(op, op_left_ms(op) - STORE_MS, digest_answered);
}

static enum op_next
digest_answered(struct op *op)
{
	struct task *t = op_owner(op);
	const struct digest *d = state(op);

	task_wait(t, false);
	if (!d->has_answer)
		return op_fail(op, RC_TIMEOUT, "no answer came in time");
	if (d->answer.verdict != NOTIFIER_SENT)
		return op_fail(op,
		    d->answer.verdict == NOTIFIER_NEVER ? RC_NOT_IMPLEMENTED
							: RC_UNAVAILABLE,
		    "%s", d->answer.words);
	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	return OP_QUERY(op, Q_TASKS_DONE, digest_gone, worker_of(op),
	    t->lease_text, db_text_array(op_arena(op), &t->id, 1));
}

static enum op_next
digest_gone(struct op *op)
{
	return op_done(op);
}
