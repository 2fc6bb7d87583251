/*
 * Recomputes blocks of the audit trail from their rows, from where the last
 * run ended.  Past the newest block the next run begins at the first again,
 * so that all of history is looked at over time and no run walks all of a
 * long one.
 */
#include "scheduler/duties/duties.h"

#include "common/log/log.h"

/* Of one statement, beside the rest of its last block: some 30 ms. */
#define CHUNK_ROWS_TEXT "5000"
/* Of one run; in a day, with the default interval, four times as many. */
#define RUN_ROWS_MAX 2000000

/* What may be wrong, by format(): the block, and what else is named. */
static const char words[] =
    "{\"missing\":\"block %s is missing\","
    "\"changed\":\"block %s was changed: its hash is not that of its fields\","
    "\"replaced\":\"block %s does not follow block %s: one of them was "
    "replaced\","
    "\"gap\":\"block %s does not begin where block %s ends\","
    "\"rows\":\"block %s was sealed with %s rows and has %s\","
    "\"row\":\"a row of block %s was changed\","
    "\"attachment\":\"the attachment of %2$s in block %1$s was changed or "
    "removed\"}";

static op_step verify_chunk_done;

enum op_next
duty_audit_chain_verify(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_AUDIT_CHAIN_VERIFY, verify_chunk_done,
	    duty_incarnation(op), duty_term(op), CHUNK_ROWS_TEXT, words);
}

static enum op_next
verify_chunk_done(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	duty_add_rows(op, op_i64(op, 0, "rows"));
	if (!op_is_null(op, 0, "fault"))
		log_error("AUDIT-BROKEN",
		    "the audit trail was tampered with: %s; certctl audit "
		    "verify names the row",
		    op_text(op, 0, "fault"));
	if (op_bool(op, 0, "is_at_end")) {
		/* Kept elsewhere, this line is an anchor: whoever rewrites the
		 * whole chain can't rewrite it. */
		log_info("AUDIT-CHAIN", "checked up to block %s, hash %s",
		    op_text(op, 0, "last_n"), op_text(op, 0, "last_hash"));
		return op_done(op);
	}
	if (duty_rows(op) >= RUN_ROWS_MAX || duty_is_over(op))
		return op_done(op);
	return op_goto(op, duty_audit_chain_verify);
}
