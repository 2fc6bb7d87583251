/*
 * http-01 (RFC 8555, section 8.3): a file of a web site, asked at each of its
 * addresses until one answers, and where that leads on to.
 */
#include <string.h>

#include "common/http/http_out.h"
#include "worker/acme/http_answer.h"
#include "worker/acme/validation.h"

#define SHOWN 64 /* bytes of a body or an address that a problem shows */
#define URL_SHOWN 256

static op_step http01_try;
static op_step http01_answered;

/* --- an address --- */

static void on_answer(void *arg, rc code, int status, const char *body,
    size_t len, const char *error);

static void
set_target(struct validation *v, const struct http01_target *t)
{
	v->url = t->url;
	v->url_port = t->port;
}

enum op_next
http01_begin(struct op *op)
{
	struct validation *v = validation_of(op);

	set_target(v, &(struct http01_target){
			  .url = op_printf(op,
			      strchr(v->name, ':')
				  ? "http://[%s]/.well-known/acme-challenge/%s"
				  : "http://%s/.well-known/acme-challenge/%s",
			      v->name, v->token),
			  .port = 80,
		      });
	return validation_reach(v, v->name, http01_try);
}

static enum op_next
http01_try(struct op *op)
{
	struct validation *v = validation_of(op);
	struct http_request req = {
	    .method = "GET",
	    .url = v->url,
	    .accept = "*/*",
	    .connect_to = validation_address(v,
		v->url_port == 80 ? v->by->http_port : v->by->tls_port),
	    .timeout_ms = validation_share_ms(v),
	    .max_reply = HTTP01_REPLY_MAX,
	};
	rc ret;

	v->answer = (struct validation_answer){.code = RC_TIMEOUT,
	    .why = "no answer came in time"};
	ret = http_out_start(v->by->http, &req, on_answer, v, &v->call);
	if (ret == RC_OK)
		return validation_wait(v, http01_answered);
	if (ret != RC_INVALID)
		return op_fail(op, RC_IO, "this host can't ask: %s",
		    rc_name(ret));
	validation_fail(v, VALIDATION_CONNECTION, "%.*s can't be asked for",
	    URL_SHOWN, v->url);
	return op_goto(op, v->judged);
}

static void
on_answer(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct validation *v = arg;
	struct arena *a = op_arena(v->op);
	const char *location = NULL;

	if (status >= 300 && status < 400)
		location = http_call_header(v->call, "Location");
	v->answer = (struct validation_answer){
	    .code = code,
	    .status = status,
	    .body = arena_strndup(a, body, len),
	    .len = len,
	    .location = location ? arena_strdup(a, location) : NULL,
	    .why = error ? arena_strdup(a, error) : "",
	};
	v->call = NULL;
	op_wake(v->op);
}

/* --- what it answered --- */

static enum op_next
failed(struct validation *v, const char *what)
{
	validation_fail(v, VALIDATION_RESPONSE, "%.*s, asked at %s: %s",
	    URL_SHOWN, v->url, v->addrs[v->at], what);
	return op_goto(v->op, v->judged);
}

/* The next address, if there is one: who is not reached by IPv6 may be by IPv4
 * (section 10.1 says what is gained by more than one). */
static enum op_next
not_reached(struct validation *v)
{
	enum validation_fault fault = v->answer.code == RC_CRYPTO
					  ? VALIDATION_TLS
					  : VALIDATION_CONNECTION;

	validation_note(v, fault, "%s: %s", v->addrs[v->at], v->answer.why);
	if (++v->at < v->naddrs)
		return op_goto(v->op, http01_try);
	validation_fail(v, fault, "%.*s: no answer: %s", URL_SHOWN, v->url,
	    v->subproblems[v->nsubproblems - 1].detail);
	return op_goto(v->op, v->judged);
}

static bool
is_redirect(const struct validation_answer *r)
{
	static const int statuses[] = {301, 302, 303, 307, 308};

	/* With a body that is too large it still leads somewhere. */
	if (r->code != RC_OK && r->code != RC_TOO_LARGE)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (r->status == statuses[i])
			return true;
	return false;
}

static enum op_next
redirected(struct validation *v)
{
	struct http01_target to;
	const char *why;

	if (!v->answer.location)
		return failed(v, "a redirect without a Location");
	if (++v->redirects > HTTP01_REDIRECTS_MAX)
		return failed(v, "more than 10 redirects");
	why = http01_redirect(op_arena(v->op), v->url, v->answer.location, &to);
	if (why)
		return failed(v, op_printf(v->op, "a redirect, and %s", why));
	set_target(v, &to);
	return validation_reach(v, to.host, http01_try);
}

/* What another host answers is not shown: a redirect may lead to one that only
 * this worker can see. */
static const char *
wrong_body(struct validation *v)
{
	const struct validation_answer *r = &v->answer;

	if (v->redirects > 0)
		return op_printf(v->op,
		    "the body (%zu bytes, after %u redirects) is not the key "
		    "authorization",
		    r->len, v->redirects);
	return op_printf(v->op,
	    "the body is not the key authorization: %zu bytes, and begins "
	    "\"%.*s\"",
	    r->len, SHOWN, r->body);
}

static enum op_next
http01_answered(struct op *op)
{
	struct validation *v = validation_of(op);
	const struct validation_answer *r = &v->answer;

	if (v->call)
		http_call_cancel(v->call);
	v->call = NULL;
	if (is_redirect(r))
		return redirected(v);
	if (r->code == RC_TOO_LARGE)
		return failed(v, "the answer is larger than 16 KiB");
	if (r->code == RC_INTERNAL)
		return op_fail(op, RC_IO, "this host can't ask: %s", r->why);
	if (r->code != RC_OK)
		return not_reached(v);
	if (r->status != 200)
		return failed(v,
		    op_printf(op, "HTTP status %d, and 200 is wanted",
			r->status));
	if (!http01_holds(r->body, r->len, v->key_authorization))
		return failed(v, wrong_body(v));
	return op_goto(op, v->judged);
}
