/*
 * Tasks that make revocation lists anew.  One duty looks for all reasons
 * there are; the other looks often, for revocations that are in no list yet.
 */
#include "scheduler/duties/duties.h"

static op_step refresh_done;
static op_step behind_done;

enum op_next
duty_crl_refresh(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_CRL_REFRESH, refresh_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT, "f");
}

static enum op_next
refresh_done(struct op *op)
{
	return duty_next_chunk(op, DUTY_CHUNK, duty_crl_refresh);
}

enum op_next
duty_crl_behind(struct op *op)
{
	return OP_QUERY(op, Q_DUTY_CRL_REFRESH, behind_done,
	    duty_incarnation(op), duty_term(op), DUTY_CHUNK_TEXT, "t");
}

static enum op_next
behind_done(struct op *op)
{
	return duty_next_chunk(op, DUTY_CHUNK, duty_crl_behind);
}
