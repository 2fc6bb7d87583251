/*
 * gate: everything that is asked before a handler runs, in this order: who
 * asks, how often, do we know the path and verb, may they, does the path say
 * what it may, is the body of a fair size.  All of it by the headers alone;
 * only then the body is read.  What is asked of which route, and of paths that
 * are none, stands in the route table and nowhere here.
 */
#include <stdio.h>
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request_io.h"
#include "apiserver/edge/tagged.h"
#include "apiserver/policy/apievents.h"
#include "apiserver/policy/authz.h"
#include "apiserver/policy/cors.h"
#include "apiserver/policy/limits.h"
#include "apiserver/policy/refusals.h"
#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"

enum {
	/* For a body to come in; the carrier's own patience is shorter. */
	BODY_MS = 60000,
};

static op_step gate_credential;
static op_step gate_looked_up;
static op_step gate_lookup_failed;
static op_step gate_permissions;
static op_step gate_permissions_failed;
static op_step gate_body;

/* --- refusals --- */

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

/* Of the principal, or of the address while nobody is known. */
static void
render_429(struct request *r)
{
	(void)snprintf(r->retry_after, sizeof(r->retry_after), "%lld",
	    (long long)limits_wait_s(r->api->limits, &r->peer, &r->principal));
	note_refusal(r, 429);
	request_set_header(r, "Retry-After", r->retry_after);
	render_refusal(r, REFUSAL_RATE);
}

static enum op_next
refuse(struct op *op, enum refusal why)
{
	render_refusal(op_owner(op), why);
	return op_done(op);
}

static enum op_next
refuse_429(struct op *op)
{
	render_429(op_owner(op));
	return op_done(op);
}

/* Sessions are another release's, and a browser may still send one's cookie. */
static bool
sends_session(const struct request *r)
{
	static const char name[] = "__Host-certctl_session=";
	const char *at = request_header(r, "Cookie");

	while (at && strncmp(at, name, sizeof(name) - 1) != 0) {
		at = strchr(at, ';');
		if (at)
			at += 1 + strspn(at + 1, " ");
	}
	return at != NULL;
}

/* Costs the address a token, too: who guesses keys is soon told to wait. */
static enum op_next
refuse_401(struct op *op, enum refusal why)
{
	struct request *r = op_owner(op);

	if (!limits_take_address(r->api->limits, &r->peer))
		return refuse_429(op);
	note_refusal(r, 401);
	return refuse(op, sends_session(r) ? REFUSAL_SESSION : why);
}

static enum op_next
refuse_403(struct op *op)
{
	note_refusal(op_owner(op), 403);
	return refuse(op, REFUSAL_FORBIDDEN);
}

enum op_next
req_refuse(struct op *op, rc code, const char *why)
{
	note_refusal(op_owner(op), rc_http_status(code));
	return op_fail(op, code, "%s", why);
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
	log_peer(LOG_ERROR, "AUTH-LOOKUP", "",
	    "refused, since a lookup failed: %s",
	    e ? e->message : rc_name(ret));
	return refuse(op, REFUSAL_LOOKUP);
}

/* --- is it a route? --- */

/* HEAD of what has a GET is told of by the contract's JSON, of which only the
 * head is sent. */
static void
refuse_method(struct request *r)
{
	request_set_header(r, "Allow", r->match.allow);
	if (strcmp(r->head.method, "HEAD") == 0 &&
	    strstr(r->match.allow, "GET"))
		render_error(r, 405, "Method not allowed");
	else
		render_refusal(r, REFUSAL_NO_METHOD);
}

/* A path that is none, or that has no such method. */
static void
refuse_route(struct request *r)
{
	if (r->match.allow[0] != '\0')
		refuse_method(r);
	else
		render_refusal(r, REFUSAL_NO_PATH);
}

static enum op_next
refuse_unrouted(struct op *op)
{
	refuse_route(op_owner(op));
	return op_done(op);
}

/* --- may they? --- */

static enum op_next
refuse_too_large(struct op *op)
{
	struct request *r = op_owner(op);
	bool is_small = r->match.rules->body == ROUTE_SMALL_BODY;

	render_error(r, is_small ? 400 : 413, "the request body is too large");
	return op_done(op);
}

static enum op_next
refuse_body(struct op *op)
{
	struct request *r = op_owner(op);

	r->must_close = true;
	if (r->refusal.status == 413)
		return refuse_too_large(op);
	render_error(r, r->refusal.status, r->refusal.why);
	return op_done(op);
}

/* A list that has a tag may be answered without its handler. */
static enum op_next
start_route(struct op *op)
{
	const struct route *route =
	    ((struct request *)op_owner(op))->match.route;

	return route->reads != 0 ? tagged_start(op) : route->start(op);
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
	if (r->head.framing == HTTP1_LENGTH && r->head.length > r->max_body)
		return refuse_too_large(op);
	if (r->has_all)
		return start_route(op);
	ret = r->carrier->take_body(r);
	if (ret == RC_OK)
		return start_route(op);
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
	op_extend(op, r->match.rules->deadline_ms);
	return start_route(op);
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

/*
 * An agent's own key acts for that agent and nothing else: on the routes
 * below its own id, and on those that are marked for it.  What the agent role
 * could read of other certificates is for shared keys.
 */
static bool
own_key_may_pass(const struct request *r)
{
	const char *id;

	if (r->principal.kind != PRINCIPAL_AGENT)
		return true;
	switch (r->match.rules->access) {
	case ROUTE_PUBLIC:
	case ROUTE_SIGNED_IN:
		return true;
	case ROUTE_AGENT:
		id = path_id(r);
		return id && strcmp(id, r->principal.id) == 0;
	case ROUTE_PERMISSION:
		return r->match.route->is_for_own_keys;
	case ROUTE_REGISTER:
		break;
	}
	return false;
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

/* RC_OK, RC_FORBIDDEN, or RC_BUSY: the database has to be asked. */
static rc
is_permitted(const struct request *r)
{
	const struct route *route = r->match.route;
	const char *scope = scope_of(route), *id = path_id(r);
	rc ret = authz_check(r->api->authz, &r->principal, route->permission,
	    scope, id);

	if (ret == RC_OK && route->also)
		ret = authz_check(r->api->authz, &r->principal, route->also,
		    scope, id);
	return ret;
}

static enum op_next
ask_permissions(struct op *op)
{
	struct request *r = op_owner(op);
	struct authz_actor actor;

	authz_actor(&r->principal, &actor);
	r->changes = authz_changes(r->api->authz);
	op_catch(op, gate_permissions_failed);
	return OP_QUERY(op, Q_AUTHZ_PERMISSIONS, gate_permissions, actor.id,
	    actor.type, actor.fallback_role);
}

/* Asks again when roles changed while it was asked. */
static enum op_next
go_if_permitted(struct op *op)
{
	rc ret = is_permitted(op_owner(op));

	if (ret == RC_BUSY)
		return ask_permissions(op);
	return ret == RC_OK ? start_handler(op) : refuse_403(op);
}

static bool
is_rated(const struct request *r)
{
	return r->match.rules->rate == ROUTE_RATED;
}

static enum op_next
check_permission(struct op *op)
{
	struct request *r = op_owner(op);
	enum route_access access = r->match.rules->access;

	if (is_rated(r) &&
	    !limits_take_principal(r->api->limits, &r->principal))
		return refuse_429(op);
	if (r->is_retired)
		return op_fail(op, RC_GONE, "Agent has been retired");
	if (r->principal.kind == PRINCIPAL_BOOTSTRAP &&
	    access != ROUTE_REGISTER)
		return refuse_401(op, REFUSAL_BAD_KEY);
	if (r->match.route == NULL)
		return refuse_unrouted(op);
	if (r->principal.kind == PRINCIPAL_BOOTSTRAP)
		return start_handler(op);
	if (!own_key_may_pass(r))
		return refuse_403(op);
	if (access == ROUTE_SIGNED_IN)
		return start_handler(op);
	return go_if_permitted(op);
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

	if (is_rated(r) && !limits_take_address(r->api->limits, &r->peer))
		return refuse_429(op);
	return start_handler(op);
}

static enum op_next
look_up(struct op *op)
{
	struct request *r = op_owner(op);

	r->changes = auth_changes(r->api->auth);
	op_catch(op, gate_lookup_failed);
	return OP_QUERY(op, Q_AUTH_BY_HASH, gate_looked_up, r->credential.hash);
}

static enum op_next
gate_credential(struct op *op)
{
	struct request *r = op_owner(op);
	struct auth_found found;
	rc ret;

	if (r->match.rules->access == ROUTE_PUBLIC)
		return start_public(op);
	if (r->credential.form == AUTH_NONE)
		return refuse_401(op, REFUSAL_NO_KEY);
	if (r->credential.form == AUTH_MALFORMED)
		return refuse_401(op, REFUSAL_BAD_HEADER);
	ret = auth_find(r->api->auth, &r->credential, &found);
	/* Whoever guesses behind the same address starves no good key. */
	if (ret == RC_BUSY && !auth_was_good(r->api->auth, &r->credential) &&
	    !limits_has_address(r->api->limits, &r->peer))
		return refuse_429(op);
	if (ret == RC_BUSY)
		return look_up(op);
	if (ret != RC_OK)
		return refuse_401(op, REFUSAL_BAD_KEY);
	take_principal(r, &found);
	return check_permission(op);
}

static enum op_next
gate_looked_up(struct op *op)
{
	struct request *r = op_owner(op);
	struct auth_found found;
	rc ret;

	auth_learn(r->api->auth, &r->credential, op_result(op, 0), r->changes);
	ret = auth_find(r->api->auth, &r->credential, &found);
	if (ret == RC_BUSY) /* keys changed while it was asked */
		return look_up(op);
	if (ret != RC_OK)
		return refuse_401(op, REFUSAL_BAD_KEY);
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

	authz_learn(r->api->authz, &r->principal, op_result(op, 0), r->changes);
	return go_if_permitted(op);
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
	log_peer(LOG_ERROR, "REQUEST-DB", op_name(op),
	    "%s: statement %zu: %s %s", op_name(op), e->statement, e->sqlstate,
	    e->message);
}

/* Past its rate a caller leaves none: how many that were, refusals tells. */
static void
note_event(const struct request *r)
{
	if (!r->api->apievents || r->principal.kind == PRINCIPAL_NONE ||
	    r->status == 429)
		return;
	apievents_note(r->api->apievents,
	    &(struct apievent){
		.actor = r->principal.id,
		.method = r->head.method,
		.path = &r->path,
		.body = r->body,
		.body_len = r->body_len,
		.status = r->status,
		.latency_ms = (clock_boot_us() - r->started_us) / 1000,
	    });
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
	note_event(r);
	if (r->match.route != NULL && r->match.route->reads != 0)
		tagged_end(r, code);
	r->carrier->reply(r);
}

static bool
is_preflight(const struct request *r)
{
	return strcmp(r->head.method, "OPTIONS") == 0 && r->match.rules &&
	       r->match.rules->preflight == ROUTE_PREFLIGHT;
}

/* A preflight, or OPTIONS of the server as a whole (RFC 9110 section 9.3.7),
 * which is no path; the reader takes "*" from OPTIONS alone. */
static bool
gets_options(const struct request *r, bool is_no_path)
{
	return is_no_path ? strcmp(r->head.target, "*") == 0 : is_preflight(r);
}

static bool
is_malformed(rc ret)
{
	return ret == RC_INVALID || ret == RC_TOO_LARGE;
}

/* ret: why no route was found.  Where every route asks for a key, a path that
 * is none does so too, and tells no stranger which ones there are. */
static bool
needs_key(const struct request *r, rc ret)
{
	return !is_malformed(ret) && r->match.rules != NULL &&
	       r->match.rules->access != ROUTE_PUBLIC && !is_preflight(r);
}

static void
answer_unrouted(struct request *r, rc ret)
{
	if (!limits_take_address(r->api->limits, &r->peer)) {
		render_429(r);
	} else if (gets_options(r, is_malformed(ret))) {
		request_set_text(r, 204, NULL, "");
	} else if (is_malformed(ret)) {
		render_error(r, 400, "the request target is malformed");
	} else {
		refuse_route(r);
	}
	r->carrier->reply(r);
}

void
request_refuse(struct request *r, int status, const char *why)
{
	r->must_close = true;
	if (limits_take_address(r->api->limits, &r->peer))
		render_error(r, status, why);
	else
		render_429(r);
	r->carrier->reply(r);
}

void
request_run(struct request *r)
{
	struct op_env env = {
	    .loop = r->api->loop,
	    .pool = r->api->pool,
	    .owner = r,
	    .on_end = on_end,
	};
	rc ret = path_parse(r->head.target, &r->path);

	if (ret == RC_OK)
		ret = router_match(r->api->router, r->head.method, &r->path,
		    &r->match);
	cors_tell(r, r->api->cors_origins);
	if (ret != RC_OK && !needs_key(r, ret)) {
		answer_unrouted(r, ret);
		return;
	}
	r->max_body = rules_max_body(r->match.rules, r->api->max_body);
	env.name = ret == RC_OK ? r->match.route->pattern : "(no route)";
	env.deadline_ms = r->match.rules->deadline_ms;
	r->op = op_start(&env, gate_credential);
}
