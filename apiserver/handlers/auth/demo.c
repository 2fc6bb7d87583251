/*
 * POST /auth/demo-residual/cleanup: what was granted to the actor that
 * everybody is where no key is asked for, as the contract's demo does.  Here a
 * key is always asked for; a database that comes from there may hold such
 * grants.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/auth/auth.h"
#include "apiserver/resources/shape.h"

static op_step cleaned;

enum op_next
auth_demo_cleanup(struct op *op)
{
	const char *asker[AUTH_ASKER];

	auth_asker(op, asker);
	return auth_change(op, Q_AUTH_DEMO_CLEANUP, 2, asker, cleaned);
}

static enum op_next
cleaned(struct op *op)
{
	struct json_w *w;
	enum op_next next;

	if (auth_change_refused(op, NULL, 0, &next))
		return next;
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv_int(w, "removed", op_i64(op, 0, "removed"));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field removed_fields[] = {
    {"removed", FIELD_INT},
};
const struct shape shape_auth_demo_cleanup = {
    .does = "Take what is left of the demonstration mode",
    .fields = SHAPE_TABLE(removed_fields),
};
