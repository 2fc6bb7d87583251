#include "worker/kinds/outside.h"

#include <inttypes.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/json/json.h"
#include "worker/issuers/poll_plan.h"

/* What storing may take. */
#define STORE_MS 60000
/* An id of an order, all of it escaped, and two numbers. */
#define ORDER_JSON_MAX 2048

struct outside *
outside_state(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));

	return b->outside_state;
}

struct issue_batch *
outside_batch(struct op *op)
{
	return op_state(op, sizeof(struct issue_batch));
}

void
outside_extend(struct op *op)
{
	op_extend(op,
	    OUTSIDE_SEND_MS +
		outside_batch(op)->outside->limit_ms(outside_state(op)->call) +
		2 * ISSUER_ASK_MS + STORE_MS);
}

void
outside_wait(struct op *op, bool is_waiting)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);

	if (o->is_waiting == is_waiting)
		return;
	o->is_waiting = is_waiting;
	if (b->end.on_wait)
		b->end.on_wait(b->end.owner, is_waiting);
}

void
outside_on_answer(void *arg, const struct issuer_answer *answer)
{
	struct outside *o = arg;

	o->answer = *answer; /* its texts live in the op's arena, as it does */
	o->has_answer = true;
	op_wake(o->op);
}

void
outside_answer_or_none(struct op *op)
{
	struct outside *o = outside_state(op);

	outside_wait(op, false);
	if (!o->has_answer)
		o->answer = (struct issuer_answer){
		    .verdict = ISSUER_RETRY,
		    .words = "no answer came in time",
		};
}

/* --- ends --- */

enum op_next
outside_aside(struct op *op, enum issue_aside aside, const char *reason)
{
	issue_set(outside_state(op)->job, aside, reason);
	return op_goto(op, issue_finish);
}

enum op_next
outside_uncertain(struct op *op, const char *words)
{
	const struct outside *o = outside_state(op);

	return outside_aside(op, ASIDE_UNCERTAIN,
	    op_printf(op,
		"order uncertain: %s. The CA may have an order with the "
		"reference %s, and nothing is ordered again before somebody "
		"has looked: revoke there what was issued, if anything. Then "
		"cancel this job (certctl jobs cancel %s) and renew the "
		"certificate",
		words, o->order.reference, o->job->id));
}

/* What the statement is told of the order, and when to go on; note NULL: what
 * was noted stays. */
static const char *
order_json(struct op *op, const struct outside_order *known, const char *note,
    const struct poll_wait *wait)
{
	const char *text;
	struct buf body;
	struct json_w w;

	buf_init(&body, ORDER_JSON_MAX);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	if (known) {
		json_w_kv(&w, "order_id", known->id);
		json_w_kv_int(&w, "polls", known->polls);
	}
	if (note)
		json_w_kv(&w, "note", note);
	json_w_kv_int(&w, "wait_ms", wait->ms);
	if (wait->grid_ms > 0)
		json_w_kv_int(&w, "grid_ms", wait->grid_ms);
	if (known && outside_batch(op)->outside->list)
		json_w_kv_bool(&w, "together", true);
	json_w_close(&w, '}');
	text = arena_strdup(op_arena(op), buf_cstr(&body));
	buf_fini(&body);
	return text;
}

void
outside_order_again(struct op *op, int64_t retry_after_s)
{
	const struct poll_wait wait = {.ms = retry_after_s * 1000};

	outside_state(op)->job->order = order_json(op, NULL, NULL, &wait);
}

void
outside_park_job(struct op *op, struct issue_job *j, enum issue_aside how,
    const struct outside_order *known, const struct issuer_answer *said)
{
	struct poll_plan plan = {
	    .polls = known->polls,
	    .waited_ms = known->waited_ms,
	    .max_wait_ms = outside_state(op)->max_wait_s * 1000,
	    .retry_after_s = said->retry_after_s,
	    .is_together = outside_batch(op)->outside->list != NULL,
	};
	struct poll_wait wait = poll_plan_wait(&plan);
	int64_t least_ms = said->retry_after_s * 1000;

	/* The next step is the connector's own. */
	if (how == ASIDE_PENDING && said->wait_ms > 0 && !wait.is_over)
		wait = (struct poll_wait){
		    .ms = said->wait_ms < least_ms ? least_ms : said->wait_ms,
		};
	j->order = order_json(op, known,
	    how == ASIDE_PENDING ? said->note : NULL, &wait);
	issue_set(j, how,
	    op_printf(op, "%s: the CA has order %s, %s%s%s; it is asked again",
		wait.is_over ? "StillPending" : "pending", known->id,
		how == ASIDE_SILENT ? "and did not say what became of it"
				    : "and works on it",
		said->words[0] ? ": " : "", said->words));
}

enum op_next
outside_park(struct op *op, enum issue_aside how, const char *order_id,
    int64_t polls, const struct issuer_answer *said)
{
	const struct outside *o = outside_state(op);
	const struct outside_order known = {order_id, polls, o->waited_ms};

	outside_park_job(op, o->job, how, &known, said);
	return op_goto(op, issue_finish);
}

enum op_next
outside_retry(struct op *op, const char *reason)
{
	const struct outside *o = outside_state(op);

	if (o->order_id[0] != '\0')
		return outside_park(op, ASIDE_SILENT, o->order_id, o->polls,
		    &(struct issuer_answer){.words = reason});
	if (o->job->is_open && o->is_last)
		return outside_uncertain(op, reason);
	return outside_aside(op, ASIDE_RETRY, reason);
}

enum op_next
outside_host_fault(struct op *op, const char *why)
{
	issue_host_fault(op, HOST_SCRIPT,
	    op_printf(op, HOST_SCRIPT_WORDS, why));
	return op_goto(op, issue_finish);
}

static enum op_next
wrong(struct op *op, const char *serial, const char *why)
{
	if (serial[0] == '\0')
		return outside_aside(op, ASIDE_WRONG,
		    op_printf(op, "the CA's answer was refused: %s", why));
	return outside_aside(op, ASIDE_WRONG,
	    op_printf(op,
		"the CA's certificate was refused and not stored: %s; its "
		"serial number is %s, revoke it at the CA",
		why, serial));
}

enum op_next
outside_accept(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	struct certresult *result = arena_alloc(op_arena(op), sizeof(*result));
	struct certresult_rules rules = {
	    .csr = &o->job->csr,
	    .now_unix =
		o->now_unix + (loop_now_ms(b->env->loop) - o->now_ms) / 1000,
	    .max_ttl_s = o->max_ttl_s,
	};
	const char *serial = "", *why = "";
	rc ret;

	ret = certresult_read(op_arena(op), &rules, o->answer.pem,
	    o->answer.len, result, &serial, &why);
	if (ret != RC_OK)
		return wrong(op, serial, why);
	fault_point("worker.outside.answered");
	b->result = result;
	b->ca_order_id = o->answer.order_id;
	if (!b->ca_order_id && o->order_id[0] != '\0')
		b->ca_order_id = o->order_id;
	b->ca_certificate_id = o->answer.certificate_id;
	o->job->fate = ISSUE_SIGNED;
	return op_goto(op, issue_finish);
}

enum op_next
outside_pending(struct op *op, int64_t polls)
{
	struct outside *o = outside_state(op);

	/* What was noted of an earlier order is not this one's. */
	if (polls == 0 && !o->answer.note && o->order.note[0] != '\0')
		o->answer.note = "";
	fault_point("worker.outside.pending");
	return outside_park(op, ASIDE_PENDING, o->answer.order_id, polls,
	    &o->answer);
}

enum op_next
outside_ended(struct op *op, const char *order_id)
{
	struct outside *o = outside_state(op);
	bool is_final = o->answer.verdict == ISSUER_REFUSED;

	o->job->is_open = false;
	if (!is_final)
		outside_order_again(op, o->answer.retry_after_s);
	return outside_aside(op, is_final ? ASIDE_FAIL : ASIDE_ENDED,
	    op_printf(op, "the CA ended order %s without a certificate: %s",
		order_id, o->answer.words));
}
