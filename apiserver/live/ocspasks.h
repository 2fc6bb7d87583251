/*
 * ocspasks: requests for the status of certificates that a worker is to sign,
 * few tasks: a request waits until one of a few batches is signed, then all
 * that wait go together.
 *
 * The bus tells that a batch is signed; since it may lose anything, those under
 * way are looked at four times a second.  What no worker signs in time is
 * forgotten.  Event loop only.
 */
#ifndef APISERVER_LIVE_OCSPASKS_H
#define APISERVER_LIVE_OCSPASKS_H

#include <stddef.h>
#include <stdint.h>

#include "apiserver/api.h"
#include "common/op/op.h"
#include "common/pki/ocsp/ocsp_answers.h"

/* What is counted of requests, by the label of the series. */
#define OCSP_COUNTS(X) \
	X(REQUEST_GET, "request_get") \
	X(REQUEST_POST, "request_post") \
	X(REQUEST_SUCCESS, "request_success") \
	X(REQUEST_INVALID, "request_invalid") \
	X(ISSUER_NOT_FOUND, "issuer_not_found") \
	X(CERT_NOT_FOUND, "cert_not_found") \
	X(SIGNING_FAILED, "signing_failed") \
	X(NONCE_ECHOED, "nonce_echoed") \
	X(NONCE_MALFORMED, "nonce_malformed") \
	X(RATE_LIMITED, "rate_limited")
enum ocsp_count {
#define X(name, label) OCSP_##name,
	OCSP_COUNTS(X)
#undef X
	    OCSP_NCOUNTS
};

struct ocspasks; /* defined in ocspasks.c */
struct ocspask;  /* defined in ocspasks.c */

/* A certificate of a request; cert_id: in hex, or "" by the serial alone. */
struct ocspask_cert {
	const char *serial_hex, *cert_id;
};

struct ocspasks *ocspasks_new(struct api *api);
/* No op may be waiting. */
void ocspasks_free(struct ocspasks *s);
/* nonce: in hex; "" for none.  Park op: it is woken at the end.  The ask ends
 * with op.  NULL: too many wait. */
struct ocspask *ocspasks_add(struct ocspasks *s, struct op *op,
    const char *issuer, const struct ocspask_cert *certs, size_t n,
    const char *nonce);
/* In the op's arena; NULL: there is none yet, or there will be none. */
const struct ocsp_answer *ocspask_answer(const struct ocspask *ask);
/* An event of the bus: {"ocsp":[ids]}. */
void ocspasks_on_event(struct ocspasks *s, const char *body, size_t len);

void ocspasks_count(struct ocspasks *s, enum ocsp_count what);
uint64_t ocspasks_counted(const struct ocspasks *s, enum ocsp_count what);
const char *ocspasks_label(enum ocsp_count what);

#endif
