/*
 * rules: what the gate goes by for a route, and for an unknown path.
 *
 * An area of routes says every one of them, a row says where it differs.  Zero
 * and NULL mean "as the area"; in an area they are a mistake.
 */
#ifndef APISERVER_POLICY_RULES_H
#define APISERVER_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/edge/render.h"
#include "common/json/json.h"

enum route_access {
	ROUTE_PUBLIC = 1, /* no credential looked at */
	ROUTE_PERMISSION, /* the permission of the row */
	ROUTE_SIGNED_IN,  /* any valid principal */
	ROUTE_AGENT,      /* permission, and an agent's own key only with
			   * {id} = its own id (403 otherwise) */
	ROUTE_REGISTER    /* bootstrap token alone, or the permission */
};

enum route_rate {
	ROUTE_RATED = 1, /* by principal; by address where none is known */
	ROUTE_UNRATED,   /* probes: must answer in any crowd */
};

enum route_body {
	ROUTE_BODY = 1, /* CERTCTL_MAX_BODY_SIZE */
	/* RULES_SMALL_BODY: of whoever is nobody yet.  A larger one is 400,
	 * not 413, to the contract's clients. */
	ROUTE_SMALL_BODY,
	ROUTE_SIGNED_BODY, /* RULES_SIGNED_BODY: of a signed message */
	/* Nobody reads it: RULES_SMALL_BODY, for clients that send "{}" with
	 * whatever they ask. */
	ROUTE_NO_BODY,
};

/* What OPTIONS gets, without a key being looked at, and which other origins'
 * pages may read answers. */
enum route_preflight {
	ROUTE_PREFLIGHT = 1, /* 204; those of CERTCTL_CORS_ORIGINS */
	ROUTE_NO_PREFLIGHT,  /* what any unknown method gets; none */
	ROUTE_ANY_ORIGIN,    /* what any unknown method gets; every page */
};

/* What HEAD gets where there is GET. */
enum route_head {
	ROUTE_HEAD = 1, /* GET's head (RFC 9110, 9.3.2) */
	ROUTE_NO_HEAD,  /* what any unknown method gets */
};

#define RULES_SMALL_BODY 4096 /* bytes */
#define RULES_SIGNED_BODY 65536

struct route_rules {
	enum route_access access;
	const struct renderer *renderer;
	enum route_body body;
	enum route_rate rate;
	enum route_preflight preflight;
	enum route_head head;
	int64_t deadline_ms; /* for the answer, from the body on */
};

/* Those of area, where own says nothing else. */
struct route_rules rules_of(const struct route_rules *area,
    const struct route_rules *own);
/* Whether each is said. */
bool rules_are_whole(const struct route_rules *rules);
bool rules_are_equal(const struct route_rules *a, const struct route_rules *b);
/* What --print-routes calls it: "permission". */
const char *rules_access_name(enum route_access access);
/* Bytes of a request's body at most; configured: CERTCTL_MAX_BODY_SIZE. */
size_t rules_max_body(const struct route_rules *rules, size_t configured);
/* Their members, for --print-routes. */
void rules_print(struct json_w *w, const struct route_rules *rules,
    size_t configured);

#endif
