/*
 * answer: what all answers to ACME clients have in common (RFC 8555 sections
 * 6.5, 6.7 and 7.1): a fresh nonce, the link to the directory, problems.
 */
#ifndef APISERVER_HANDLERS_ACME_ANSWER_H
#define APISERVER_HANDLERS_ACME_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/edge/render_acme.h"
#include "apiserver/edge/request.h"
#include "apiserver/live/acmecounts.h"
#include "common/base/attr.h"
#include "common/jose/refusal.h"
#include "common/op/op.h"

/* "https://host/acme/profile/x" or "https://host/acme", as it was asked. */
const char *acme_base(struct op *op);
/* The {profile} of the path, or CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID; NULL:
 * neither. */
const char *acme_profile(struct op *op);
/* Whether the server is switched on and the path leads to a profile's id.
 * False: return *out. */
bool acme_is_on(struct op *op, enum op_next *out) MUST_CHECK;

/* What was written to reply_writer. */
enum op_next acme_reply(struct op *op, int status);
enum op_next acme_reply_bytes(struct op *op, int status,
    const char *content_type, const void *bytes, size_t len);
/* Another Link beside index: "up", "alternate", "next". */
void acme_link(struct op *op, const char *url, const char *rel);
/* The headers of every answer alone, for who answers by another way. */
void acme_headers(struct op *op);

/* By the error's own status, or by another. */
enum op_next acme_problem(struct op *op, enum acme_error error, const char *fmt,
    ...) PRINTF_LIKE(3, 4);
enum op_next acme_problem_status(struct op *op, enum acme_error error,
    int status, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* rateLimited, by that limit. */
enum op_next acme_limited(struct op *op, enum acme_limit which, const char *fmt,
    ...) PRINTF_LIKE(3, 4);
enum op_next acme_problem_whole(struct op *op, const struct acme_problem *p);
/* What jose says is wrong with what is called so: "", "the inner JWS: ". */
enum op_next acme_problem_jose(struct op *op, const struct jose_refusal *no,
    const char *what);
/* One of several things that the problem to come is about (section 6.7.1).
 * The texts live as long as the op.  After acme_signed only. */
void acme_subproblem(struct op *op, enum acme_error error, const char *type,
    const char *value, const char *detail);

#endif
