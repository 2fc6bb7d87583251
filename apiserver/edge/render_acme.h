/*
 * render_acme: errors as problem documents (RFC 9457) of ACME (RFC 8555
 * section 6.7).
 *
 * The renderer of the area /acme/: what the gate refuses is told by it, too.
 * Every problem brings a fresh nonce, as far as one can be made, so that a
 * client may try again at once (section 6.5), and the way to the directory.
 */
#ifndef APISERVER_EDGE_RENDER_ACME_H
#define APISERVER_EDGE_RENDER_ACME_H

#include <stddef.h>

#include "common/json/json.h"

struct request;

/* PROBLEM(name, type below urn:ietf:params:acme:error:, status). */
#define ACME_PROBLEMS(PROBLEM) \
	PROBLEM(ACCOUNT_DOES_NOT_EXIST, "accountDoesNotExist", 400) \
	PROBLEM(ALREADY_REPLACED, "alreadyReplaced", 409) \
	PROBLEM(ALREADY_REVOKED, "alreadyRevoked", 400) \
	PROBLEM(BAD_CSR, "badCSR", 400) \
	PROBLEM(BAD_NONCE, "badNonce", 400) \
	PROBLEM(BAD_PUBLIC_KEY, "badPublicKey", 400) \
	PROBLEM(BAD_REVOCATION_REASON, "badRevocationReason", 400) \
	PROBLEM(BAD_SIGNATURE_ALGORITHM, "badSignatureAlgorithm", 400) \
	PROBLEM(CAA, "caa", 403) \
	PROBLEM(CONNECTION, "connection", 400) \
	PROBLEM(DNS, "dns", 400) \
	PROBLEM(EXTERNAL_ACCOUNT_REQUIRED, "externalAccountRequired", 403) \
	PROBLEM(INCORRECT_RESPONSE, "incorrectResponse", 403) \
	PROBLEM(INVALID_CONTACT, "invalidContact", 400) \
	PROBLEM(MALFORMED, "malformed", 400) \
	PROBLEM(ORDER_NOT_READY, "orderNotReady", 403) \
	PROBLEM(RATE_LIMITED, "rateLimited", 429) \
	PROBLEM(REJECTED_IDENTIFIER, "rejectedIdentifier", 400) \
	PROBLEM(SERVER_INTERNAL, "serverInternal", 500) \
	PROBLEM(TLS, "tls", 400) \
	PROBLEM(UNAUTHORIZED, "unauthorized", 401) \
	PROBLEM(UNSUPPORTED_CONTACT, "unsupportedContact", 400) \
	PROBLEM(UNSUPPORTED_IDENTIFIER, "unsupportedIdentifier", 400) \
	PROBLEM(USER_ACTION_REQUIRED, "userActionRequired", 403)

enum acme_error {
#define PROBLEM(name, type, status) ACME_##name,
	ACME_PROBLEMS(PROBLEM)
#undef PROBLEM
	    ACME_NERRORS
};

/* What of several things in a request a problem is about. */
struct acme_subproblem {
	enum acme_error error;
	const char *detail;
	const char *type, *value; /* of its identifier; type NULL: none */
};

struct acme_problem {
	enum acme_error error;
	int status; /* 0: the error's own */
	const char *detail;
	const struct acme_subproblem *subproblems;
	size_t nsubproblems;
	/* badSignatureAlgorithm: those that are taken; NULL: left out. */
	const char *const *algorithms;
	const char
	    *instance; /* userActionRequired: where to read on; or NULL */
};

/* {"type", "detail", "status"}, as orders and challenges tell their error. */
void acme_put_problem(struct json_w *w, enum acme_error error,
    const char *detail);
/* Gives the answer a fresh nonce, if one can be made now. */
void acme_nonce_render(struct request *r);
/* Says where the directory of the path's profile is (section 7.1). */
void acme_index_render(struct request *r);
/* Counts the answer, if it is one of ACME's, for the metrics. */
void acme_note_answer(const struct request *r);
/* The answer that tells it, with its headers. */
void acme_problem_render(struct request *r, const struct acme_problem *p);

#endif
