/*
 * Certificates of short-lived profiles that ended: expiry is what stands in
 * for their revocation, so it is seen within half a minute.
 */
#include "scheduler/duties/duties.h"

static op_step short_lived_expiry_done;

enum op_next
duty_short_lived_expiry(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_SHORT_LIVED_EXPIRY, short_lived_expiry_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT);
}

static enum op_next
short_lived_expiry_done(struct op *op)
{
	return duty_next_chunk(op, DUTY_CHUNK, duty_short_lived_expiry);
}
