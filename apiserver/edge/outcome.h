/*
 * outcome: what a statement decided, by the word in its column "outcome".
 *
 * A handler lists the words that refuse, each with its rc and what the caller
 * is told; what is done on the others stands in its steps.
 */
#ifndef APISERVER_EDGE_OUTCOME_H
#define APISERVER_EDGE_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/rc.h"
#include "common/op/op.h"

struct outcome {
	const char *word;
	rc code;
	const char *message;
	const char *column; /* its text goes behind the message, or NULL */
};

/* Whether the first row's outcome is that word. */
bool outcome_is(const struct op *op, const char *word);
/* Whether it is one of those that refuse; then op failed, *out_next is what
 * the step returns.  The result has a row. */
bool outcome_refuses(struct op *op, const struct outcome *all, size_t n,
    enum op_next *out_next);

#endif
