/*
 * Certificates are held against the policy rules, in pieces: what breaks one
 * gets a row in policy_violations, and loses it when it is cured.
 */
#include "common/policy/event_words.h"
#include "common/policy/rule_words.h"
#include "scheduler/duties/duties.h"

/* What breaks a rule, and what is told of that. */
#define WORDS \
	"{\"v\":1" RULE_TYPE_TABLE(RULE_WORD_MEMBER) \
	    EVENT_TYPE_TABLE(EVENT_WORD_MEMBERS) "}"
/* Between two pieces: nobody waits for them. */
#define GENTLE_MS 50

static op_step scan_next;
static op_step scan_done;

static enum op_next
scan(struct op *op, const char *is_first)
{
	return OP_QUERY(op, Q_DUTY_POLICY_SCAN, scan_done, duty_incarnation(op),
	    duty_term(op), DUTY_CHUNK_TEXT, is_first, WORDS);
}

enum op_next
duty_policy_scan(struct op *op)
{
	return scan(op, "t");
}

static enum op_next
scan_next(struct op *op)
{
	return scan(op, "f");
}

static enum op_next
scan_done(struct op *op)
{
	if (op_rows(op) == 0)
		return duty_term_over(op);
	duty_add_rows(op, op_i64(op, 0, "rows"));
	if (!op_bool(op, 0, "is_more") || duty_is_over(op))
		return op_done(op);
	return op_sleep(op, GENTLE_MS, scan_next);
}
