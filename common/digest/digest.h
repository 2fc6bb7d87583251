/*
 * digest: the state of the inventory as a page and as text, for people.
 *
 * Its figures are the rows of Q_DIGEST_FIGURES and Q_DIGEST_EXPIRING, as two
 * results of one batch; whoever asked for these gets what it is to show.
 */
#ifndef COMMON_DIGEST_DIGEST_H
#define COMMON_DIGEST_DIGEST_H

#include <stdbool.h>

#include "common/op/op.h"

/* The statements, for op_batch. */
#define DIGEST_STMTS \
	{ \
		{Q_DIGEST_FIGURES, 0, NULL}, \
		{ \
			Q_DIGEST_EXPIRING, 0, NULL \
		} \
	}

/* Whether there are figures; the other functions need them. */
bool digest_is_known(struct op *op);
#define DIGEST_UNKNOWN "the figures are not counted yet; try again in a minute"
/* In the op's arena; of its last batch. */
const char *digest_html(struct op *op);
const char *digest_text(struct op *op);

#endif
