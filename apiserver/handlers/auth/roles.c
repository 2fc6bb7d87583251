/*
 * POST /auth/roles, PUT and DELETE /auth/roles/{id}, and the permissions of
 * one: POST /auth/roles/{id}/permissions, DELETE .../permissions/{perm}.
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

enum { NAME_MAX_LEN = 255, WORD_MAX = 128 };

/* What every installation has from its start (migrations/0004). */
static const char *const default_roles[] = {"r-admin", "r-operator", "r-viewer",
    "r-agent", "r-mcp", "r-cli", "r-auditor"};

static const struct field role_fields[] = {
    {"id", FIELD_TEXT, FIELD_READ_ONLY},
    {"tenant_id", FIELD_TEXT, FIELD_READ_ONLY},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = NAME_MAX_LEN},
    {"description", FIELD_TEXT, FIELD_MULTILINE, .max = 4000, .dflt = "\"\""},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_role = {
    .label = "Role",
    .fields = role_fields,
    .nfields = ARRAY_LEN(role_fields),
    RESOURCE_STATEMENTS(ROLE),
    .duplicate = "A role with this name already exists",
    .in_use = "Cannot delete role: somebody holds it, or held it until it "
	      "ended; take it from them first",
};

static op_step permission_added;
static op_step permission_removed;

enum op_next
auth_role_create(struct op *op)
{
	const struct cJSON *body;
	const char *name = "", *why;
	rc ret = req_json(op, false, &body, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	ret = json_str(body, "name", NAME_MAX_LEN, &name);
	if (ret != RC_INVALID && !*name)
		return op_fail(op, RC_INVALID, "role name is required");
	return resource_create(op, &resource_role);
}

/* The name of the default role that is asked for, which is its id without the
 * "r-"; NULL: it is no default. */
static const char *
default_name(const struct op *op)
{
	for (size_t i = 0; i < ARRAY_LEN(default_roles); i++) {
		if (strcmp(default_roles[i], req_param(op, "id")) == 0)
			return default_roles[i] + 2;
	}
	return NULL;
}

/* Another "admin" that can do less, or the real one by a harmless name, would
 * mislead whoever gives roles; what describes it may change. */
enum op_next
auth_role_update(struct op *op)
{
	const char *stays = default_name(op), *name = stays, *why;
	const struct cJSON *body;
	rc ret = RC_OK;

	if (stays != NULL)
		ret = req_json(op, false, &body, &why);
	if (stays != NULL && ret == RC_OK)
		ret = json_str(body, "name", NAME_MAX_LEN, &name);
	if (ret == RC_OK && stays != NULL && *name && strcmp(name, stays) != 0)
		return req_refuse(op, RC_CONFLICT,
		    "Cannot rename role: it is one of the defaults");
	return resource_update(op, &resource_role);
}

enum op_next
auth_role_delete(struct op *op)
{
	if (default_name(op) != NULL)
		return req_refuse(op, RC_CONFLICT,
		    "Cannot delete role: it is one of the defaults");
	return resource_delete(op, &resource_role);
}

/* --- the permissions of a role --- */

/* It holds everything, or nobody might be left who can give it back. */
static bool
is_fixed(const struct op *op)
{
	return strcmp(req_param(op, "id"), "r-admin") == 0;
}

static enum op_next
refuse_fixed(struct op *op)
{
	return req_refuse(op, RC_CONFLICT,
	    "The admin role holds every permission, and stays so");
}

static const char *
read_permission(const struct cJSON *body, const char **out,
    struct auth_scope *out_scope)
{
	const char *type = NULL, *id = NULL;

	*out = "";
	if (json_str(body, "permission", WORD_MAX, out) == RC_INVALID)
		return "permission must be the name of one";
	if (!**out)
		return "permission is required";
	if (json_str(body, "scope_type", WORD_MAX, &type) == RC_INVALID)
		return "scope_type must be global, profile or issuer";
	if (json_str(body, "scope_id", WORD_MAX, &id) == RC_INVALID)
		return "scope_id must be an id";
	return auth_scope_read(type, id, out_scope);
}

enum op_next
auth_permission_add(struct op *op)
{
	const char *params[AUTH_ASKER + 4], *permission, *why;
	struct auth_scope scope;
	const struct cJSON *body;
	rc ret = req_json(op, false, &body, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	why = read_permission(body, &permission, &scope);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (is_fixed(op))
		return refuse_fixed(op);
	auth_asker(op, params);
	params[AUTH_ASKER] = req_param(op, "id");
	params[AUTH_ASKER + 1] = permission;
	params[AUTH_ASKER + 2] = scope.type;
	params[AUTH_ASKER + 3] = scope.id;
	return auth_change(op, Q_AUTH_PERMISSION_ADD, ARRAY_LEN(params), params,
	    permission_added);
}

static enum op_next
permission_added(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"no_role", RC_NOT_FOUND, "Role not found", NULL},
	    {"no_permission", RC_INVALID,
		"permission is none; certctl auth permissions lists them",
		NULL},
	    {"beyond", RC_FORBIDDEN,
		"You do not hold this permission in this scope yourself, so "
		"you cannot give it",
		NULL},
	};
	enum op_next next;

	return auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next)
		   ? next
		   : reply_no_content(op);
}

enum op_next
auth_permission_remove(struct op *op)
{
	const char *asker[AUTH_ASKER], *why;
	struct auth_scope scope;

	why = auth_scope_read(req_query(op, "scope_type"),
	    req_query(op, "scope_id"), &scope);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (is_fixed(op))
		return refuse_fixed(op);
	auth_asker(op, asker);

	const char *params[] = {asker[0], asker[1], req_param(op, "id"),
	    req_param(op, "perm"), scope.type, scope.id};

	return auth_change(op, Q_AUTH_PERMISSION_REMOVE, ARRAY_LEN(params),
	    params, permission_removed);
}

static enum op_next
permission_removed(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"none", RC_NOT_FOUND,
		"The role does not hold this permission in this scope", NULL},
	};
	enum op_next next;

	return auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next)
		   ? next
		   : reply_no_content(op);
}

/* --- what the document says of it --- */

static const struct field grant_query[] = {
    {"scope_type", FIELD_TEXT, .max = WORD_MAX},
    {"scope_id", FIELD_TEXT, FIELD_ID, .max = WORD_MAX},
};

static const struct field grant_body[] = {
    {"permission", FIELD_TEXT, FIELD_REQUIRED, .max = WORD_MAX},
    {"scope_type", FIELD_TEXT, 0, .max = WORD_MAX},
    {"scope_id", FIELD_TEXT, FIELD_ID, .max = WORD_MAX},
};

const struct shape shape_auth_role_create = {
    .does = "Make a role",
    .has_body = true,
    .body = {SHAPE_TABLE(role_fields)},
    .status = 201,
    .fields = SHAPE_TABLE(role_fields),
};
const struct shape shape_auth_role_update = {
    .does = "Change a role",
    .has_body = true,
    .body = {SHAPE_TABLE(role_fields)},
    .fields = SHAPE_TABLE(role_fields),
};
const struct shape shape_auth_role_delete = {
    .does = "Delete a role",
    .answer = SHAPE_NOTHING,
};
const struct shape shape_auth_permission_add = {
    .does = "Give a role a permission",
    .has_body = true,
    .body = {SHAPE_TABLE(grant_body)},
    .answer = SHAPE_NOTHING,
};
const struct shape shape_auth_permission_remove = {
    .does = "Take a permission from a role",
    .query = grant_query,
    .nquery = ARRAY_LEN(grant_query),
    .answer = SHAPE_NOTHING,
};
