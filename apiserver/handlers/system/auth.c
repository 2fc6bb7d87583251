/*
 * GET /api/v1/auth/info and /api/v1/auth/check: how to sign in, and who one
 * is and what one may do.
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/policy/authz.h"

static op_step check_done;

enum op_next
auth_info_start(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "auth_type", "api-key");
	json_w_kv_bool(w, "required", true);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
auth_check_start(struct op *op)
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
	return op_batch(op, check_done, 2, stmts);
}

/* Whether the admin role was found among the roles written. */
static bool
write_roles(struct op *op, struct json_w *w)
{
	const struct db_result *roles = op_result(op, 0);
	bool is_admin = false;
	const char *id;

	json_w_key(w, "roles");
	json_w_open(w, '[');
	for (size_t i = 0; i < db_nrows(roles); i++) {
		id = db_text(roles, i, db_col(roles, "role_id"));
		is_admin = is_admin || strcmp(id, "r-admin") == 0;
		json_w_str(w, id);
	}
	json_w_close(w, ']');
	return is_admin;
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

static enum op_next
check_done(struct op *op)
{
	const struct principal *p = req_principal(op);
	struct json_w *w = reply_writer(op);
	bool is_admin_by_role;

	json_w_open(w, '{');
	json_w_kv(w, "status", "authenticated");
	json_w_kv(w, "user", p->id);
	json_w_kv_bool(w, "admin", p->is_admin);
	json_w_kv(w, "actor_id", p->id);
	json_w_kv(w, "actor_type", req_actor_type(op));
	json_w_kv(w, "tenant_id", "t-default");
	is_admin_by_role = write_roles(op, w);
	write_permissions(op, w);
	json_w_kv_bool(w, "admin_via_role", is_admin_by_role);
	json_w_close(w, '}');
	return reply_json(op, 200);
}
