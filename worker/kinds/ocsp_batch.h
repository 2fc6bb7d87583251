/*
 * ocsp_batch: OCSP requests that a task has a worker sign, with what is known
 * of each certificate, and what becomes of them.
 */
#ifndef WORKER_KINDS_OCSP_BATCH_H
#define WORKER_KINDS_OCSP_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/op/op.h"
#include "common/pki/ocsp/ocsp_request.h"
#include "worker/issuers/responders.h"

/* A key of a CA that may answer. */
struct ocsp_key {
	struct responder_ca ca;
	struct ocsp_ca id;
	bool is_wanted;
	rc code;                     /* why it answers nothing */
	struct responder *responder; /* referenced until the round ends */
};

/* One certificate of one request. */
struct ocsp_item {
	const char *issuer_id, *issuer_type; /* type NULL: no such issuer */
	const char *serial, *cert_id;        /* cert_id: "" by the serial */
	const char *list;                    /* NULL: unknown */
	const char *status, *reason;
	int64_t revoked_at_unix;
	int number; /* of its request */
	struct ocsp_key *key;
	struct span cert_id_der;
	const char *refusal; /* instead of an answer; NULL: none */
};

struct ocsp_asked {
	size_t first, n; /* its items */
	struct span nonce;
	const char *outcome;
	struct span der; /* the response; empty: none */
	bool is_kept;
};

struct ocsp_batch {
	bool is_refresh;
	struct ocsp_item *items;
	struct ocsp_asked *requests;
	struct ocsp_key *keys;
	size_t nitems, nrequests, nkeys, at;
	int64_t this_unix, next_unix; /* by the database's clock */
	size_t signed_in_all;
};

/* Of the rows of Q_OCSP_CAS, the last result: the keys, which of them answers
 * each request, and which requests nobody answers. */
void ocsp_batch_find_keys(struct op *op, struct ocsp_batch *b);
/* Signs one, unless it has an outcome, and says what came of it. */
void ocsp_batch_sign(struct op *op, struct ocsp_batch *b, struct ocsp_asked *q);
/* In the arena; empty when it is no hex. */
struct span ocsp_batch_unhex(struct arena *a, const char *hex);

#endif
