#include "apiserver/handlers/acme/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request_io.h"

#define OF_PROFILE "/acme/profile/"

enum { SUBPROBLEMS_MAX = 100, DETAIL_MAX = 1000 };

/* --- the address --- */

static bool
names_profile(const struct op *op)
{
	return strncmp(op_name(op), OF_PROFILE, strlen(OF_PROFILE)) == 0;
}

const char *
acme_profile(struct op *op)
{
	const char *dflt =
	    cfg_str(req_api(op)->cfg, "acme_server_default_profile_id");

	if (names_profile(op))
		return req_param(op, "profile");
	return *dflt ? dflt : NULL;
}

const char *
acme_base(struct op *op)
{
	const char *host = req_header(op, "Host");

	if (names_profile(op))
		return op_printf(op, "https://%s" OF_PROFILE "%s",
		    host ? host : "", req_param(op, "profile"));
	return op_printf(op, "https://%s/acme", host ? host : "");
}

bool
acme_is_on(struct op *op, enum op_next *out)
{
	if (!req_api(op)->nonces) {
		*out = acme_problem_status(op, ACME_MALFORMED, 404,
		    "the ACME server is switched off "
		    "(CERTCTL_ACME_SERVER_ENABLED)");
		return false;
	}
	if (!acme_profile(op)) {
		*out = acme_problem(op, ACME_USER_ACTION_REQUIRED,
		    "no profile stands behind /acme/: ask at "
		    "/acme/profile/<id of a profile>/directory, or have "
		    "CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID set");
		return false;
	}
	return true;
}

/* --- answers --- */

void
acme_link(struct op *op, const char *url, const char *rel)
{
	reply_add_header(op, "Link",
	    op_printf(op, "<%s>;rel=\"%s\"", url, rel));
}

void
acme_headers(struct op *op)
{
	acme_nonce_render(op_owner(op));
	acme_index_render(op_owner(op));
}

enum op_next
acme_reply(struct op *op, int status)
{
	acme_headers(op);
	return reply_json(op, status);
}

enum op_next
acme_reply_bytes(struct op *op, int status, const char *content_type,
    const void *bytes, size_t len)
{
	acme_headers(op);
	return reply_bytes(op, status, content_type, bytes, len);
}

/* --- problems --- */

void
acme_subproblem(struct op *op, enum acme_error error, const char *type,
    const char *value, const char *detail)
{
	struct request *r = op_owner(op);

	if (!r->subproblems)
		r->subproblems = arena_alloc(op_arena(op),
		    SUBPROBLEMS_MAX * sizeof(r->subproblems[0]));
	if (r->nsubproblems < SUBPROBLEMS_MAX)
		r->subproblems[r->nsubproblems++] =
		    (struct acme_subproblem){error, detail, type, value};
}

enum op_next
acme_problem_whole(struct op *op, const struct acme_problem *p)
{
	struct request *r = op_owner(op);
	struct acme_problem all = *p;

	if (all.nsubproblems == 0) {
		all.subproblems = r->subproblems;
		all.nsubproblems = r->nsubproblems;
	}
	acme_problem_render(r, &all);
	return op_done(op);
}

static enum op_next
problem(struct op *op, enum acme_error error, int status, const char *fmt,
    va_list ap)
{
	struct acme_problem p = {.error = error, .status = status};
	char detail[DETAIL_MAX];

	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	p.detail = arena_strdup(op_arena(op), detail);
	return acme_problem_whole(op, &p);
}

enum op_next
acme_problem(struct op *op, enum acme_error error, const char *fmt, ...)
{
	enum op_next next;
	va_list ap;

	va_start(ap, fmt);
	next = problem(op, error, 0, fmt, ap);
	va_end(ap);
	return next;
}

enum op_next
acme_problem_status(struct op *op, enum acme_error error, int status,
    const char *fmt, ...)
{
	enum op_next next;
	va_list ap;

	va_start(ap, fmt);
	next = problem(op, error, status, fmt, ap);
	va_end(ap);
	return next;
}

enum op_next
acme_limited(struct op *op, enum acme_limit which, const char *fmt, ...)
{
	enum op_next next;
	va_list ap;

	acmecounts_note_limit(req_api(op)->acme_counts, which);
	va_start(ap, fmt);
	next = problem(op, ACME_RATE_LIMITED, 0, fmt, ap);
	va_end(ap);
	return next;
}

enum op_next
acme_problem_jose(struct op *op, const struct jose_refusal *no,
    const char *what)
{
	static const enum acme_error errors[] = {
	    [JOSE_MALFORMED] = ACME_MALFORMED,
	    [JOSE_ALGORITHM] = ACME_BAD_SIGNATURE_ALGORITHM,
	    [JOSE_KEY] = ACME_BAD_PUBLIC_KEY,
	    [JOSE_SIGNATURE] = ACME_UNAUTHORIZED,
	};
	struct acme_problem p = {.error = errors[no->fault],
	    .detail = op_printf(op, "%s%s", what, no->why),
	    .algorithms = no->algorithms};

	return acme_problem_whole(op, &p);
}
