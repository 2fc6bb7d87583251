/*
 * acme_authz: the authorizations of an order (RFC 8555 sections 7.1.4, 7.5):
 * the answers to their challenges put where the CA looks, the CA told so, and
 * the answers taken away again.
 *
 * How far an order is, the CA knows, and what it does not know is a note that
 * is kept with the order: "p<n>:<ms>", the answers of the first n are in place,
 * the last since the order was ms old; "t<n>:<ms>", all are, and the CA was
 * told so of the first n; "c<n>", those of the first n are taken away.  So
 * whoever goes on with an order, after whatever crash, does what is left, and
 * at worst something twice.
 *
 * A CA is told once.  It may show a challenge as "pending" while it looks, and
 * whoever tells it again asks for another look (RFC 8555 section 8.2), which
 * may come when the first was a success and its answer is gone, and fail the
 * order.
 *
 * Call from the event loop only.
 */
#ifndef WORKER_ISSUERS_ACME_AUTHZ_H
#define WORKER_ISSUERS_ACME_AUTHZ_H

#include "worker/issuers/acme_client.h"

enum acme_authz_end {
	ACME_AUTHZ_DONE,   /* nothing is left to be done */
	ACME_AUTHZ_WAIT,   /* it goes on after wait_ms, 0: with the CA */
	ACME_AUTHZ_FAILED, /* no certificate can come of any such order */
	ACME_AUTHZ_ENDED,  /* nor of this one: the CA did not find an answer */
	ACME_AUTHZ_RETRY,  /* something did not work, this time */
};

struct acme_authz_result {
	enum acme_authz_end end;
	const char *words;
	int64_t wait_ms, retry_after_s;
	const char *note; /* from now on */
};
typedef void acme_authz_fn(void *arg, const struct acme_authz_result *result);

struct acme_authz_work { /* lives in the arena, as what it points to */
	const struct issuer_env *env;
	struct arena *a;
	const struct acme_config *config;
	const struct jws_key *key;
	struct acme_client *client;
	const char *order; /* its URL */
	const char *const *urls;
	size_t n;
	const char *note;
	bool is_over; /* the order is: nothing is put up, ENDED says why */
	int64_t order_age_ms;
	acme_authz_fn *done; /* called later, once */
	void *arg;
};

/* Answers are put up, and the CA is told.  DONE: all are valid. */
void acme_authz_answer(const struct acme_authz_work *work);
/* Answers that were put up are taken away.  DONE, WAIT or RETRY. */
void acme_authz_clean(const struct acme_authz_work *work);

#endif
