/*
 * crl_keep: how a task of revocation lists ends, made here or fetched: the list
 * is stored, by which the task's row goes, or it is noted why there is none.
 */
#ifndef WORKER_KINDS_CRL_KEEP_H
#define WORKER_KINDS_CRL_KEEP_H

#include "common/pki/asn1/span.h"
#include "worker/kinds/kind.h"

struct crl_made {
	struct span der;
	int64_t number, this_update_unix, next_update_unix;
	size_t nentries;
	const char *ca_fingerprint;
	const char *snapshot; /* the revocations it can know of */
	const char *why_older;
	const char *lacks; /* NULL: nothing that it should have */
	/* Whose certificates in use it is no list of; NULL: nobody's. */
	const char *others;
	int64_t began_ms; /* by clock_boot_ms */
};

/* stored has a row with "outcome". */
enum op_next crl_keep(struct op *op, const struct crl_made *m, op_step *stored);
/* The op ends with the code and the words. */
enum op_next crl_keep_failure(struct op *op, int64_t began_ms, rc code,
    const char *why);

#endif
