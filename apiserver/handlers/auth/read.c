/*
 * GET /auth/permissions, /auth/roles, /auth/roles/{id} and /auth/keys: what can
 * be permitted, who may do what.  The sheet has them whole, without pages.
 */
#include "apiserver/handlers/auth/auth.h"

#include "apiserver/edge/request.h"
#include "apiserver/resources/field.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

static const struct field permission_fields[] = {
    {"id", FIELD_TEXT},
    {"name", FIELD_TEXT},
    {"namespace", FIELD_TEXT},
};

static const struct field grant_fields[] = {
    {"role_id", FIELD_TEXT},
    {"permission_id", FIELD_TEXT},
    {"scope_type", FIELD_TEXT},
    {"scope_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

static const struct field key_fields[] = {
    {"actor_id", FIELD_TEXT},
    {"actor_type", FIELD_TEXT},
    {"tenant_id", FIELD_TEXT},
    {"role_ids", FIELD_TEXTS},
    {"expires_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"old_key_until", FIELD_TIME, FIELD_OMIT_EMPTY},
};

static op_step permissions_done;
static op_step roles_done;
static op_step role_done;
static op_step keys_done;

static void
put_rows(struct op *op, struct json_w *w, const char *name,
    const struct db_result *result, const struct field *fields, size_t n)
{
	struct field_rows rows;

	field_rows_init(&rows, result, fields, n, NULL);
	json_w_key(w, name);
	field_rows_put_all(&rows, op_arena(op), w, db_nrows(result));
}

/* {"name":[...]} of the op's rows. */
static enum op_next
reply_rows(struct op *op, const char *name, const struct field *fields,
    size_t n)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	put_rows(op, w, name, op_result(op, 0), fields, n);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
auth_permissions(struct op *op)
{
	return OP_QUERY(op, Q_AUTH_PERMISSION_LIST, permissions_done);
}

static enum op_next
permissions_done(struct op *op)
{
	return reply_rows(op, "permissions", permission_fields,
	    ARRAY_LEN(permission_fields));
}

enum op_next
auth_roles(struct op *op)
{
	return OP_QUERY(op, Q_ROLE_LIST, roles_done, NULL, NULL, NULL, NULL);
}

static enum op_next
roles_done(struct op *op)
{
	return reply_rows(op, "roles", resource_role.fields,
	    resource_role.nfields);
}

enum op_next
auth_role_get(struct op *op)
{
	const char *params[] = {req_param(op, "id")};
	const struct db_stmt stmts[] = {
	    {Q_ROLE_GET, 1, params},
	    {Q_AUTH_ROLE_GRANTS, 1, params},
	};

	return op_batch(op, role_done, ARRAY_LEN(stmts), stmts);
}

/* {"role":{...},"permissions":[...]} */
static enum op_next
role_done(struct op *op)
{
	const struct db_result *role = op_result(op, 0);
	struct field_rows rows;
	struct json_w *w;

	if (db_nrows(role) == 0)
		return op_fail(op, RC_NOT_FOUND, "Not found");
	field_rows_init(&rows, role, resource_role.fields,
	    resource_role.nfields, NULL);
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_key(w, "role");
	field_rows_put(&rows, op_arena(op), w, 0);
	put_rows(op, w, "permissions", op_result(op, 1), grant_fields,
	    ARRAY_LEN(grant_fields));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
auth_keys(struct op *op)
{
	return OP_QUERY(op, Q_AUTH_KEY_LIST, keys_done,
	    auth_names(op, AUTH_ADMINS), auth_names(op, AUTH_OTHERS));
}

static enum op_next
keys_done(struct op *op)
{
	return reply_rows(op, "keys", key_fields, ARRAY_LEN(key_fields));
}

/* --- what the document says of it --- */

const struct shape shape_auth_permissions = {
    .does = "List the permissions",
    .answer = SHAPE_ROWS,
    .member = "permissions",
    .fields = SHAPE_TABLE(permission_fields),
};
const struct shape shape_auth_roles = {
    .does = "List the roles",
    .answer = SHAPE_ROWS,
    .member = "roles",
    .noun = &resource_role,
};
static const struct field role_with_grants[] = {
    {"role", FIELD_CONFIG},
    {"permissions", FIELD_OBJECTS},
};
const struct shape shape_auth_role_get = {
    .does = "Get a role and its permissions",
    .fields = SHAPE_TABLE(role_with_grants),
};
const struct shape shape_auth_keys = {
    .does = "List the keys, and the roles of each",
    .answer = SHAPE_ROWS,
    .member = "keys",
    .fields = SHAPE_TABLE(key_fields),
};
