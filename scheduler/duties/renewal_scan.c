/*
 * A tick's budget is its interval, so it ends where the next tick begins:
 * what the last one started and still runs at an outside CA is asked to stop.
 * A scan between two ticks, for lives that are short, asks nobody.
 * Then makes renewal jobs for certificates that are due, in chunks, until none
 * is left or the tick's budget, its interval, is spent; the next tick picks up
 * the rest.  Ends with one log line that says how far it came.
 */
#include "scheduler/duties/duties.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/log/log.h"

/* Rows one statement touches at most: what a chunk costs beside its rows is a
 * commit, and who waits for one of its certificates waits a part of a second.
 */
#define CHUNK 2500
#define CHUNK_TEXT "2500"

/* Past this many, "left" is a lower bound. */
#define LEFT_MAX_TEXT "1000000"

struct scan {
	int64_t due;
	int64_t enqueued;
};

static op_step scan_budget_done;
static op_step scan_chunk;
static op_step scan_chunk_done;
static op_step scan_left;

enum op_next
duty_renewal_scan(struct op *op)
{
	if (duty_is_woken(op))
		return op_goto(op, scan_chunk);
	return OP_QUERY(op, Q_DUTY_RENEWAL_BUDGET, scan_budget_done,
	    duty_incarnation(op), duty_term(op));
}

static enum op_next
scan_budget_done(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	if (op_i64(op, 0, "rows") > 0)
		log_info("RENEWAL-BUDGET",
		    "%" PRId64 " jobs of the last tick still run, they are "
		    "asked to stop and go on in this one",
		    op_i64(op, 0, "rows"));
	return op_goto(op, scan_chunk);
}

static enum op_next
scan_chunk(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_RENEWAL_SCAN, scan_chunk_done,
	    duty_incarnation(op), duty_term(op), CHUNK_TEXT);
}

static enum op_next
scan_chunk_done(struct op *op)
{
	struct scan *s = op_state(op, sizeof(*s));
	int64_t due, enqueued;

	if (op_rows(op) == 0)
		return duty_term_over(op);
	due = op_i64(op, 0, "due");
	enqueued = op_i64(op, 0, "enqueued");
	s->due += due;
	s->enqueued += enqueued;
	duty_add_rows(op, enqueued);
	duty_wake_agents(op, op_text(op, 0, "agents"));
	/* What was seen and not due (no renewal by itself, or a job under way)
	 * is not met again: a full chunk of it has others behind it. */
	if (op_i64(op, 0, "seen") == CHUNK && !duty_is_over(op))
		return op_goto(op, scan_chunk);
	/* Rows that somebody holds were passed over: these are left, too. */
	return OP_QUERY(op, Q_DUTY_RENEWALS_LEFT, scan_left, LEFT_MAX_TEXT);
}

static enum op_next
scan_left(struct op *op)
{
	const struct duty_opts *o = duty_opts(op);
	struct scan *s = op_state(op, sizeof(*s));
	int64_t ms = duty_elapsed_ms(op), left = op_i64(op, 0, "rows");

	log_fields(duty_is_woken(op) ? LOG_DEBUG : LOG_INFO, "RENEWAL-SCAN",
	    "renewal scan complete", "due",
	    op_printf(op, "%" PRId64, s->due + left), "enqueued",
	    op_printf(op, "%" PRId64, s->enqueued), "running",
	    op_printf(op, "%zu", o->running(o->arg)), "left",
	    op_printf(op, "%" PRId64, left), "seconds",
	    op_printf(op, "%.3f", (double)ms / 1000.0), "budget",
	    op_printf(op, "%.3f", (double)duty_budget_ms(op) / 1000.0), NULL);
	return op_done(op);
}
