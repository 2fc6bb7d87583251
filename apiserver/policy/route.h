/*
 * route: one static table of everything this process answers.
 *
 * An area is the routes below one prefix that are ruled alike
 * (policy/rules.h), with the rows where a route differs; unknown paths below
 * the prefix are its own, too.  Each exports its rows
 * (handlers/<area>/routes.c, areas.def); route.c joins them at start.
 *
 * Patterns are literal segments and parameters: "/api/v1/certificates/{id}".
 * A parameter has a kind, which says what it may be: {id}, the same as
 * {id:id}; {request:base64}; {asked:ocsp}; {certid:certid}; {path:file}.  With
 * "..." at its end, which must be the pattern's, it takes the rest of the path:
 * "/assets/{path:file...}".
 * HEAD is GET only where the rules say so; a known path with another verb is
 * 405 with Allow; an unknown path is 404.
 */
#ifndef APISERVER_POLICY_ROUTE_H
#define APISERVER_POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/live/lists.h"
#include "apiserver/policy/path.h"
#include "apiserver/policy/rules.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/op/op.h"

/* What a grant that is limited to one issuer or profile is held against: the
 * object {id} of the path. */
enum route_scope { ROUTE_GLOBAL, ROUTE_ISSUER, ROUTE_PROFILE };

/* Of a row that changes nothing worth an event. */
#define ROUTE_NO_EVENT ""

struct route {
	const char *method;
	const char *pattern;
	const char *permission; /* "cert.read"; NULL unless it is needed */
	op_step *start;
	/* The actions of the audit events that a success leaves, blanks
	 * between; which of them, its outcome says.  Every method but GET says
	 * them, or ROUTE_NO_EVENT. */
	const char *audit;
	struct route_rules own; /* where it differs from its area */
	enum route_scope scope;
	const char *also; /* a permission that is needed beside it, or NULL */
	/* An agent's own key may call it although no {id} is its own: the
	 * statement behind it looks at whose job it is. */
	bool is_for_own_keys;
	/* Whose steps are one of a noun's five; NULL: it has a shape of its
	 * own, or none. */
	const struct resource *resource;
	/* LIST_* of a list that has a tag: what its answers are made of. */
	unsigned reads;
};

struct route_area {
	const char *name;
	/* Of all its patterns: "/api/v1/".  Areas of one prefix have the same
	 * rules, so that an unknown path has one answer. */
	const char *prefix;
	struct route_rules rules;
	const struct route *routes;
	size_t n;
};

/* Of the areas of the REST API, with those rows. */
#define ROUTE_API_AREA(area, rows) \
	ROUTE_API_AREA_BELOW(area, "/api/v1/", &render_api, ROUTE_NO_HEAD, rows)
/* Of those below a prefix of their own, whose errors are told by how. */
#define ROUTE_API_AREA_BELOW(area, below, how, of_head, rows) \
	{ \
		.name = (area), .prefix = (below), \
		.rules = {.access = ROUTE_PERMISSION, \
		    .renderer = (how), \
		    .body = ROUTE_BODY, \
		    .rate = ROUTE_RATED, \
		    .preflight = ROUTE_PREFLIGHT, \
		    .head = (of_head), \
		    .deadline_ms = 30000}, \
		.routes = (rows), .n = ARRAY_LEN(rows) \
	}

#define AREA(name) extern const struct route_area routes_##name;
#include "apiserver/areas.def"
#undef AREA

/* What a parameter of this kind of a pattern may be, as JSON Schema; NULL:
 * there is no such kind. */
const char *route_kind_schema(const char *kind);

/* The rules of a row of area.  Nobody reads a GET's body, unless the row says
 * so. */
struct route_rules route_resolve(const struct route_area *area,
    const struct route *route);
/* Whether a row is asked by HEAD, too; rules: it, resolved. */
bool route_has_head(const struct route *route, const struct route_rules *rules);
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
	size_t number; /* of the route, from 1; 0: none */
	/* The route's; where there is none, its path's or its area's; NULL:
	 * nobody's. */
	const struct route_rules *rules;
	const struct shape *shape; /* NULL: none is known */
	size_t nparams;
	struct route_param params[ROUTE_PARAMS_MAX];
	char allow[ROUTE_ALLOW_MAX]; /* set on RC_METHOD only */
};

/* The rows must outlive *out.  RC_CONFLICT: a method and pattern stand there
 * twice, or areas of one prefix differ; RC_INVALID: a row or an area says too
 * little, or what cannot be used; logged. */
rc router_new(const struct route_area *const *areas, size_t n,
    struct router **out) MUST_CHECK;
/* Joins the shapes, which must outlive it.  RC_INVALID: one of them is of no
 * row; logged. */
rc router_describe(struct router *r, const struct shape_row *shapes,
    size_t n) MUST_CHECK;
void router_free(struct router *r);
/* How many rows there are: the highest number of one. */
size_t router_size(const struct router *r);
/* RC_NOT_FOUND; RC_METHOD: the path is known, the method is not; out->rules is
 * set all the same.  A literal
 * segment wins over a parameter, one segment over a tail.  Parameters are not
 * checked here, but are never empty.  A tail is joined in p. */
rc router_match(const struct router *r, const char *method, struct path *p,
    struct route_match *out) MUST_CHECK;

#endif
