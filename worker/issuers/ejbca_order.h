/*
 * ejbca_order: one call of the engine at an EJBCA.  ejbca.c configures, places,
 * polls and revokes, ejbca_look_up.c looks up, ejbca_issued.c says for whom and
 * reads what was issued.
 */
#ifndef WORKER_ISSUERS_EJBCA_ORDER_H
#define WORKER_ISSUERS_EJBCA_ORDER_H

#include "common/base/attr.h"
#include "worker/issuers/rest_ca.h"
#include "worker/issuers/search_window.h"

struct cJSON;

struct ejbca_order { /* in the arena */
	struct rest_order rest;
	struct search_window window; /* of a look-up's search */
	const char *ca_name, *cert_profile, *ee_profile;
	const char *leaf; /* PEM, issued, while its chain is fetched */
	/* What it means when more can't be asked: of an order that is placed,
	 * that it exists. */
	enum issuer_verdict later;
	/* of a revocation */
	const struct issuer_revocation *what;
	/* what is done when the CA's subject is known, for a path */
	void (*then)(struct ejbca_order *o, const char *dn);
};

/* The end entity of the request's common name. */
const char *ejbca_username(struct ejbca_order *o);

/* PEM, of what shows a certificate; NULL: it shows none. */
const char *ejbca_certificate_in(struct arena *a, const struct cJSON *shown);
/* The CA's subject in a list of CAs, in EJBCA's own spelling; NULL: it has no
 * CA of that name. */
const char *ejbca_subject_in(const struct ejbca_order *o,
    const struct cJSON *json);
/* The list of CAs; goes on with the order's then. */
issuer_reply_fn ejbca_on_cas;
/* The end of the call, by what shows the certificate; order is a struct
 * ejbca_order. */
rest_judge_fn ejbca_judge;

/* As the member of issuer_ops; order is a struct ejbca_order. */
rc ejbca_look_up(void *order, issuer_answer_fn *done, void *arg) MUST_CHECK;

#endif
