#include "apiserver/resources/taken.h"

#include <string.h>

static op_step taken_looked;

bool
taken_is(const struct op *op)
{
	const struct db_error *error;

	(void)op_caught(op, &error); /* the constraint says it */
	return strcmp(error->constraint, "target_files_taken") == 0;
}

enum op_next
taken_reply(struct op *op, enum query q, const char *id, const char *given)
{
	return OP_QUERY(op, q, taken_looked, id, given);
}

static enum op_next
taken_looked(struct op *op)
{
	if (op_rows(op) == 0) /* it was given up meanwhile */
		return op_fail(op, RC_CONFLICT,
		    "a file of the target was another certificate's a moment "
		    "ago; try again");
	return op_fail(op, RC_CONFLICT,
	    "%s on that agent belongs to certificate %s, through target %s: "
	    "two certificates can't be written to one file",
	    op_text(op, 0, "path"), op_text(op, 0, "certificate_id"),
	    op_text(op, 0, "target_id"));
}
