/*
 * GET /auth/info: how to sign in; /auth/check and /auth/me: who one is and what
 * one may do.
 */
#include "apiserver/handlers/auth/auth.h"

#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/policy/authz.h"
#include "apiserver/resources/shape.h"

static op_step check_done;
static op_step me_done;

enum op_next
auth_info(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "auth_type", "api-key");
	json_w_kv_bool(w, "required", true);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
ask(struct op *op, op_step *done)
{
	const struct principal *p = req_principal(op);
	struct authz_actor actor;
	const char *params[3];
	struct db_stmt stmts[2] = {
	    {Q_AUTH_ROLES, 3, params},
	    {Q_AUTHZ_PERMISSIONS, 3, params},
	};

	authz_actor(p, &actor);
	params[0] = actor.id;
	params[1] = actor.type;
	params[2] = p->is_admin ? "r-admin" : actor.fallback_role;
	if (p->is_admin)
		stmts[1] = (struct db_stmt){Q_AUTH_ALL_PERMISSIONS, 0, NULL};
	return op_batch(op, done, 2, stmts);
}

enum op_next
auth_check(struct op *op)
{
	return ask(op, check_done);
}

enum op_next
auth_me(struct op *op)
{
	return ask(op, me_done);
}

static bool
has_admin_role(const struct op *op)
{
	const struct db_result *roles = op_result(op, 0);
	int col = db_col(roles, "role_id");

	for (size_t i = 0; i < db_nrows(roles); i++)
		if (strcmp(db_text(roles, i, col), "r-admin") == 0)
			return true;
	return false;
}

static void
write_roles(struct op *op, struct json_w *w)
{
	const struct db_result *roles = op_result(op, 0);
	int col = db_col(roles, "role_id");

	json_w_key(w, "roles");
	json_w_open(w, '[');
	for (size_t i = 0; i < db_nrows(roles); i++)
		json_w_str(w, db_text(roles, i, col));
	json_w_close(w, ']');
}

static void
write_permissions(struct op *op, struct json_w *w)
{
	json_w_key(w, "effective_permissions");
	json_w_open(w, '[');
	for (size_t i = 0; i < op_rows(op); i++) {
		json_w_open(w, '{');
		json_w_kv(w, "permission", op_text(op, i, "permission"));
		json_w_kv(w, "scope_type", op_text(op, i, "scope_type"));
		json_w_kv_opt(w, "scope_id", op_text(op, i, "scope_id"));
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static void
write_actor(struct op *op, struct json_w *w)
{
	json_w_kv(w, "actor_id", req_principal(op)->id);
	json_w_kv(w, "actor_type", req_actor_type(op));
	json_w_kv(w, "tenant_id", "t-default");
}

static enum op_next
check_done(struct op *op)
{
	const struct principal *p = req_principal(op);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", "authenticated");
	json_w_kv(w, "user", p->id);
	json_w_kv_bool(w, "admin", p->is_admin);
	write_actor(op, w);
	write_roles(op, w);
	write_permissions(op, w);
	json_w_kv_bool(w, "admin_via_role", has_admin_role(op));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static enum op_next
me_done(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	write_actor(op, w);
	json_w_kv_bool(w, "admin",
	    req_principal(op)->is_admin || has_admin_role(op));
	write_roles(op, w);
	write_permissions(op, w);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field info_fields[] = {
    {"auth_type", FIELD_TEXT},
    {"required", FIELD_BOOL},
};
const struct shape shape_auth_info = {
    .does = "Tell how clients sign in",
    .fields = SHAPE_TABLE(info_fields),
};
static const struct field check_fields[] = {
    {"status", FIELD_TEXT},
    {"user", FIELD_TEXT},
    {"admin", FIELD_BOOL},
    {"actor_id", FIELD_TEXT},
    {"actor_type", FIELD_TEXT},
    {"tenant_id", FIELD_TEXT},
    {"roles", FIELD_TEXTS},
    {"effective_permissions", FIELD_OBJECTS},
    {"admin_via_role", FIELD_BOOL},
};
const struct shape shape_auth_check = {
    .does = "Check a key",
    .fields = SHAPE_TABLE(check_fields),
};
static const struct field me_fields[] = {
    {"actor_id", FIELD_TEXT},
    {"actor_type", FIELD_TEXT},
    {"tenant_id", FIELD_TEXT},
    {"admin", FIELD_BOOL},
    {"roles", FIELD_TEXTS},
    {"effective_permissions", FIELD_OBJECTS},
};
const struct shape shape_auth_me = {
    .does = "Tell who asks, and what is permitted",
    .fields = SHAPE_TABLE(me_fields),
};
