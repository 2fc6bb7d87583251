#include "apiserver/edge/render_acme.h"

#include <stdio.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/render.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/live/acmecounts.h"
#include "apiserver/live/nonces.h"
#include "common/base/mem.h"

#define URN "urn:ietf:params:acme:error:"
#define PROBLEM_JSON "application/problem+json"
#define PROFILE_SEGMENT 2 /* of /acme/profile/<id>/... */

static const struct {
	const char *type;
	int status;
} errors[] = {
#define PROBLEM(name, type, status) [ACME_##name] = {URN type, status},
    ACME_PROBLEMS(PROBLEM)
#undef PROBLEM
};

static void
put_members(struct json_w *w, enum acme_error error, const char *detail)
{
	json_w_kv(w, "type", errors[error].type);
	json_w_kv(w, "detail", detail);
}

void
acme_put_problem(struct json_w *w, enum acme_error error, const char *detail)
{
	json_w_open(w, '{');
	put_members(w, error, detail);
	json_w_kv_int(w, "status", errors[error].status);
	json_w_close(w, '}');
}

static void
put_subproblem(struct json_w *w, const struct acme_subproblem *s)
{
	json_w_open(w, '{');
	put_members(w, s->error, s->detail);
	if (s->type) {
		json_w_key(w, "identifier");
		json_w_open(w, '{');
		json_w_kv(w, "type", s->type);
		json_w_kv(w, "value", s->value);
		json_w_close(w, '}');
	}
	json_w_close(w, '}');
}

static void
put_rest(struct json_w *w, const struct acme_problem *p)
{
	if (p->nsubproblems > 0) {
		json_w_key(w, "subproblems");
		json_w_open(w, '[');
		for (size_t i = 0; i < p->nsubproblems; i++)
			put_subproblem(w, &p->subproblems[i]);
		json_w_close(w, ']');
	}
	if (p->algorithms) {
		json_w_key(w, "algorithms");
		json_w_open(w, '[');
		for (size_t i = 0; p->algorithms[i]; i++)
			json_w_str(w, p->algorithms[i]);
		json_w_close(w, ']');
	}
	json_w_kv_opt(w, "instance", p->instance);
}

void
acme_nonce_render(struct request *r)
{
	if (!r->api->nonces || !nonces_make(r->api->nonces, r->nonce))
		return;
	request_set_header(r, "Replay-Nonce", r->nonce);
	acmecounts_note_nonce(r->api->acme_counts);
}

/* The profile that the path names; NULL: it is below /acme/ itself. */
static const char *
profile_of(const struct request *r)
{
	const struct path *p = &r->path;

	if (p->nsegments <= PROFILE_SEGMENT ||
	    strcmp(p->segments[PROFILE_SEGMENT - 1], "profile") != 0 ||
	    !path_id_is_valid(p->segments[PROFILE_SEGMENT]))
		return NULL;
	return p->segments[PROFILE_SEGMENT];
}

void
acme_index_render(struct request *r)
{
	const char *host = request_header(r, "Host"), *id = profile_of(r);
	struct buf b;

	if (r->index)
		return; /* a handler that failed later said it already */
	buf_init(&b, 0);
	buf_printf(&b, "<https://%s/acme%s%s/directory>;rel=\"index\"",
	    host ? host : "", id ? "/profile/" : "", id ? id : "");
	r->index = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	request_add_header(r, "Link", r->index);
}

void
acme_problem_render(struct request *r, const struct acme_problem *p)
{
	int status = p->status != 0 ? p->status : errors[p->error].status;
	struct json_w *w = &r->writer;

	buf_reset(&r->reply);
	json_w_init(w, &r->reply);
	json_w_open(w, '{');
	put_members(w, p->error, p->detail);
	json_w_kv_int(w, "status", status);
	put_rest(w, p);
	json_w_close(w, '}');
	buf_putc(&r->reply, '\n');
	r->status = status;
	r->content_type = PROBLEM_JSON;
	r->error = p->error;
	r->has_error = true;
	acme_nonce_render(r);
	acme_index_render(r);
}

void
acme_note_answer(const struct request *r)
{
	const struct route *route = r->match.route;

	if (r->status != 0 && r->match.rules &&
	    r->match.rules->renderer == &render_acme)
		acmecounts_note(r->api->acme_counts,
		    route ? route->pattern : NULL,
		    r->has_error ? (enum acme_error)r->error : ACME_NERRORS);
}

/* --- what no handler said --- */

/* RFC 8555 section 6.7 has no type for these but the nearest. */
static enum acme_error
error_of(int status)
{
	if (status >= 500)
		return ACME_SERVER_INTERNAL;
	if (status == 429)
		return ACME_RATE_LIMITED;
	return status == 401 || status == 403 ? ACME_UNAUTHORIZED
					      : ACME_MALFORMED;
}

static void
render(struct request *r, int status, const char *message)
{
	struct acme_problem p = {.error = error_of(status),
	    .status = status,
	    .detail = message};

	acme_problem_render(r, &p);
	if (status == 503)
		request_set_header(r, "Retry-After", "1");
}

static void
refuse(struct request *r, enum refusal why)
{
	switch (why) {
	case REFUSAL_NO_KEY:
	case REFUSAL_BAD_HEADER:
	case REFUSAL_BAD_KEY:
	case REFUSAL_SESSION:
		render(r, 401, "sign the request (RFC 8555 section 6.2)");
		return;
	case REFUSAL_FORBIDDEN:
		render(r, 403, "this is not for you");
		return;
	case REFUSAL_NO_PATH:
		render(r, 404,
		    "there is no such resource: take the addresses that the "
		    "directory gives");
		return;
	case REFUSAL_NO_METHOD:
		render(r, 405,
		    "this resource is not asked by that method: see Allow; "
		    "what is read is read by POST-as-GET (RFC 8555 section "
		    "6.3)");
		return;
	case REFUSAL_RATE:
		acmecounts_note_limit(r->api->acme_counts, ACME_LIMIT_ADDRESS);
		render(r, 429,
		    "requests come from this address faster than they are "
		    "taken: wait for as long as Retry-After says");
		return;
	case REFUSAL_LOOKUP:
		break;
	}
	render(r, 500, "internal error");
}

const struct renderer render_acme = {"acme", refuse, render};
