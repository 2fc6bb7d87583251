/*
 * One job of a CA outside of this process.
 *
 * The order is the promise.  The intent to place an order is committed before
 * anything leaves, and until the order's time is over nobody else takes the
 * job.  Whoever takes it then finds the intent and looks the order up by its
 * reference, and adopts it; where the CA offers no look-up the job waits for
 * a person.  So no order is ever placed twice, whoever dies when.
 *
 * An order that the CA works on is stored with its id, and the job is parked:
 * it is a row with a time, until the next poll is due (poll_plan.h).  Each poll
 * is a lease of its own, and goes through the issuer's lane as an order does.
 *
 * While the CA works this op holds no slot of the worker (see slots.h): a
 * slow CA costs nobody else anything.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "worker/issuers/poll_plan.h"
#include "worker/kinds/issue_batch.h"
#include "worker/kinds/issuer_account.h"

/* The request leaves so soon after the intent was sent to the database, or
 * not at all. */
#define SEND_MS 3000
#define SEND_MARGIN_MS 1000
/* What an answer may take beyond the limit, and what storing may. */
#define ANSWER_SLACK_MS 2000
#define STORE_MS 60000
/* An id of an order, all of it escaped, and two numbers. */
#define ORDER_JSON_MAX 2048
/* The checkpoint's word for an order that the CA has. */
#define ORDERED "ordered"

struct outside { /* beside the batch, in the arena */
	struct op *op;
	struct issue_job *job;
	struct issuer_order order;
	void *call;
	int64_t intent_ms; /* when the intent was sent to the database */
	int64_t max_ttl_s;
	/* The database's time, and when that was: our own may jump. */
	int64_t now_unix, now_ms;
	const char *config, *order_state; /* of the job's row */
	bool was_placed;                  /* by this attempt */
	const char *unsure_words; /* why it is unknown what came of that */
	bool is_last;             /* attempts are used up by one more failure */
	/* what is known of an order that the CA has */
	const char *order_id; /* "": nothing */
	int64_t polls;
	int64_t waited_ms; /* since it was taken */
	int64_t max_wait_s;
	bool is_waiting; /* the slot was told so */
	bool has_answer;
	struct issuer_answer answer; /* words in the arena */
};

static op_step outside_loaded;
static op_step outside_account;
static op_step outside_account_kept;
static op_step outside_open;
static op_step outside_place;
static op_step outside_placed;
static op_step outside_answered;
static op_step outside_look_up;
static op_step outside_looked;
static op_step outside_poll;
static op_step outside_polled;
static op_step outside_cancel;
static op_step outside_cancelled;
static op_step outside_left;

/* The state of the op is the batch; this hangs on it. */
static struct outside *
state(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));

	return b->outside_state;
}

static struct issue_batch *
batch(struct op *op)
{
	return op_state(op, sizeof(struct issue_batch));
}

static enum op_next
aside(struct op *op, enum issue_aside aside, const char *reason)
{
	issue_set(state(op)->job, aside, reason);
	return op_goto(op, issue_finish);
}

static void
tell_waiting(struct op *op, bool is_waiting)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);

	if (o->is_waiting == is_waiting)
		return;
	o->is_waiting = is_waiting;
	if (b->end.on_wait)
		b->end.on_wait(b->end.owner, is_waiting);
}

/* --- loading --- */

enum op_next
issue_outside(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = arena_alloc(op_arena(op), sizeof(*o));

	/* The leader gives such a lane one job a lease; an issuer that was of
	 * another type a moment ago may have got more. */
	for (size_t i = 1; i < b->n; i++)
		issue_set(&b->jobs[i], ASIDE_RELEASE, NULL);
	o->op = op;
	o->job = &b->jobs[0];
	b->outside_state = o;
	/* Until the database says what is known of an order. */
	for (size_t i = 0; i < b->n; i++)
		b->jobs[i].is_open = true;
	return OP_QUERY(op, Q_ISSUE_OUTSIDE_JOB, outside_loaded, b->worker,
	    b->lease_text, o->job->id);
}

static enum op_next
uncertain(struct op *op, const char *words)
{
	const struct outside *o = state(op);

	return aside(op, ASIDE_UNCERTAIN,
	    op_printf(op,
		"order uncertain: %s. The CA may have an order with the "
		"reference %s, and nothing is ordered again before somebody "
		"has looked: revoke there what was issued, if anything. Then "
		"cancel this job (POST /api/v1/jobs/%s/cancel) and renew the "
		"certificate",
		words, o->order.reference, o->job->id));
}

/* What the statement is told of the order, and when to go on; note NULL: what
 * was noted stays. */
static const char *
order_json(struct op *op, const char *order_id, int64_t polls, const char *note,
    int64_t wait_ms)
{
	const char *text;
	struct buf body;
	struct json_w w;

	buf_init(&body, ORDER_JSON_MAX);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	if (order_id) {
		json_w_kv(&w, "order_id", order_id);
		json_w_kv_int(&w, "polls", polls);
	}
	if (note)
		json_w_kv(&w, "note", note);
	json_w_kv_int(&w, "wait_ms", wait_ms);
	json_w_close(&w, '}');
	text = arena_strdup(op_arena(op), buf_cstr(&body));
	buf_fini(&body);
	return text;
}

/* The job waits until the CA is asked for this order again. */
static enum op_next
park(struct op *op, enum issue_aside how, const char *order_id, int64_t polls,
    int64_t retry_after_s, const char *words)
{
	const struct outside *o = state(op);
	struct poll_plan plan = {
	    .polls = polls,
	    .waited_ms = o->waited_ms,
	    .max_wait_ms = o->max_wait_s * 1000,
	    .retry_after_s = retry_after_s,
	};
	int64_t wait_ms;
	bool is_over;

	wait_ms = poll_plan_wait_ms(&plan, &is_over);
	if (how == ASIDE_PENDING && o->answer.wait_ms > 0 && !is_over) {
		wait_ms = o->answer.wait_ms;
		if (wait_ms < retry_after_s * 1000)
			wait_ms = retry_after_s * 1000;
	}
	batch(op)->order = order_json(op, order_id, polls,
	    how == ASIDE_PENDING ? o->answer.note : NULL, wait_ms);
	return aside(op, how,
	    op_printf(op, "%s: the CA has order %s, %s%s%s; it is asked again",
		is_over ? "StillPending" : "pending", order_id,
		how == ASIDE_SILENT ? "and did not say what became of it"
				    : "and works on it",
		words[0] ? ": " : "", words));
}

/* Of an order that may exist the job may not simply end as Failed. */
static enum op_next
retry(struct op *op, const char *reason)
{
	const struct outside *o = state(op);

	if (o->order_id[0] != '\0')
		return park(op, ASIDE_SILENT, o->order_id, o->polls, 0, reason);
	if (o->job->is_open && o->is_last)
		return uncertain(op, reason);
	return aside(op, ASIDE_RETRY, reason);
}

static enum op_next
host_fault(struct op *op, const char *why)
{
	issue_host_fault(op, HOST_SCRIPT,
	    op_printf(op, HOST_SCRIPT_WORDS, why));
	return op_goto(op, issue_finish);
}

static enum op_next
go_on(struct op *op, const char *order_state)
{
	const struct issue_batch *b = batch(op);
	struct outside *o = state(op);

	if (order_state[0] == '\0') {
		o->job->is_open = false;
		return op_goto(op, outside_place);
	}
	if (o->order_id[0] != '\0' && o->job->is_cancelled &&
	    (b->outside->cancel || b->outside->poll))
		return op_goto(op, outside_cancel);
	if (o->order_id[0] != '\0' && b->outside->poll)
		return op_goto(op, outside_poll);
	log_info("ORDER-OPEN", "%s: an order was being placed (%s)", o->job->id,
	    order_state);
	if (b->outside->can_look_up(o->call))
		return op_goto(op, outside_look_up);
	return uncertain(op, "the worker that placed it did not come back, and "
			     "the issuer has no look-up");
}

static void
read_row(struct op *op)
{
	const struct issue_batch *b = batch(op);
	struct outside *o = state(op);

	o->config = op_text(op, 0, "config");
	o->order_state = op_text(op, 0, "state");
	o->job->is_open = o->order_state[0] != '\0';
	o->is_last = op_bool(op, 0, "is_last");
	/* Of one that a person is to decide on, nobody asks by its id. */
	o->order_id = strcmp(o->order_state, ORDERED) == 0
			  ? op_text(op, 0, "order_id")
			  : "";
	o->polls = op_i64(op, 0, "polls");
	o->waited_ms = op_i64(op, 0, "waited_ms");
	o->max_wait_s = issuer_poll_max_wait_s(&b->env->issuer, op_arena(op),
	    b->outside->type, o->config);
	o->max_ttl_s = op_i64(op, 0, "max_ttl_seconds");
	o->now_unix = op_i64(op, 0, "now_unix");
	o->now_ms = loop_now_ms(b->env->loop);
	o->order = (struct issuer_order){
	    .reference = op_text(op, 0, "order_reference"),
	    .csr_pem = o->job->csr_pem,
	    .csr = &o->job->csr,
	    .max_ttl_s = o->max_ttl_s,
	    .placed_unix = op_i64(op, 0, "placed_unix"),
	    .placed_ago_s = o->now_unix - op_i64(op, 0, "placed_unix"),
	    .previous_pem = op_text(op, 0, "previous_pem"),
	    .note = op_text(op, 0, "note"),
	    .waited_ms = o->waited_ms,
	};
}

static enum op_next
outside_loaded(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);

	if (op_rows(op) == 0) {
		o->job->fate = ISSUE_LOST;
		return op_goto(op, issue_finish);
	}
	read_row(op);
	if (!o->job->csr_pem)
		return aside(op, ASIDE_FAIL, "the job has no CSR");
	if (!issue_read_csr(op, o->job))
		return op_goto(op, issue_finish);
	if (b->outside->wants_account_key)
		return issuer_account_ask(op, b->issuer_id, outside_account);
	return op_goto(op, outside_open);
}

/* --- the issuer's own key --- */

static enum op_next
open_account(struct op *op)
{
	struct issue_batch *b = batch(op);
	const char *why = "";
	rc ret;

	ret = issuer_account_open(op, b->env, b->issuer_id,
	    &state(op)->order.account_key, &why);
	return ret == RC_OK ? op_goto(op, outside_open) : retry(op, why);
}

static enum op_next
outside_account(struct op *op)
{
	struct issue_batch *b = batch(op);
	const char *sealed, *why = "";
	rc ret;

	if (op_rows(op) > 0)
		return open_account(op);
	ISSUE_TRUST_OR_RETURN(op, b);
	ret = issuer_account_make(op, b->env, b->issuer_id, &sealed, &why);
	if (ret != RC_OK)
		return retry(op, why);
	return issuer_account_keep(op, b->issuer_id, sealed,
	    outside_account_kept);
}

static enum op_next
outside_account_kept(struct op *op)
{
	fault_point("worker.outside.account");
	return open_account(op);
}

static enum op_next
outside_open(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);
	const char *why = "";
	rc ret;

	ret = b->outside->open(b->outside, &b->env->issuer, op_arena(op),
	    o->config, &o->order, &o->call, &why);
	if (ret == RC_IO)
		return host_fault(op, why);
	if (ret != RC_OK)
		return retry(op,
		    op_printf(op, "the issuer cannot be used: %s", why));
	op_extend(op, SEND_MS + b->outside->limit_ms(o->call) +
			  2 * ISSUER_ASK_MS + STORE_MS);
	return go_on(op, o->order_state);
}

/* --- placing --- */

static enum op_next
outside_place(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);
	const struct certprofile *profile;

	if (!issue_rules_allow(op, o->job) ||
	    !issue_read_profile(op, o->job, &profile))
		return op_goto(op, issue_finish);
	if (o->job->is_cancelled ||
	    lease_is_cancelled(b->env->lease, o->job->id))
		return aside(op, ASIDE_CANCEL,
		    "cancelled before it was ordered");
	ISSUE_TRUST_OR_RETURN(op, b);
	o->intent_ms = loop_now_ms(b->env->loop);
	return OP_QUERY(op, Q_ISSUE_PLACING, outside_placed, b->worker,
	    b->lease_text, o->job->id, op_printf(op, "%d", SEND_MS),
	    op_printf(op, "%" PRId64,
		b->outside->limit_ms(o->call) + ANSWER_SLACK_MS));
}

static void
on_answer(void *arg, const struct issuer_answer *answer)
{
	struct outside *o = arg;

	o->answer = *answer; /* its texts live in the op's arena, as it does */
	o->has_answer = true;
	op_wake(o->op);
}

static enum op_next
outside_placed(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);
	int64_t took_ms = loop_now_ms(b->env->loop) - o->intent_ms;
	rc ret;

	if (op_rows(op) == 0) {
		o->job->fate = ISSUE_LOST;
		return op_goto(op, issue_finish);
	}
	if (strcmp(op_text(op, 0, "outcome"), "held") == 0)
		return aside(op, ASIDE_HELD,
		    "given back before it was ordered: somebody's open "
		    "transaction held its row");
	if (strcmp(op_text(op, 0, "outcome"), "placing") != 0)
		return aside(op, ASIDE_CANCEL,
		    "cancelled before it was ordered");
	o->job->is_open = true;
	fault_point("worker.outside.placing");
	/* The last moment at which it is still certain that nothing left. */
	ISSUE_TRUST_OR_RETURN(op, b);
	if (took_ms > SEND_MS - SEND_MARGIN_MS) {
		o->job->is_open = false;
		return aside(op, ASIDE_RELEASE, NULL);
	}
	o->has_answer = false;
	ret = b->outside->place(o->call, on_answer, o);
	if (ret != RC_OK) {
		o->job->is_open = false;
		return host_fault(op,
		    op_printf(op, "the order could not be sent: %s",
			strerror(errno)));
	}
	o->was_placed = true;
	tell_waiting(op, true);
	fault_point("worker.outside.sent");
	return op_park(op, b->outside->limit_ms(o->call) + ANSWER_SLACK_MS,
	    outside_answered);
}

/* --- what came back --- */

static enum op_next
wrong(struct op *op, const char *serial, const char *why)
{
	if (serial[0] == '\0')
		return aside(op, ASIDE_WRONG,
		    op_printf(op, "the CA's answer was refused: %s", why));
	return aside(op, ASIDE_WRONG,
	    op_printf(op,
		"the CA's certificate was refused and not stored: %s; its "
		"serial number is %s, revoke it at the CA",
		why, serial));
}

static enum op_next
accept(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);
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

/* The CA has the order of the answer, which it was asked for so many times. */
static enum op_next
pending(struct op *op, int64_t polls)
{
	struct outside *o = state(op);

	/* What was noted of an earlier order is not this one's. */
	if (polls == 0 && !o->answer.note && o->order.note[0] != '\0')
		o->answer.note = "";
	fault_point("worker.outside.pending");
	return park(op, ASIDE_PENDING, o->answer.order_id, polls,
	    o->answer.retry_after_s, o->answer.words);
}

/* It had an order of the job, and it came to nothing: the job is over too, or
 * tried again by another order, which is safe since this one has ended. */
static enum op_next
ended_without(struct op *op, const char *order_id)
{
	struct outside *o = state(op);
	bool is_final = o->answer.verdict == ISSUER_REFUSED;

	o->job->is_open = false;
	if (!is_final)
		batch(op)->order = order_json(op, NULL, 0, NULL,
		    o->answer.retry_after_s * 1000);
	return aside(op, is_final ? ASIDE_FAIL : ASIDE_ENDED,
	    op_printf(op, "the CA ended order %s without a certificate: %s",
		order_id, o->answer.words));
}

static enum op_next
outside_answered(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);

	tell_waiting(op, false);
	if (!o->has_answer)
		o->answer = (struct issuer_answer){
		    .verdict = ISSUER_UNSURE,
		    .words = "no answer came in time",
		};
	switch (o->answer.verdict) {
	case ISSUER_ISSUED:
		return accept(op);
	case ISSUER_PENDING:
		log_info("ORDER-PENDING", "%s: %s", o->job->id,
		    o->answer.order_id);
		return pending(op, 0);
	case ISSUER_REFUSED:
		o->job->is_open = false;
		return aside(op, ASIDE_FAIL,
		    op_printf(op, "the CA refused: %s", o->answer.words));
	case ISSUER_RETRY:
		o->job->is_open = false;
		batch(op)->order = order_json(op, NULL, 0, NULL,
		    o->answer.retry_after_s * 1000);
		return aside(op, ASIDE_REFUSE,
		    op_printf(op, "the CA refused: %s", o->answer.words));
	case ISSUER_UNSURE:
	case ISSUER_ENDED:
	case ISSUER_NO_ORDER:
	case ISSUER_DONE:
		break;
	}
	o->unsure_words = o->answer.words;
	log_warn("ORDER-UNSURE", "%s: %s", o->job->id, o->answer.words);
	if (b->outside->can_look_up(o->call))
		return op_goto(op, outside_look_up);
	return uncertain(op, o->answer.words);
}

/* --- looking up --- */

static enum op_next
outside_look_up(struct op *op)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);
	rc ret;

	ISSUE_TRUST_OR_RETURN(op, b);
	o->has_answer = false;
	ret = b->outside->look_up(o->call, on_answer, o);
	if (ret != RC_OK)
		return host_fault(op,
		    op_printf(op, "the order could not be looked up: %s",
			strerror(errno)));
	tell_waiting(op, true);
	return op_park(op, ISSUER_ASK_MS + ANSWER_SLACK_MS, outside_looked);
}

static enum op_next
no_order(struct op *op)
{
	struct outside *o = state(op);

	/* It is kept open: what was on its way when its time was over is
	 * looked for once more before anything is ordered again. */
	if (o->was_placed)
		return aside(op, ASIDE_RETRY,
		    op_printf(op,
			"the order was not answered (%s), and the CA has no "
			"such order",
			o->unsure_words));
	log_info("ORDER-NONE", "%s: the CA has no such order, it is placed",
	    o->job->id);
	return op_goto(op, outside_place);
}

/* Who was asked for an order and said nothing is asked again later. */
static void
answer_or_none(struct op *op)
{
	struct outside *o = state(op);

	tell_waiting(op, false);
	if (!o->has_answer)
		o->answer = (struct issuer_answer){
		    .verdict = ISSUER_RETRY,
		    .words = "no answer came in time",
		};
}

static enum op_next
outside_looked(struct op *op)
{
	struct outside *o = state(op);

	answer_or_none(op);
	switch (o->answer.verdict) {
	case ISSUER_ISSUED:
		log_info("ORDER-ADOPTED", "%s: %s", o->job->id,
		    o->order.reference);
		return accept(op);
	case ISSUER_PENDING:
		log_info("ORDER-ADOPTED", "%s: %s, order %s", o->job->id,
		    o->order.reference, o->answer.order_id);
		return pending(op, 0);
	case ISSUER_REFUSED:
	case ISSUER_ENDED:
		return ended_without(op, o->order.reference);
	case ISSUER_NO_ORDER:
		return no_order(op);
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
	case ISSUER_DONE:
		break;
	}
	return retry(op, op_printf(op, "the order could not be looked up: %s",
			     o->answer.words));
}

/* --- polling --- */

/* The CA is asked about the order that it has; "next" sees its answer. */
static enum op_next
ask_about(struct op *op,
    rc (*ask)(void *, const char *, issuer_answer_fn *, void *), op_step *next)
{
	struct issue_batch *b = batch(op);
	struct outside *o = state(op);
	rc ret;

	ISSUE_TRUST_OR_RETURN(op, b);
	o->has_answer = false;
	ret = ask(o->call, o->order_id, on_answer, o);
	if (ret != RC_OK)
		return host_fault(op,
		    op_printf(op, "the CA could not be asked for order %s: %s",
			o->order_id, strerror(errno)));
	tell_waiting(op, true);
	return op_park(op, ISSUER_ASK_MS + ANSWER_SLACK_MS, next);
}

static enum op_next
outside_poll(struct op *op)
{
	return ask_about(op, batch(op)->outside->poll, outside_polled);
}

/* What the CA has forgotten may still be there under our own reference. */
static enum op_next
forgotten(struct op *op)
{
	struct outside *o = state(op);
	const char *words =
	    op_printf(op, "the CA does not know its order %s any more (%s)",
		o->order_id, o->answer.words);

	log_warn("ORDER-FORGOTTEN", "%s: %s", o->job->id, words);
	o->order_id = "";
	if (batch(op)->outside->can_look_up(o->call))
		return op_goto(op, outside_look_up);
	return uncertain(op, words);
}

static enum op_next
outside_polled(struct op *op)
{
	struct outside *o = state(op);

	answer_or_none(op);
	switch (o->answer.verdict) {
	case ISSUER_ISSUED:
		return accept(op);
	case ISSUER_PENDING:
		return pending(op, o->polls + 1);
	case ISSUER_REFUSED:
	case ISSUER_ENDED:
		return ended_without(op, o->order_id);
	case ISSUER_NO_ORDER:
		return forgotten(op);
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
	case ISSUER_DONE:
		break;
	}
	return park(op, ASIDE_SILENT, o->order_id, o->polls + 1,
	    o->answer.retry_after_s, o->answer.words);
}

/* --- cancelling --- */

static enum op_next
outside_cancel(struct op *op)
{
	const struct issue_batch *b = batch(op);

	/* What it has issued by now is stored, whoever can cancel what. */
	return b->outside->cancel
		   ? ask_about(op, b->outside->cancel, outside_cancelled)
		   : ask_about(op, b->outside->poll, outside_left);
}

/* An order that this CA goes on with, whatever we want. */
static enum op_next
outside_left(struct op *op)
{
	const struct outside *o = state(op);

	if (!o->has_answer || o->answer.verdict != ISSUER_PENDING)
		return outside_cancelled(op);
	tell_waiting(op, false);
	return aside(op, ASIDE_CANCEL,
	    op_printf(op,
		"cancelled; the CA has order %s still, which cannot be "
		"cancelled from here: cancel it at the CA, and revoke what it "
		"issued",
		o->order_id));
}

static enum op_next
outside_cancelled(struct op *op)
{
	struct outside *o = state(op);

	if (o->has_answer && (o->answer.verdict == ISSUER_REFUSED ||
				 o->answer.verdict == ISSUER_ENDED ||
				 o->answer.verdict == ISSUER_NO_ORDER)) {
		tell_waiting(op, false);
		o->job->is_open = false;
		return aside(op, ASIDE_CANCEL,
		    op_printf(op, "cancelled, and order %s at the CA with it",
			o->order_id));
	}
	return outside_polled(op);
}
