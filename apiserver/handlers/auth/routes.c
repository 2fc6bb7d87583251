/*
 * Routes of permissions, roles and keys.
 */
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define AUTH "/api/v1/auth"

static const struct route rows[] = {
    {"GET", AUTH "/permissions", NULL, auth_permissions,
	.own = {.access = ROUTE_SIGNED_IN}},
    {"GET", AUTH "/roles", "auth.role.list", auth_roles},
    {"GET", AUTH "/roles/{id}", "auth.role.list", auth_role_get},
    {"GET", AUTH "/keys", "auth.key.list", auth_keys},
};

const struct route_area routes_auth = ROUTE_API_AREA("auth", rows);
