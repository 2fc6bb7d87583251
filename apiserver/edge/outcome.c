#include "apiserver/edge/outcome.h"

#include <string.h>

bool
outcome_is(const struct op *op, const char *word)
{
	return strcmp(op_text(op, 0, "outcome"), word) == 0;
}

bool
outcome_refuses(struct op *op, const struct outcome *all, size_t n,
    enum op_next *out_next)
{
	for (size_t i = 0; i < n; i++) {
		const struct outcome *o = &all[i];

		if (!outcome_is(op, o->word))
			continue;
		*out_next = op_fail(op, o->code, "%s%s", o->message,
		    o->column ? op_text(op, 0, o->column) : "");
		return true;
	}
	return false;
}
