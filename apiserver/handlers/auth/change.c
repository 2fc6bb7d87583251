/*
 * What all changes of roles, grants and keys have in common.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/policy/auth.h"
#include "apiserver/policy/authz.h"
#include "apiserver/policy/keyring.h"
#include "apiserver/resources/fieldtext.h"

static op_step change_failed;

void
auth_asker(const struct op *op, const char *params[AUTH_ASKER])
{
	const struct principal *p = req_principal(op);
	struct authz_actor actor;

	authz_actor(p, &actor);
	params[0] = actor.id;
	params[1] = actor.type;
	params[2] = actor.fallback_role;
	params[3] = auth_flag(p->is_admin);
}

const char *
auth_names(struct op *op, enum auth_names which)
{
	const struct keyring *k = req_api(op)->keys;
	size_t n = keyring_size(k), found = 0;
	const char **names =
	    arena_alloc(op_arena(op), (n + 1) * sizeof(*names));
	bool is_admin;

	for (size_t i = 0; i < n; i++) {
		names[found] = keyring_name(k, i, &is_admin);
		if (which == AUTH_ALL || is_admin == (which == AUTH_ADMINS))
			found++;
	}
	return db_text_array(op_arena(op), names, found);
}

const char *
auth_flag(bool is_set)
{
	return is_set ? "true" : "false";
}

const char *
auth_scope_read(const char *type, const char *id, struct auth_scope *out)
{
	bool is_global = !type || !*type || strcmp(type, "global") == 0;

	if (id && !*id)
		id = NULL;
	if (is_global && id)
		return "scope_id must be empty when scope_type is global";
	*out = (struct auth_scope){is_global ? "global" : type, id};
	if (is_global)
		return NULL;
	if (strcmp(type, "profile") != 0 && strcmp(type, "issuer") != 0)
		return "scope_type must be global, profile or issuer";
	if (!id)
		return "scope_id is required when scope_type is profile or "
		       "issuer";
	return fieldtext_is_id(id) ? NULL : "scope_id is malformed";
}

static void
ask_anew(struct op *op)
{
	auth_changed(req_api(op)->auth);
	authz_changed(req_api(op)->authz);
}

enum op_next
auth_change(struct op *op, enum query q, size_t nparams,
    const char *const *params, op_step *done)
{
	const struct db_stmt stmts[] = {
	    {Q_AUTH_LOCK, 0, NULL},
	    {q, nparams, params},
	};

	op_catch(op, change_failed);
	return op_batch(op, done, ARRAY_LEN(stmts), stmts);
}

/* It may be there all the same, when its answer got lost. */
static enum op_next
change_failed(struct op *op)
{
	ask_anew(op);
	return reply_db_error(op, "it is taken");
}

static enum op_next
refuse(struct op *op, const struct outcome *o)
{
	switch (o->code) {
	case RC_FORBIDDEN:
	case RC_CONFLICT:
	case RC_GONE:
		return req_refuse(op, o->code, o->message);
	default:
		return op_fail(op, o->code, "%s", o->message);
	}
}

bool
auth_change_refused(struct op *op, const struct outcome *all, size_t n,
    enum op_next *out_next)
{
	ask_anew(op);
	for (size_t i = 0; i < n; i++) {
		if (outcome_is(op, all[i].word)) {
			*out_next = refuse(op, &all[i]);
			return true;
		}
	}
	return false;
}
