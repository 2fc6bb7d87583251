/*
 * The duties that are one statement, as their row in duties.def says.
 */
#include <inttypes.h>

#include "common/job/job_words.h"
#include "scheduler/duties/duties.h"

/* Between two chunks of work that can wait. */
#define GENTLE_MS 50

static op_step statement_done;

enum op_next
duty_statement(struct op *op)
{
	const struct duty_def *d = duty_def(op);
	const char *params[5 + DUTY_SETTINGS_MAX];
	size_t n = 0;

	params[n++] = duty_incarnation(op);
	params[n++] = duty_term(op);
	if (d->chunk > 0)
		params[n++] = op_printf(op, "%" PRId64, d->chunk);
	for (int i = 0; i < DUTY_SETTINGS_MAX && d->settings[i]; i++)
		params[n++] =
		    op_printf(op, "%" PRId64, duty_setting(op, d->settings[i]));
	if (d->keep_ms > 0)
		params[n++] = op_printf(op, "%" PRId64, d->keep_ms);
	if (d->says)
		params[n++] = JOB_WORDS_JSON;
	return op_query(op, d->q, statement_done, n, params);
}

static bool
is_more(const struct op *op, const struct duty_def *d, int64_t rows)
{
	switch (d->repeat) {
	case DUTY_ONCE:
		return false;
	case DUTY_WHILE_FULL:
		return rows >= d->chunk;
	case DUTY_WHILE_ANY:
		return rows > 0;
	case DUTY_GENTLY:
		return op_bool(op, 0, "is_more");
	}
	return false;
}

static enum op_next
statement_done(struct op *op)
{
	const struct duty_def *d = duty_def(op);
	int64_t rows;

	if (op_rows(op) == 0)
		return duty_term_over(op);
	rows = op_i64(op, 0, "rows");
	duty_add_rows(op, rows);
	if (d->wakes_agents)
		duty_wake_agents(op, op_text(op, 0, "agents"));
	if (!is_more(op, d, rows) || duty_is_over(op))
		return op_done(op);
	if (d->repeat == DUTY_GENTLY)
		return op_sleep(op, GENTLE_MS, duty_statement);
	return op_goto(op, duty_statement);
}
