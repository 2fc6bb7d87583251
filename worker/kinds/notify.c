/*
 * notify: sends one message, of one notification or of many.
 *
 * The message was put together before (the duty notification_dispatch) and
 * keeps its id, which is the task's, until it is sent or given up: whoever
 * sends it again after a crash sends the same under the same id, so that a
 * receiver can tell.  That it was sent is committed only once the receiver
 * said so; a worker that dies in between leaves it to another, and what was
 * sent may be sent twice, but never lost.
 *
 * While the receiver takes its time this op holds no slot (see slots.h).
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/log/log.h"
#include "worker/kinds/kind.h"
#include "worker/notifiers/notifier.h"

#define LINES "100" /* messages that are loaded of those it is about */
#define ROOM_MS 200
/* What sending and storing may take; waiting for room ends before. */
#define SEND_MS 35000
#define RETRY_MS 100
#define STORE_MS 2000 /* the end is not tried any more */

struct notify {
	struct op *op;
	struct notice notice;
	const struct notifier_ops *ops;
	const char *channel;
	bool is_sending, has_answer;
	struct notifier_answer answer;
};

static op_step notify_loaded;
static op_step notify_send;
static op_step notify_answered;
static op_step notify_store;
static op_step notify_stored;
static op_step notify_not_stored;

static struct notify *
state(struct op *op)
{
	return op_state(op, sizeof(struct notify));
}

enum op_next
notify_begin(struct op *op)
{
	struct task *t = op_owner(op);

	state(op)->op = op;
	return OP_QUERY(op, Q_NOTIFICATION_LOAD, notify_loaded,
	    lease_incarnation(t->env->lease), t->lease_text, t->id, LINES);
}

/* --- what is to be said --- */

static enum op_next
settle(struct op *op, enum notifier_verdict verdict, const char *words)
{
	state(op)->answer = (struct notifier_answer){
	    .verdict = verdict,
	    .words = words,
	};
	return op_goto(op, notify_store);
}

static void
read_notice(struct op *op, struct notice *n)
{
	struct task *t = op_owner(op);
	const char **lines;
	char *created = arena_alloc(op_arena(op), 32);

	clock_format_rfc3339(op_i64(op, 0, "created_us"), created);
	n->id = t->id;
	n->type = op_text(op, 0, "type");
	n->severity = op_text(op, 0, "severity");
	n->recipient = op_text(op, 0, "recipient");
	n->created_at = created;
	n->now_unix = op_i64(op, 0, "now_unix");
	n->total = (size_t)op_i64(op, 0, "total");
	n->certificate_id =
	    n->total == 1 ? op_text(op, 0, "certificate_id") : "";
	n->n = op_rows(op);
	lines = arena_alloc(op_arena(op), n->n * sizeof(*lines));
	for (size_t i = 0; i < n->n; i++)
		lines[i] = op_text(op, i, "message");
	n->lines = lines;
}

static enum op_next
notify_loaded(struct op *op)
{
	struct task *t = op_owner(op);
	struct notify *s = state(op);

	/* Read, or asked for anew, since it was put together; or the task is
	 * not ours any more, which its end finds out. */
	if (op_rows(op) == 0)
		return settle(op, NOTIFIER_SENT, "");
	read_notice(op, &s->notice);
	s->channel = op_text(op, 0, "channel");
	s->ops = notifier_find(s->channel);
	if (!s->ops)
		return settle(op, NOTIFIER_NEVER,
		    "this worker knows no such channel");
	if (!s->ops->is_on(t->env->notifier->settings))
		return settle(op, NOTIFIER_OFF,
		    op_printf(op,
			"the channel is not configured: set %s for the "
			"workers, then requeue it",
			s->ops->needs));
	return op_goto(op, notify_send);
}

/* --- sending --- */

static void
on_answer(void *arg, const struct notifier_answer *answer)
{
	struct notify *s = arg;

	s->answer = *answer;
	s->has_answer = true;
	op_wake(s->op);
}

static enum op_next
notify_send(struct op *op)
{
	struct task *t = op_owner(op);
	struct notify *s = state(op);
	const char *why = "";
	rc ret;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	if (op_left_ms(op) < SEND_MS)
		return op_fail(op, RC_IO,
		    "%s has as much under way as it is given at once",
		    s->channel);
	fault_point("worker.notify.sending");
	ret = notifier_send(t->env->notifier, op_arena(op), s->ops, &s->notice,
	    on_answer, s, &why);
	task_wait(t, ret != RC_INVALID);
	if (ret == RC_BUSY)
		return op_sleep(op, ROOM_MS, notify_send);
	if (ret != RC_OK)
		return settle(op, NOTIFIER_NEVER, why);
	return op_park(op, op_left_ms(op) - STORE_MS, notify_answered);
}

static enum op_next
notify_answered(struct op *op)
{
	struct notify *s = state(op);

	task_wait(op_owner(op), false);
	if (!s->has_answer)
		return settle(op, NOTIFIER_LATER, "no answer came in time");
	fault_point("worker.notify.sent");
	return op_goto(op, notify_store);
}

/* --- what came of it --- */

static enum op_next
notify_store(struct op *op)
{
	struct task *t = op_owner(op);
	struct notify *s = state(op);
	const char *worker = lease_incarnation(t->env->lease);
	bool is_off = s->answer.verdict == NOTIFIER_OFF;

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	op_catch(op, notify_not_stored);
	if (s->answer.verdict == NOTIFIER_SENT)
		return OP_QUERY(op, Q_NOTIFICATION_SENT, notify_stored, worker,
		    t->lease_text, t->id);
	return OP_QUERY(op, Q_NOTIFICATION_FAILED, notify_stored, worker,
	    t->lease_text, t->id, s->answer.words,
	    is_off || s->answer.verdict == NOTIFIER_NEVER ? "t" : "f",
	    op_printf(op, "%" PRId64, s->answer.wait_s), is_off ? "0" : "1");
}

/* Made again after any doubt, as long as there is time: given up, what was
 * sent would be sent again. */
static enum op_next
notify_not_stored(struct op *op)
{
	const struct db_error *e;
	rc ret = op_caught(op, &e);

	if (rc_is_retryable(ret) && op_left_ms(op) > STORE_MS)
		return op_sleep(op, RETRY_MS, notify_store);
	log_error("NOTIFY-STUCK",
	    "what came of a message can't be stored: %s %s", e->sqlstate,
	    e->message);
	return op_fail(op, ret, "what came of it could not be stored");
}

static enum op_next
notify_stored(struct op *op)
{
	struct task *t = op_owner(op);
	const struct notify *s = state(op);
	const char *status = op_text(op, 0, "status");

	if (!op_bool(op, 0, "is_ours"))
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	if (s->answer.verdict != NOTIFIER_SENT)
		log_warn("NOTIFY-FAILED",
		    "%s by %s, of %zu notifications: %s, "
		    "%s",
		    t->id, s->channel, s->notice.total, status,
		    s->answer.words);
	else if (s->notice.total > 0)
		log_info("NOTIFY-SENT", "%s by %s, of %zu notifications", t->id,
		    s->channel, s->notice.total);
	return op_done(op);
}
