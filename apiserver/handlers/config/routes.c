/*
 * Routes of the configuration nouns.
 */
#include "apiserver/handlers/config/nouns.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

RESOURCE_STEPS(team, resource_teams)
RESOURCE_STEPS(owner, resource_owners)
RESOURCE_STEPS(policy, resource_policies)
RESOURCE_STEPS(issuer, resource_issuers)
RESOURCE_STEPS(target, resource_targets)

#define NOUN(path, noun, perm, scope) \
	{"GET", path, ROUTE_PERMISSION, perm ".read", noun##_list, 0}, \
	    {"POST", path, ROUTE_PERMISSION, perm ".edit", noun##_create, 0}, \
	    {"GET", path "/{id}", ROUTE_PERMISSION, perm ".read", noun##_get, \
		0, ROUTE_RATED, scope}, \
	    {"PUT", path "/{id}", ROUTE_PERMISSION, perm ".edit", \
		noun##_update, 0, ROUTE_RATED, scope}, \
	{ \
		"DELETE", path "/{id}", ROUTE_PERMISSION, perm ".delete", \
		    noun##_delete, 0, ROUTE_RATED, scope \
	}

static const struct route rows[] = {
    NOUN("/api/v1/teams", team, "team", ROUTE_GLOBAL),
    NOUN("/api/v1/owners", owner, "owner", ROUTE_GLOBAL),
    NOUN("/api/v1/renewal-policies", policy, "policy", ROUTE_GLOBAL),
    NOUN("/api/v1/issuers", issuer, "issuer", ROUTE_ISSUER),
    NOUN("/api/v1/targets", target, "target", ROUTE_GLOBAL),
};

const struct route_area routes_config = {"config", rows, ARRAY_LEN(rows)};
