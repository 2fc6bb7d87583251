/*
 * orders: what a client of the ACME server orders (RFC 8555 section 7.4), its
 * authorizations, challenges and certificates.
 *
 * Each handler's work begins behind acme_signed: whose request it is, is known
 * then.  What belongs to another account is refused before anything of it is
 * said.  Which limits hold and what becomes of an order is decided by the
 * functions of migrations/code/31_acme_orders.sql; the sentences are here.
 */
#ifndef APISERVER_HANDLERS_ACME_ORDERS_H
#define APISERVER_HANDLERS_ACME_ORDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json/json.h"
#include "common/op/op.h"

op_step acme_new_order_start;
op_step acme_order_start;
op_step acme_orders_list_start;
op_step acme_finalize_start;
op_step acme_authz_start;
op_step acme_challenge_start;
op_step acme_cert_start;
op_step acme_cert_chain_start;

/* What the first row of the last result is, "order", and whether it is of the
 * account that asks; else *out_next is what the step returns. */
bool acme_is_own(struct op *op, const char *what, enum op_next *out_next);
/* The request was no POST-as-GET, but had to be one. */
bool acme_is_read(struct op *op, enum op_next *out_next);

/* base/what/id of the request's profile, in the op's arena. */
const char *acme_url(struct op *op, const char *what, const char *id);
/* A time of the database's, if there is one. */
void acme_put_time(struct json_w *w, const char *key, const char *text);
/* The row's error, if there is one, as a problem document. */
void acme_put_error(struct op *op, struct json_w *w, size_t row);
/* Why an order, or a challenge, is invalid, as its row says: a problem
 * document, JSON in the arena. */
const char *acme_order_problem(struct arena *a, const char *stored);
/* The order of the first row, answered. */
enum op_next acme_reply_order(struct op *op, int status);
/* One row's challenge as an object. */
void acme_put_challenge(struct op *op, struct json_w *w, size_t row);
/* Seconds that the client is to wait, for Retry-After. */
void acme_retry_after(struct op *op, const char *seconds);

#endif
