/*
 * acme_order: one call of the engine at an ACME CA: an order that is placed,
 * looked up, polled or cancelled, or a call that has none.  acme.c polls,
 * acme_place.c places, acme_look_up.c looks up, acme_revoke.c is for what needs
 * no order.
 */
#ifndef WORKER_ISSUERS_ACME_ORDER_H
#define WORKER_ISSUERS_ACME_ORDER_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/issuers/acme_client.h"

#define ACME_URL_MAX 2048
#define ACME_PLACE_MS 40000
#define ACME_ASK_MS (ISSUER_ASK_MS - 1500)
#define ACME_SOON_MS 1

struct acme_look_up; /* defined in acme_look_up.c */
struct acme_windows; /* defined in acme_windows.c */

struct acme_order { /* in the arena */
	const struct issuer_env *env;
	const struct issuer_order *o;
	struct arena *a;
	struct acme_config config;
	const struct jws_key *key;
	struct acme_client *client;
	const char *url;          /* the order's, which is its id */
	const struct cJSON *json; /* the order, as the CA last showed it */
	const char *note;
	bool is_unwanted;         /* it is being cancelled */
	bool was_answered;        /* this time: it is looked at once more */
	bool has_replaces;        /* so the order says what it renews */
	const char *not_replaced; /* NULL, or why the CA did not take that */
	bool is_directory_new;    /* it was asked for anew */
	struct acme_windows *windows;    /* that are asked for */
	enum issuer_verdict end_verdict; /* once it has ended, and why */
	const char *end_words;
	/* Of a certificate that is being revoked: what it is, and why, unless
	 * the CA does not know such a reason. */
	struct span leaf;
	const struct issuer_revocation *revocation;
	struct acme_look_up *look_up; /* NULL: it was not looked for */
	issuer_answer_fn *done;
	void *arg;
};

/* It is to be answered within so long. */
void acme_order_begin(struct acme_order *o, int64_t limit_ms,
    issuer_answer_fn *done, void *arg);
void acme_order_ask(struct acme_order *o, const char *url, const char *payload,
    acme_reply_fn *done);
/* The end of the call. */
void acme_order_answer(struct acme_order *o, enum issuer_verdict verdict,
    const char *words, int64_t retry_after_s);
/* Likewise.  The next step is due after so long; 0: it is the CA's, and it is
 * asked again after half of what the order has taken so far. */
void acme_order_pending(struct acme_order *o, const char *words,
    int64_t wait_ms, int64_t retry_after_s);
/* Once the directory is known: why the CA can't do what the issuer is
 * configured with, for people; NULL: it can. */
const char *acme_order_misfit(struct acme_order *o);
/* What names a certificate in renewal information (RFC 9773 section 4.1); NULL:
 * nothing can. */
const char *acme_certid(struct arena *a, const char *pem);
/* words: NULL-terminated. */
bool acme_is_one_of(const char *word, const char *const *words);

/* As the members of issuer_ops; order is a struct acme_order. */
rc acme_place(void *order, issuer_answer_fn *done, void *arg);
rc acme_look_up(void *order, issuer_answer_fn *done, void *arg);
void acme_look_through(void *order, const bool *is_stored,
    issuer_answer_fn *done, void *arg);
rc acme_revoke(void *order, const struct issuer_revocation *what,
    issuer_answer_fn *done, void *arg);
rc acme_ask_windows(void *order, struct issuer_window *windows, size_t n,
    issuer_answer_fn *done, void *arg);
rc acme_validate(void *order, issuer_answer_fn *done, void *arg);

#endif
