/*
 * auth: the start steps of the routes of who one is, of permissions, roles and
 * keys, and what those that change them share.
 *
 * A change is one transaction that first takes the lock of all such changes
 * (Q_AUTH_LOCK): what its statement checks stays true until it commits.
 * Afterwards this process asks anew who may do what.
 */
#ifndef APISERVER_HANDLERS_AUTH_AUTH_H
#define APISERVER_HANDLERS_AUTH_AUTH_H

#include <stddef.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/resources/resource.h"
#include "common/db/db.h"
#include "common/op/op.h"

op_step auth_info;
op_step auth_check;
op_step auth_me;
op_step auth_bootstrap_get;
op_step auth_bootstrap;
op_step auth_runtime_config;
op_step auth_demo_cleanup;
op_step auth_permissions;
op_step auth_roles;
op_step auth_role_get;
op_step auth_role_create;
op_step auth_role_update;
op_step auth_role_delete;
op_step auth_permission_add;
op_step auth_permission_remove;
op_step auth_keys;
op_step auth_role_assign;
op_step auth_role_revoke;
op_step auth_key_create;
op_step auth_key_rotate;
op_step auth_key_delete;

extern const struct resource resource_role;

#define AUTH_LAST_ADMIN "This is the last administrator: make another one first"

enum { AUTH_ASKER = 4 };

/* Fills the first four parameters of a statement that asks what the caller
 * holds: id, actor type, fallback role, whether it may do everything. */
void auth_asker(const struct op *op, const char *params[AUTH_ASKER]);

enum auth_names { AUTH_ADMINS, AUTH_OTHERS, AUTH_ALL };
/* The names of the environment's keys, as a parameter. */
const char *auth_names(struct op *op, enum auth_names which);
/* "true" or "false", as a parameter. */
const char *auth_flag(bool is_set);

/* What a permission or role is limited to; id NULL: global. */
struct auth_scope {
	const char *type;
	const char *id;
};
/* NULL, or why these are none; type NULL: global. */
const char *auth_scope_read(const char *type, const char *id,
    struct auth_scope *out);

/* The lock and stmt; done sees stmt's rows. */
enum op_next auth_change(struct op *op, enum query q, size_t nparams,
    const char *const *params, op_step *done);
/* First in done: whether the change was refused, as outcome_refuses; 403, 409
 * and 410 are told in log and audit trail.  From now on keys and roles are
 * asked for anew. */
bool auth_change_refused(struct op *op, const struct outcome *all, size_t n,
    enum op_next *out_next);

#endif
