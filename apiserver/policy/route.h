/*
 * route: one static table of everything this process answers.
 *
 * Patterns are literal segments and parameters: "/api/v1/certificates/{id}".
 * A parameter has a kind, which says what it may be: {id}, the same as
 * {id:id}; {request:base64}; {path:file}.  With "..." at its end, which must be
 * the pattern's, it takes the rest of the path: "/assets/{path:file...}".
 * Each area exports its rows (handlers/<area>/routes.c); route.c joins them
 * at start and refuses duplicates.  HEAD is not GET; a known path with
 * another verb is 405 with Allow; an unknown path is 404, both text/plain.
 */
#ifndef APISERVER_POLICY_ROUTE_H
#define APISERVER_POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/policy/path.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/op/op.h"

enum route_access {
	ROUTE_PUBLIC,     /* no credential looked at */
	ROUTE_PERMISSION, /* permission of the table */
	ROUTE_SIGNED_IN,  /* any valid principal */
	ROUTE_AGENT,      /* permission, and an agent's own key only with
			   * {id} = its own id (403 otherwise) */
	ROUTE_REGISTER    /* bootstrap token alone, or the permission */
};

enum route_rate {
	ROUTE_RATED,   /* by principal; by address where none is known */
	ROUTE_UNRATED, /* probes: must answer in any crowd */
};

/* What a grant that is limited to one issuer or profile is held against: the
 * object {id} of the path. */
enum route_scope { ROUTE_GLOBAL, ROUTE_ISSUER, ROUTE_PROFILE };

struct route {
	const char *method;
	const char *pattern;
	enum route_access access;
	const char *permission; /* "cert.read"; NULL unless it is needed */
	op_step *start;
	int64_t deadline_ms; /* 0: the default of 30 s */
	enum route_rate rate;
	enum route_scope scope;
	/* An agent's own key may call it although no {id} is its own: the
	 * statement behind it looks at whose job it is. */
	bool is_for_own_keys;
};

struct route_area {
	const char *name;
	const struct route *routes;
	size_t n;
};

extern const struct route_area
    routes_system; /* health, ready, version, auth info/check, admin */
extern const struct route_area routes_certificates;
extern const struct route_area routes_jobs;
extern const struct route_area routes_audit;
extern const struct route_area routes_approvals; /* and jobs' approval */
extern const struct route_area routes_notifications;
extern const struct route_area routes_pki; /* revocation lists */
extern const struct route_area routes_agents;
extern const struct route_area
    routes_config; /* issuers, targets, teams, owners, policies */

int64_t route_deadline_ms(const struct route *route);
/* Bytes of a request's body at most; configured: CERTCTL_MAX_BODY_SIZE. */
size_t route_max_body(const struct route *route, size_t configured);
/* All rows as a JSON array on standard output, for documents and tests.
 * RC_IO when it could not be written. */
rc routes_print(const struct route_area *const *areas, size_t n,
    size_t configured_body) MUST_CHECK;

/* --- the joined table --- */

#define ROUTE_PARAMS_MAX 4
#define ROUTE_ALLOW_MAX 64

struct router; /* defined in route.c */

struct route_param {
	const char *name;
	const char *value; /* not empty; not yet asked whether it is valid */
	bool (*is_valid)(const char *value);
};

struct route_match {
	const struct route *route;
	size_t nparams;
	struct route_param params[ROUTE_PARAMS_MAX];
	char allow[ROUTE_ALLOW_MAX]; /* set on RC_METHOD only */
};

/* The rows must outlive *out.  RC_CONFLICT: a method and pattern stand there
 * twice; RC_INVALID: a pattern or its parameters cannot be used; logged. */
rc router_new(const struct route_area *const *areas, size_t n,
    struct router **out) MUST_CHECK;
void router_free(struct router *r);
/* RC_NOT_FOUND; RC_METHOD: the path is known, the method is not.  A literal
 * segment wins over a parameter, one segment over a tail.  Parameters are not
 * checked here, but are never empty.  A tail is joined in p. */
rc router_match(const struct router *r, const char *method, struct path *p,
    struct route_match *out) MUST_CHECK;

#endif
