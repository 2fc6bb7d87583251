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
 * is a lease of its own, and goes through the issuer's lane as an order does;
 * where the CA lists orders one lease is of many (outside_list.c).
 *
 * While the CA works this op holds no slot of the worker (see slots.h): a
 * slow CA costs nobody else anything.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "worker/kinds/issuer_account.h"
#include "worker/kinds/outside.h"

/* The checkpoint's word for an order that the CA has. */
#define ORDERED "ordered"

static op_step outside_loaded;
static op_step outside_account;
static op_step outside_account_kept;
static op_step outside_open;

enum op_next
issue_outside(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = arena_alloc(op_arena(op), sizeof(*o));

	o->op = op;
	o->job = &b->jobs[0];
	o->order_anew = outside_place;
	b->outside_state = o;
	/* Until the database says what is known of an order. */
	for (size_t i = 0; i < b->n; i++)
		b->jobs[i].is_open = true;
	if (b->n > 1 && b->outside->list)
		return op_goto(op, outside_list);
	/* Else such a lane has one job a lease; an issuer that was of another
	 * type a moment ago may have got more, and gets no list again. */
	for (size_t i = 1; i < b->n; i++)
		issue_set(&b->jobs[i], ASIDE_ALONE, NULL);
	return OP_QUERY(op, Q_ISSUE_OUTSIDE_JOB, outside_loaded, b->worker,
	    b->lease_text, o->job->id);
}

static enum op_next
go_on(struct op *op, const char *order_state)
{
	const struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);

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
	return outside_uncertain(op,
	    "the worker that placed it did not come back, and "
	    "the issuer has no look-up");
}

static void
read_row(struct op *op)
{
	const struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);

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
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);

	if (op_rows(op) == 0) {
		o->job->fate = ISSUE_LOST;
		return op_goto(op, issue_finish);
	}
	read_row(op);
	if (!o->job->csr_pem)
		return outside_aside(op, ASIDE_FAIL, "the job has no CSR");
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
	struct issue_batch *b = outside_batch(op);
	const char *why = "";
	rc ret;

	ret = issuer_account_open(op, b->env, b->issuer_id,
	    &outside_state(op)->order.account_key, &why);
	return ret == RC_OK ? op_goto(op, outside_open)
			    : outside_retry(op, why);
}

static enum op_next
outside_account(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	const char *sealed, *why = "";
	rc ret;

	if (op_rows(op) > 0)
		return open_account(op);
	ISSUE_TRUST_OR_RETURN(op, b);
	ret = issuer_account_make(op, b->env, b->issuer_id, &sealed, &why);
	if (ret != RC_OK)
		return outside_retry(op, why);
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
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	const char *why = "";
	rc ret;

	ret = b->outside->open(b->outside, &b->env->issuer, op_arena(op),
	    o->config, &o->order, &o->call, &why);
	if (ret == RC_IO)
		return outside_host_fault(op, why);
	if (ret != RC_OK)
		return outside_retry(op,
		    op_printf(op, "the issuer cannot be used: %s", why));
	outside_extend(op);
	return go_on(op, o->order_state);
}
