/*
 * bulk: what the files of the bulk routes share: the kinds of call, and the
 * answer.
 */
#ifndef APISERVER_HANDLERS_CERTIFICATES_BULK_H
#define APISERVER_HANDLERS_CERTIFICATES_BULK_H

#include "common/op/op.h"

struct bulk_kind {
	const char *word;  /* as bulk_run knows it */
	const char *total; /* the member that counts what was done */
	const char *fault; /* what is said of each certificate that failed */
};

/* The op of a call whose bulk_run ended with "done": its row as the reply. */
enum op_next bulk_answer(struct op *op, const struct bulk_kind *kind);

#endif
