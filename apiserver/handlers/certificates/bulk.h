/*
 * bulk: what the files of the bulk routes share: the kinds of call, and the
 * answer.
 */
#ifndef APISERVER_HANDLERS_CERTIFICATES_BULK_H
#define APISERVER_HANDLERS_CERTIFICATES_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/op/op.h"

struct bulk_kind {
	const char *word;  /* as bulk_run knows it */
	const char *total; /* the member that counts what was done */
	bool waits;        /* its jobs may wait */
	const char *fault; /* what is said of each certificate that failed */
};

/* What an answer lists. */
enum { BULK_JOBS, BULK_FAULTS, BULK_UNKNOWN, BULK_HELD, BULK_LISTS };

/* The part of an answer that is not written yet. */
struct bulk_lists {
	struct json_w *w;
	const char *ids[BULK_LISTS]; /* commas between them; NULL: no list */
	const char *job_ids;         /* beside those of BULK_JOBS */
	int at;
	bool is_open; /* the list at which we are */
};

/* The state of the ops of all bulk routes. */
struct bulk {
	const struct bulk_kind *kind;
	const char *criteria;
	const char *wanted;
	const char *const *ids; /* NULL: all that meet the criteria */
	size_t nids;
	const char *owner, *team;
	int64_t matched, ndone, nfailed;
	int64_t nunder_way; /* skipped, as other renewals do them */
	bool is_dry;
	bool is_cut; /* not all jobs were asked what they wait for */
	struct bulk_lists lists;
};

/* The op of a call whose bulk_run ended with "done" or "repeat": its row as the
 * reply, in pieces when that is long, and what its jobs wait for. */
enum op_next bulk_answer(struct op *op);

#endif
