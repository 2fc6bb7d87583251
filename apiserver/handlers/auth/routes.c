/*
 * Routes of who one is, and of permissions, roles and keys.
 */
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define AUTH "/api/v1/auth"
#define SIGNED_IN \
	{ \
		.access = ROUTE_SIGNED_IN \
	}

static const struct route rows[] = {
    {"GET", AUTH "/info", NULL, auth_info,
	.own = {.access = ROUTE_PUBLIC, .preflight = ROUTE_ANY_ORIGIN}},
    {"GET", AUTH "/bootstrap", NULL, auth_bootstrap_get,
	.own = {.access = ROUTE_PUBLIC, .preflight = ROUTE_NO_PREFLIGHT}},
    {"POST", AUTH "/bootstrap", NULL, auth_bootstrap, "bootstrap.consume",
	.own = {.access = ROUTE_PUBLIC,
	    .body = ROUTE_SMALL_BODY,
	    .preflight = ROUTE_NO_PREFLIGHT}},
    {"GET", AUTH "/check", NULL, auth_check, .own = SIGNED_IN},
    {"GET", AUTH "/me", NULL, auth_me, .own = SIGNED_IN},
    {"GET", AUTH "/permissions", NULL, auth_permissions, .own = SIGNED_IN},
    {"GET", AUTH "/runtime-config", "auth.role.assign", auth_runtime_config},
    {"GET", AUTH "/roles", "auth.role.list", auth_roles},
    {"GET", AUTH "/roles/{id}", "auth.role.list", auth_role_get},
    {"POST", AUTH "/roles", "auth.role.create", auth_role_create,
	"create_role"},
    {"PUT", AUTH "/roles/{id}", "auth.role.edit", auth_role_update,
	"update_role"},
    {"DELETE", AUTH "/roles/{id}", "auth.role.delete", auth_role_delete,
	"delete_role"},
    {"POST", AUTH "/roles/{id}/permissions", "auth.role.edit",
	auth_permission_add, "auth.role_permission_added"},
    {"DELETE", AUTH "/roles/{id}/permissions/{perm}", "auth.role.edit",
	auth_permission_remove, "auth.role_permission_removed"},
    {"GET", AUTH "/keys", "auth.key.list", auth_keys, .also = "auth.role.list"},
    {"POST", AUTH "/keys", "auth.key.create", auth_key_create,
	"auth.key_created"},
    {"POST", AUTH "/keys/{id}/rotate", "auth.key.rotate", auth_key_rotate,
	"auth.key_rotated"},
    {"DELETE", AUTH "/keys/{id}", "auth.key.delete", auth_key_delete,
	"auth.key_deleted"},
    {"POST", AUTH "/keys/{id}/roles", "auth.role.assign", auth_role_assign,
	"auth.role_assigned"},
    {"DELETE", AUTH "/keys/{id}/roles/{role_id}", "auth.role.revoke",
	auth_role_revoke, "auth.role_revoked", .also = "auth.role.assign"},
    {"POST", AUTH "/demo-residual/cleanup", "auth.role.assign",
	auth_demo_cleanup, "auth.demo_residual_removed"},
};

const struct route_area routes_auth =
    ROUTE_API_AREA_BELOW("auth", AUTH "/", &render_brief, ROUTE_HEAD, rows);
