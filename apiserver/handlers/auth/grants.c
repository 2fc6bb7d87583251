/*
 * POST /auth/keys/{id}/roles and DELETE /auth/keys/{id}/roles/{role_id}: who
 * holds which role.  {id} is the key's name.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/policy/authz.h"
#include "apiserver/policy/keyring.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

enum { WORD_MAX = 128 };

struct grant {
	const char *role;
	const char *expires_at; /* NULL: never */
	struct auth_scope scope;
};

static op_step role_assigned;
static op_step role_revoked;

static bool
is_reserved(const struct op *op)
{
	return strcmp(req_param(op, "id"), "actor-demo-anon") == 0;
}

static enum op_next
refuse_reserved(struct op *op)
{
	return req_refuse(op, RC_CONFLICT,
	    "actor-demo-anon is reserved: it is nobody's key");
}

static const char *
read_grant(const struct cJSON *body, struct grant *out)
{
	const char *type = NULL, *id = NULL;

	*out = (struct grant){.role = ""};
	if (json_str(body, "role_id", WORD_MAX, &out->role) == RC_INVALID)
		return "role_id must be an id";
	if (!*out->role)
		return "role_id is required";
	if (json_str(body, "scope_type", WORD_MAX, &type) == RC_INVALID)
		return "scope_type must be global, profile or issuer";
	if (json_str(body, "scope_id", WORD_MAX, &id) == RC_INVALID)
		return "scope_id must be an id";
	if (json_str(body, "expires_at", WORD_MAX, &out->expires_at) ==
		RC_INVALID ||
	    (out->expires_at && !wiretime_is_valid(out->expires_at, false)))
		return "expires_at must be a time (RFC 3339)";
	return auth_scope_read(type, id, &out->scope);
}

enum op_next
auth_role_assign(struct op *op)
{
	const char *params[AUTH_ASKER + 6], *why;
	const struct cJSON *body;
	struct grant g;
	bool is_admin;
	rc ret = req_json(op, false, &body, &why);

	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	why = read_grant(body, &g);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (is_reserved(op))
		return refuse_reserved(op);
	auth_asker(op, params);
	params[AUTH_ASKER] = req_param(op, "id");
	params[AUTH_ASKER + 1] = g.role;
	params[AUTH_ASKER + 2] = g.scope.type;
	params[AUTH_ASKER + 3] = g.scope.id;
	params[AUTH_ASKER + 4] = g.expires_at;
	params[AUTH_ASKER + 5] = auth_flag(keyring_has_name(req_api(op)->keys,
	    req_param(op, "id"), &is_admin));
	return auth_change(op, Q_AUTH_ROLE_ASSIGN, ARRAY_LEN(params), params,
	    role_assigned);
}

static enum op_next
role_assigned(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"no_key", RC_NOT_FOUND, "Key not found", NULL},
	    {"no_role", RC_INVALID, "role_id is no role's", NULL},
	    {"past", RC_INVALID, "expires_at must be in the future", NULL},
	    {"beyond", RC_FORBIDDEN,
		"The role holds more than you do yourself, in this scope and "
		"as long, so you cannot give it",
		NULL},
	    {"longer", RC_CONFLICT,
		"The key holds this role for longer; take it away first", NULL},
	};
	enum op_next next;

	return auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next)
		   ? next
		   : reply_no_content(op);
}

/* What no row says of a key of the environment. */
static bool
is_by_environment(const struct op *op, bool is_admin,
    const struct auth_scope *scope)
{
	return is_admin && !scope->id &&
	       strcmp(req_param(op, "role_id"), "r-admin") == 0;
}

enum op_next
auth_role_revoke(struct op *op)
{
	const struct keyring *keys = req_api(op)->keys;
	const char *params[AUTH_ASKER + 7], *why;
	bool is_admin = false, is_configured;
	struct auth_scope scope;

	why = auth_scope_read(req_query(op, "scope_type"),
	    req_query(op, "scope_id"), &scope);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (is_reserved(op))
		return refuse_reserved(op);
	is_configured = keyring_has_name(keys, req_param(op, "id"), &is_admin);
	if (is_by_environment(op, is_admin, &scope))
		return req_refuse(op, RC_CONFLICT,
		    "The environment of the server makes this key an "
		    "administrator's; take it away there");
	auth_asker(op, params);
	params[AUTH_ASKER] = req_param(op, "id");
	params[AUTH_ASKER + 1] = req_param(op, "role_id");
	params[AUTH_ASKER + 2] = scope.type;
	params[AUTH_ASKER + 3] = scope.id;
	params[AUTH_ASKER + 4] = auth_names(op, AUTH_ALL);
	params[AUTH_ASKER + 5] = auth_flag(keyring_has_admin(keys));
	params[AUTH_ASKER + 6] = is_configured ? AUTHZ_FALLBACK_ROLE : NULL;
	return auth_change(op, Q_AUTH_ROLE_REVOKE, ARRAY_LEN(params), params,
	    role_revoked);
}

static enum op_next
role_revoked(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"none", RC_NOT_FOUND,
		"The key does not hold this role in this scope", NULL},
	    {"last_admin", RC_CONFLICT, AUTH_LAST_ADMIN, NULL},
	    {"beyond", RC_FORBIDDEN,
		"Without this role the key would be a reader's, which is more "
		"than you hold",
		NULL},
	};
	enum op_next next;

	return auth_change_refused(op, refusals, ARRAY_LEN(refusals), &next)
		   ? next
		   : reply_no_content(op);
}

/* --- what the document says of it --- */

static const struct field assign_body[] = {
    {"role_id", FIELD_TEXT, FIELD_REQUIRED, .max = WORD_MAX},
    {"scope_type", FIELD_TEXT, 0, .max = WORD_MAX},
    {"scope_id", FIELD_TEXT, FIELD_ID, .max = WORD_MAX},
    {"expires_at", FIELD_TIME},
};

static const struct field revoke_query[] = {
    {"scope_type", FIELD_TEXT, 0, .max = WORD_MAX},
    {"scope_id", FIELD_TEXT, FIELD_ID, .max = WORD_MAX},
};

const struct shape shape_auth_role_assign = {
    .does = "Give a key a role",
    .has_body = true,
    .body = {SHAPE_TABLE(assign_body)},
    .answer = SHAPE_NOTHING,
};
const struct shape shape_auth_role_revoke = {
    .does = "Take a role from a key",
    .query = revoke_query,
    .nquery = ARRAY_LEN(revoke_query),
    .answer = SHAPE_NOTHING,
};
