/*
 * gate: everything that is asked before a handler runs, in this order: do we
 * know the path and verb, is the body of a fair size, who asks, may they.
 * All of it by the headers alone; only then the body is read.
 */
#include <stdio.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/policy/authz.h"
#include "apiserver/policy/limits.h"
#include "apiserver/policy/refusals.h"
#include "apiserver/edge/request_io.h"
#include "common/log/log.h"

enum {
	/* For a body to come in; the carrier's own patience is shorter. */
	BODY_MS = 60000,
};

#define TEXT_PLAIN "text/plain; charset=utf-8"
#define REALM "Bearer realm=\"certctl\""

static op_step gate_credential;
static op_step gate_looked_up;
static op_step gate_lookup_failed;
static op_step gate_permissions;
static op_step gate_permissions_failed;
static op_step gate_body;

/* --- refusals in the contract's words --- */

static enum op_next
refuse(struct op *op, int status, const char *content_type, const char *body)
{
	request_set_text(op_owner(op), status, content_type, body);
	return op_done(op);
}

/* Counted, for the log and the audit trail. */
static void
note_refusal(struct request *r, int status)
{
	char address[PEER_TEXT_MAX];

	peer_text(&r->peer, address);
	refusals_note(r->api->refusals, address, status, r->principal.id,
	    r->head.method,
	    r->match.route ? r->match.route->pattern : "(no route)");
}

static void
set_429(struct request *r)
{
	note_refusal(r, 429);
	request_set_text(r, 429, "application/json; charset=utf-8",
	    "{\"error\":\"Rate limit exceeded\"}");
	request_set_header(r, "Retry-After", "1");
}

static enum op_next
refuse_429(struct op *op)
{
	set_429(op_owner(op));
	return op_done(op);
}

/* Costs the address a token, too: who guesses keys is soon told to wait. */
static enum op_next
refuse_401(struct op *op, const char *body)
{
	struct request *r = op_owner(op);

	if (!limits_take_address(r->api->limits, &r->peer))
		return refuse_429(op);
	note_refusal(r, 401);
	if (r->match.route->access == ROUTE_REGISTER) {
		render_error(r, 401, "invalid_or_missing_bootstrap_token");
	} else {
		request_set_text(r, 401, TEXT_PLAIN, body);
	}
	request_set_header(r, "WWW-Authenticate", REALM);
	return op_done(op);
}

static enum op_next
refuse_403(struct op *op)
{
	note_refusal(op_owner(op), 403);
	return refuse(op, 403, "application/json; charset=utf-8",
	    "{\"error\":\"Insufficient permissions\"}");
}

/* A database that is busy or away is worth another try; for the rest the
 * answer is no. */
static enum op_next
refuse_failed_lookup(struct op *op)
{
	const struct db_error *e = NULL;
	rc ret = op_caught(op, &e);

	if (rc_is_retryable(ret))
		return op_fail(op, ret, "%s", "");
	log_error("AUTH-LOOKUP", "refused, since a lookup failed: %s",
	    e ? e->message : rc_name(ret));
	return refuse(op, 500, "application/json; charset=utf-8",
	    "{\"error\":\"Internal error\"}");
}

/* --- may they? --- */

static enum op_next
refuse_body(struct op *op)
{
	struct request *r = op_owner(op);

	r->must_close = true;
	render_error(r, r->refusal.status, r->refusal.why);
	return op_done(op);
}

/* It may run: its body may come in. */
static enum op_next
start_handler(struct op *op)
{
	struct request *r = op_owner(op);
	rc ret;

	for (size_t i = 0; i < r->match.nparams; i++) {
		if (!r->match.params[i].is_valid(r->match.params[i].value))
			return op_fail(op, RC_INVALID,
			    "%s in the path is malformed",
			    r->match.params[i].name);
	}
	if (r->has_all)
		return r->match.route->start(op);
	ret = r->carrier->take_body(r);
	if (ret == RC_OK)
		return r->match.route->start(op);
	if (ret != RC_BUSY)
		return refuse_body(op);
	op_extend(op, BODY_MS);
	return op_park(op, BODY_MS, gate_body);
}

static enum op_next
gate_body(struct op *op)
{
	struct request *r = op_owner(op);

	if (r->refusal.status != 0)
		return refuse_body(op);
	if (!r->has_all)
		return op_fail(op, RC_TIMEOUT, "%s", "");
	op_extend(op, route_deadline_ms(r->match.route));
	return r->match.route->start(op);
}

/*
 * An agent's own key acts for that agent and nothing else: on the routes
 * below its own id, and on those that are marked for it.  What the agent role
 * could read of other certificates is for shared keys.
 */
static bool
own_key_may_pass(const struct request *r)
{
	const struct route *route = r->match.route;

	if (r->principal.kind != PRINCIPAL_AGENT)
		return true;
	switch (route->access) {
	case ROUTE_PUBLIC:
	case ROUTE_SIGNED_IN:
		return true;
	case ROUTE_AGENT:
		for (size_t i = 0; i < r->match.nparams; i++) {
			if (strcmp(r->match.params[i].name, "id") == 0)
				return strcmp(r->match.params[i].value,
					   r->principal.id) == 0;
		}
		return false;
	case ROUTE_PERMISSION:
		return route->is_for_own_keys;
	case ROUTE_REGISTER:
		break;
	}
	return false;
}

static const char *
path_id(const struct request *r)
{
	for (size_t i = 0; i < r->match.nparams; i++) {
		if (strcmp(r->match.params[i].name, "id") == 0)
			return r->match.params[i].value;
	}
	return NULL;
}

static const char *
scope_of(const struct route *route)
{
	switch (route->scope) {
	case ROUTE_ISSUER:
		return "issuer";
	case ROUTE_PROFILE:
		return "profile";
	case ROUTE_GLOBAL:
		break;
	}
	return NULL;
}

static enum op_next
ask_permissions(struct op *op)
{
	const struct request *r = op_owner(op);
	struct authz_actor actor;

	authz_actor(&r->principal, &actor);
	op_catch(op, gate_permissions_failed);
	return OP_QUERY(op, Q_AUTHZ_PERMISSIONS, gate_permissions, actor.id,
	    actor.type, actor.fallback_role);
}

static enum op_next
check_permission(struct op *op)
{
	struct request *r = op_owner(op);
	const struct route *route = r->match.route;
	rc ret;

	if (!limits_take_principal(r->api->limits, &r->principal))
		return refuse_429(op);
	if (r->is_retired)
		return op_fail(op, RC_GONE, "Agent has been retired");
	if (r->principal.kind == PRINCIPAL_BOOTSTRAP)
		return route->access == ROUTE_REGISTER
			   ? start_handler(op)
			   : refuse_401(op,
				 "{\"error\":\"Invalid API key\"}\n");
	if (!own_key_may_pass(r))
		return refuse_403(op);
	if (route->access == ROUTE_SIGNED_IN)
		return start_handler(op);
	ret = authz_check(r->api->authz, &r->principal, route->permission,
	    scope_of(route), path_id(r));
	if (ret == RC_BUSY)
		return ask_permissions(op);
	return ret == RC_OK ? start_handler(op) : refuse_403(op);
}

/* --- who asks? --- */

static void
take_principal(struct request *r, const struct auth_found *found)
{
	r->principal = found->principal;
	r->is_retired = found->is_retired;
	(void)snprintf(r->principal_id, sizeof(r->principal_id), "%s",
	    found->principal.id);
	r->principal.id = r->principal_id;
}

static enum op_next
start_public(struct op *op)
{
	const struct request *r = op_owner(op);

	if (r->match.route->rate == ROUTE_RATED &&
	    !limits_take_address(r->api->limits, &r->peer))
		return refuse_429(op);
	return start_handler(op);
}

static enum op_next
gate_credential(struct op *op)
{
	struct request *r = op_owner(op);
	struct auth_found found;
	rc ret;

	if (r->match.route->access == ROUTE_PUBLIC)
		return start_public(op);
	if (r->credential.form == AUTH_NONE)
		return refuse_401(op,
		    "{\"error\":\"Authorization header required\"}\n");
	if (r->credential.form == AUTH_MALFORMED)
		return refuse_401(op,
		    "{\"error\":\"Invalid Authorization header format, "
		    "expected: Bearer <token>\"}\n");
	ret = auth_find(r->api->auth, &r->credential, &found);
	if (ret == RC_BUSY && !limits_has_address(r->api->limits, &r->peer))
		return refuse_429(op);
	if (ret == RC_BUSY) {
		op_catch(op, gate_lookup_failed);
		return OP_QUERY(op, Q_AUTH_BY_HASH, gate_looked_up,
		    r->credential.hash);
	}
	if (ret != RC_OK)
		return refuse_401(op, "{\"error\":\"Invalid API key\"}\n");
	take_principal(r, &found);
	return check_permission(op);
}

static enum op_next
gate_looked_up(struct op *op)
{
	struct request *r = op_owner(op);
	struct auth_found found;
	rc ret;

	auth_learn(r->api->auth, &r->credential, op_result(op, 0));
	ret = auth_find(r->api->auth, &r->credential, &found);
	if (ret != RC_OK)
		return refuse_401(op, "{\"error\":\"Invalid API key\"}\n");
	take_principal(r, &found);
	return check_permission(op);
}

static enum op_next
gate_lookup_failed(struct op *op)
{
	return refuse_failed_lookup(op);
}

static enum op_next
gate_permissions(struct op *op)
{
	struct request *r = op_owner(op);
	rc ret;

	authz_learn(r->api->authz, &r->principal, op_result(op, 0));
	ret = authz_check(r->api->authz, &r->principal,
	    r->match.route->permission, scope_of(r->match.route), path_id(r));
	return ret == RC_OK ? start_handler(op) : refuse_403(op);
}

static enum op_next
gate_permissions_failed(struct op *op)
{
	return refuse_failed_lookup(op);
}

/* --- is it a request? --- */

/* What a handler caught and could not mend; what nobody caught is the op's to
 * tell.  The client hears of neither. */
static void
log_cause(const struct op *op, rc code)
{
	const struct db_error *e = NULL;

	(void)op_caught(op, &e); /* e says it all */
	if (rc_http_status(code) < 500 || !e->sqlstate[0])
		return;
	log_error("REQUEST-DB", "%s: statement %zu: %s %s", op_name(op),
	    e->statement, e->sqlstate, e->message);
}

static void
on_end(struct op *op, rc code, const char *message)
{
	struct request *r = op_owner(op);

	log_cause(op, code);
	if (code != RC_OK && r->is_pieces)
		r->is_broken = true;
	else if (code != RC_OK)
		render_failure(r, code, message);
	else if (r->status == 0)
		log_fatal("REQUEST-UNANSWERED", "%s", op_name(op));
	r->carrier->reply(r);
}

static void
answer_text(struct request *r, int status, const char *text)
{
	request_set_text(r, status, TEXT_PLAIN, text);
	r->carrier->reply(r);
}

static void
answer_error(struct request *r, int status, const char *message)
{
	render_error(r, status, message);
	r->carrier->reply(r);
}

/* Cross-origin questions get the contract's 204 on what needs a key. */
static bool
is_options(const struct request *r)
{
	return strcmp(r->head.method, "OPTIONS") == 0 &&
	       r->path.nsegments > 2 &&
	       strcmp(r->path.segments[0], "api") == 0 &&
	       strcmp(r->path.segments[1], "v1") == 0 &&
	       strcmp(r->path.segments[2], "version") != 0 &&
	       (strcmp(r->path.segments[2], "auth") != 0 ||
		   r->path.nsegments < 4 ||
		   strcmp(r->path.segments[3], "info") != 0);
}

/* Whether it was routed; else it was answered and is gone. */
static bool
route_request(struct request *r)
{
	rc ret = path_parse(r->head.target, &r->path);
	bool options = ret == RC_OK && is_options(r);

	if (ret == RC_OK && !options)
		ret = router_match(r->api->router, r->head.method, &r->path,
		    &r->match);
	if (ret == RC_OK && !options)
		return true;
	if (!limits_take_address(r->api->limits, &r->peer)) {
		set_429(r);
		r->carrier->reply(r);
		return false;
	}
	if (ret == RC_INVALID || ret == RC_TOO_LARGE) {
		answer_error(r, 400, "the request target is malformed");
		return false;
	}
	if (options) {
		request_set_text(r, 204, NULL, "");
		r->carrier->reply(r);
	} else if (ret == RC_METHOD) {
		request_set_header(r, "Allow", r->match.allow);
		answer_text(r, 405, "Method Not Allowed\n");
	} else {
		answer_text(r, 404, "404 page not found\n");
	}
	return false;
}

void
request_run(struct request *r)
{
	const struct route *route;
	struct op_env env = {
	    .loop = r->api->loop,
	    .pool = r->api->pool,
	    .owner = r,
	    .on_end = on_end,
	};

	if (!route_request(r))
		return;
	route = r->match.route;
	r->max_body = route_max_body(route, r->api->max_body);
	if (r->head.framing == HTTP1_LENGTH && r->head.length > r->max_body) {
		answer_error(r, 413, "the request body is too large");
		return;
	}
	env.name = route->pattern;
	env.deadline_ms = route_deadline_ms(route);
	r->op = op_start(&env, gate_credential);
}
