/*
 * Puts what was written to the audit trail into blocks, in chunks, until no
 * row is left that may be sealed.  A transaction that stays open holds its
 * rows and all later ones back: past a minute of that the log says so.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>

#include "common/log/log.h"

/* Rows of a block, so that one statement takes a twentieth of a second. */
#define BLOCK_ROWS_TEXT "5000"
#define LAG_WARN_MS 60000
/* The duty runs every second; nobody needs the warning as often. */
#define LAG_WARN_EVERY_MS 60000

static op_step sealing_chunk_done;

enum op_next
duty_audit_sealing(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_AUDIT_SEALING, sealing_chunk_done,
	    duty_incarnation(op), duty_term(op), BLOCK_ROWS_TEXT);
}

static void
warn_of_lag(int64_t now_ms, int64_t lag_ms)
{
	static int64_t warned_ms = -LAG_WARN_EVERY_MS;

	if (lag_ms < LAG_WARN_MS || now_ms - warned_ms < LAG_WARN_EVERY_MS)
		return;
	warned_ms = now_ms;
	log_warn("AUDIT-LAG",
	    "audit events wait for their block since %" PRId64
	    " s: a transaction is open that long; see pg_stat_activity, and "
	    "set idle_in_transaction_session_timeout",
	    lag_ms / 1000);
}

static enum op_next
sealing_chunk_done(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	duty_add_rows(op, op_i64(op, 0, "rows"));
	if (op_bool(op, 0, "is_behind")) {
		if (duty_is_over(op))
			return op_done(op);
		return op_goto(op, duty_audit_sealing);
	}
	warn_of_lag(loop_now_ms(op_loop(op)), op_i64(op, 0, "lag_ms"));
	return op_done(op);
}
