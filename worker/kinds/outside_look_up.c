/*
 * An order that may exist is looked up by our reference, and adopted; where
 * there is none, it is placed.
 *
 * Where the CA keeps no reference of ours it is looked for among all that the
 * CA has of that time, which may be much: in rounds, between which the database
 * says that the job is ours still, and which of the certificates that the CA
 * lists are stored.  Those are other orders', and need not be fetched.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/log/log.h"
#include "worker/kinds/outside.h"

/* All rounds together; a job's next attempt begins anew. */
#define LOOK_UP_MS 300000
#define LOOK_UP_TEXT "5 minutes"
#define SERIAL_DIGITS 40

static op_step outside_looked;
static op_step outside_compared;

static enum op_next
wait_for_answer(struct op *op)
{
	outside_wait(op, true);
	return op_park(op, ISSUER_ASK_MS + OUTSIDE_SLACK_MS, outside_looked);
}

enum op_next
outside_look_up(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	rc ret;

	ISSUE_TRUST_OR_RETURN(op, b);
	o->has_answer = false;
	o->look_up_ms = loop_now_ms(b->env->loop);
	ret = b->outside->look_up(o->call, outside_on_answer, o);
	if (ret != RC_OK)
		return outside_host_fault(op,
		    op_printf(op, "the order could not be looked up: %s",
			strerror(errno)));
	return wait_for_answer(op);
}

/* --- what was listed --- */

/* As certificates' are stored: 40 digits in lower case; "": it is none. */
static const char *
stored_form(struct op *op, const char *serial)
{
	size_t len;
	char *text;

	if (serial[strspn(serial, "0123456789abcdefABCDEF")] != '\0')
		return "";
	serial += strspn(serial, "0");
	len = strlen(serial);
	if (len < 1 || len > SERIAL_DIGITS)
		return "";
	text = arena_alloc(op_arena(op), SERIAL_DIGITS + 1);
	memset(text, '0', SERIAL_DIGITS);
	for (size_t i = 0; i < len; i++)
		text[SERIAL_DIGITS - len + i] =
		    (char)tolower((unsigned char)serial[i]);
	return text;
}

static enum op_next
too_long(struct op *op)
{
	return outside_retry(op,
	    op_printf(op,
		"the order could not be looked up: " LOOK_UP_TEXT
		" were not enough for what the CA lists (%s). It is looked "
		"for again, and what certctl has stored by then is not "
		"fetched again; where something else orders much of this CA "
		"by the same account or name, give this issuer one of its own",
		outside_state(op)->answer.words));
}

/* A round is over, and the next may begin. */
static enum op_next
outside_listed(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	size_t n = o->answer.nserials;
	const char **serials =
	    arena_alloc(op_arena(op), (n + 1) * sizeof(char *));
	const char *ours[] = {b->worker, b->lease_text, o->job->id};
	const char *stored[] = {b->issuer_id, NULL};
	struct db_stmt stmts[] = {
	    {Q_ISSUE_LOOKING, ARRAY_LEN(ours), ours},
	    {Q_ISSUE_STORED_SERIALS, ARRAY_LEN(stored), stored},
	};

	if (loop_now_ms(b->env->loop) - o->look_up_ms >= LOOK_UP_MS)
		return too_long(op);
	for (size_t i = 0; i < n; i++)
		serials[i] = stored_form(op, o->answer.serials[i]);
	o->serials = serials;
	stored[1] = db_text_array(op_arena(op), serials, n);
	return op_batch(op, outside_compared, ARRAY_LEN(stmts), stmts);
}

static bool
is_among(const struct db_result *stored, const char *serial)
{
	int col = db_col(stored, "serial_number");

	for (size_t i = 0; i < db_nrows(stored); i++)
		if (strcmp(db_text(stored, i, col), serial) == 0)
			return true;
	return false;
}

static enum op_next
outside_compared(struct op *op)
{
	struct issue_batch *b = outside_batch(op);
	struct outside *o = outside_state(op);
	const struct db_result *looking = op_result(op, 0);
	bool *is_stored =
	    arena_alloc(op_arena(op), (o->answer.nserials + 1) * sizeof(bool));

	if (!db_bool(looking, 0, db_col(looking, "is_ours"))) {
		o->job->fate = ISSUE_LOST;
		return op_goto(op, issue_finish);
	}
	ISSUE_TRUST_OR_RETURN(op, b);
	for (size_t i = 0; i < o->answer.nserials; i++)
		is_stored[i] = is_among(op_result(op, 1), o->serials[i]);
	outside_extend(op);
	o->has_answer = false;
	b->outside->look_through(o->call, is_stored, outside_on_answer, o);
	return wait_for_answer(op);
}

/* --- what was found --- */

static enum op_next
no_order(struct op *op)
{
	struct outside *o = outside_state(op);

	/* It is kept open: what was on its way when its time was over is
	 * looked for once more before anything is ordered again. */
	if (o->was_placed)
		return outside_aside(op, ASIDE_RETRY,
		    op_printf(op,
			"the order was not answered (%s), and the CA has no "
			"such order",
			o->unsure_words));
	log_info("ORDER-NONE", "%s: the CA has no such order, it is placed",
	    o->job->id);
	return op_goto(op, o->order_anew);
}

static enum op_next
outside_looked(struct op *op)
{
	struct outside *o = outside_state(op);

	outside_answer_or_none(op);
	switch (o->answer.verdict) {
	case ISSUER_ISSUED:
		log_info("ORDER-ADOPTED", "%s: %s", o->job->id,
		    o->order.reference);
		return outside_accept(op);
	case ISSUER_PENDING:
		log_info("ORDER-ADOPTED", "%s: %s, order %s", o->job->id,
		    o->order.reference, o->answer.order_id);
		return outside_pending(op, 0);
	case ISSUER_REFUSED:
	case ISSUER_ENDED:
		return outside_ended(op, o->order.reference);
	case ISSUER_NO_ORDER:
		return no_order(op);
	case ISSUER_LISTED:
		return outside_listed(op);
	case ISSUER_RETRY:
	case ISSUER_UNSURE:
	case ISSUER_DONE:
		break;
	}
	return outside_retry(op,
	    op_printf(op, "the order could not be looked up: %s",
		o->answer.words));
}
