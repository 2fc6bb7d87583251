/*
 * Many orders that a CA outside has are asked for by one list of it.
 *
 * A lease of several orders is one list: one permit, and a call for a page of
 * it.  What the list shows as pending waits for the next time of its plan.  All
 * else, what has changed and what the list does not name, is due at once, and
 * asked for by itself (ASIDE_ALONE): each by a lease of its own through the
 * lane, which collects it, or finds that it is gone.  So a list can spare
 * calls, and can't lose an order: nothing is concluded from its silence.
 *
 * A list that fails has each asked for by itself; one that was told to wait
 * has all of them wait.
 */
#include <errno.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/fault.h"
#include "common/log/log_peer.h"
#include "worker/kinds/outside.h"

static op_step list_loaded;
static op_step list_answered;

struct outside_list {             /* in the arena, as long as the op */
	struct issuer_list asked; /* what the connector sees */
	struct issue_job **jobs;  /* of which its orders are, as they stand */
	struct outside_order *orders;
};

enum op_next
outside_list(struct op *op)
{
	const struct issue_batch *b = outside_batch(op);
	const char *orders[] = {b->worker, b->lease_text};
	const char *issuer[] = {b->issuer_id};
	struct db_stmt stmts[] = {
	    {Q_ISSUER_CONFIG, ARRAY_LEN(issuer), issuer},
	    {Q_ISSUE_OUTSIDE_ORDERS, ARRAY_LEN(orders), orders},
	};

	return op_batch(op, list_loaded, ARRAY_LEN(stmts), stmts);
}

/* The orders of the lease, by its jobs. */
static struct outside_list *
read_orders(struct op *op, const struct db_result *r)
{
	struct issue_batch *b = outside_batch(op);
	struct arena *a = op_arena(op);
	struct outside_list *l = arena_alloc(a, sizeof(*l));
	size_t n = db_nrows(r);
	const char **ids = arena_alloc(a, (n + 1) * sizeof(char *));

	l->jobs = arena_alloc(a, (n + 1) * sizeof(*l->jobs));
	l->orders = arena_alloc(a, (n + 1) * sizeof(*l->orders));
	l->asked.order_ids = ids;
	l->asked.is_pending = arena_alloc(a, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct issue_job *j =
		    issue_find(b, db_text(r, i, db_col(r, "id")));

		if (!j || j->is_cancelled)
			continue;
		l->jobs[l->asked.n] = j;
		l->orders[l->asked.n] = (struct outside_order){
		    .id = db_text(r, i, db_col(r, "order_id")),
		    .polls = db_i64(r, i, db_col(r, "polls")),
		    .waited_ms = db_i64(r, i, db_col(r, "waited_ms")),
		};
		ids[l->asked.n] = l->orders[l->asked.n].id;
		l->asked.n++;
	}
	return l;
}

/* Those that are OPEN still wait for the next time of their plan, or for as
 * long as the CA says: whom it does not talk to it is not asked one by one. */
static void
park_silent(struct op *op, const struct issuer_answer *said)
{
	struct outside_list *l = outside_state(op)->list;

	for (size_t i = 0; i < l->asked.n; i++) {
		if (l->jobs[i]->fate != ISSUE_OPEN)
			continue;
		l->orders[i].polls++;
		outside_park_job(op, l->jobs[i], ASIDE_SILENT, &l->orders[i],
		    said);
	}
}

/* What the list showed as pending, however it ended; how many. */
static size_t
park_pending(struct op *op)
{
	static const struct issuer_answer said = {.words = ""};
	struct outside_list *l = outside_state(op)->list;
	size_t n = 0;

	for (size_t i = 0; i < l->asked.n; i++) {
		if (!l->asked.is_pending[i])
			continue;
		l->orders[i].polls++;
		outside_park_job(op, l->jobs[i], ASIDE_PENDING, &l->orders[i],
		    &said);
		n++;
	}
	return n;
}

/* What is left is asked for by itself, or was no order that a list names. */
static enum op_next
rest_alone(struct op *op)
{
	issue_set_all(outside_batch(op), ASIDE_ALONE, NULL);
	return op_goto(op, issue_finish);
}

static enum op_next
ask(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	rc ret;

	ISSUE_TRUST_OR_RETURN(op, b);
	fault_point("worker.outside.listing");
	ret = b->outside->list(o->call, &o->list->asked, outside_on_answer, o);
	if (ret != RC_OK)
		return outside_host_fault(op,
		    op_printf(op, "the CA could not be asked for orders: %s",
			strerror(errno)));
	outside_wait(op, true);
	return op_park(op, ISSUER_ASK_MS + OUTSIDE_SLACK_MS, list_answered);
}

static enum op_next
list_loaded(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	const struct db_result *config = op_result(op, 0);
	const char *why = "";
	rc ret;

	o->list = read_orders(op, op_result(op, 1));
	o->config = db_nrows(config) > 0
			? db_text(config, 0, db_col(config, "config"))
			: "{}";
	o->max_wait_s = issuer_poll_max_wait_s(&b->env->issuer, op_arena(op),
	    b->outside->type, o->config);
	ret = b->outside->open(b->outside, &b->env->issuer, op_arena(op),
	    o->config, NULL, &o->call, &why);
	if (ret == RC_IO)
		return outside_host_fault(op, why);
	if (ret == RC_OK && o->list->asked.n > 0)
		return ask(op);
	if (ret != RC_OK)
		park_silent(op, &(struct issuer_answer){
				    .words = op_printf(op,
					"the issuer cannot be used: %s", why),
				});
	return rest_alone(op);
}

static enum op_next
list_answered(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	size_t pending;

	outside_wait(op, false);
	if (!o->has_answer)
		o->answer = (struct issuer_answer){
		    .verdict = ISSUER_UNSURE,
		    .words = "no answer came in time",
		};
	fault_point("worker.outside.listed");
	pending = park_pending(op);
	if (o->answer.verdict == ISSUER_DONE)
		log_peer(LOG_INFO, "ORDERS-LISTED", b->issuer_id,
		    "%s: of %zu orders %zu are pending, by a list",
		    b->issuer_id, o->list->asked.n, pending);
	else
		log_peer(LOG_WARN, "ORDERS-NOT-LISTED", b->issuer_id,
		    "%s: of %zu orders %zu are pending, the others could not "
		    "be listed: %s",
		    b->issuer_id, o->list->asked.n, pending, o->answer.words);
	if (o->answer.verdict == ISSUER_RETRY)
		park_silent(op, &o->answer);
	return rest_alone(op);
}
