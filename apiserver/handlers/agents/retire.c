/*
 * DELETE /agents/{id}?force=true&reason=...: an agent leaves for good.
 */
#include <string.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/plain.h"

enum { REASON_MAX = 1000 };

static op_step retire_done;

static bool
is_sentinel(const char *id)
{
	static const char *const sentinels[] = {"server-scanner",
	    "cloud-aws-sm", "cloud-azure-kv", "cloud-gcp-sm"};

	for (size_t i = 0; i < ARRAY_LEN(sentinels); i++) {
		if (strcmp(sentinels[i], id) == 0)
			return true;
	}
	return false;
}

enum op_next
agent_retire_start(struct op *op)
{
	const char *id = req_param(op, "id");
	const char *force = req_query(op, "force");
	const char *reason = req_query(op, "reason");
	bool is_forced =
	    force && (strcmp(force, "true") == 0 || strcmp(force, "1") == 0);

	if (is_sentinel(id))
		return op_fail(op, RC_FORBIDDEN,
		    "this agent belongs to the server and cannot be retired");
	if (reason && plain_is_blank(reason))
		reason = NULL;
	if (reason && strlen(reason) > REASON_MAX)
		return op_fail(op, RC_INVALID,
		    "reason must be %d characters or fewer", REASON_MAX);

	const char *params[] = {id, is_forced ? "true" : "false",
	    reason ? reason : "", req_principal(op)->id, req_actor_type(op)};
	const struct db_stmt stmts[] = {
	    {Q_AGENT_LOCK, 1, &id},
	    {Q_AGENT_TARGETS_LOCK, 1, &id},
	    {Q_AGENT_RETIRE, ARRAY_LEN(params), params},
	};
	return op_batch(op, retire_done, ARRAY_LEN(stmts), stmts);
}

static void
write_counts(struct op *op, struct json_w *w)
{
	static const char *const names[] = {"active_targets",
	    "active_certificates", "pending_jobs"};

	json_w_key(w, "counts");
	json_w_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		json_w_kv_int(w, names[i], op_i64(op, 0, names[i]));
	json_w_close(w, '}');
}

static enum op_next
reply_blocked(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "error", "blocked_by_dependencies");
	json_w_kv(w, "message",
	    "targets, certificates or jobs depend on this agent; retire it "
	    "with force=true and a reason");
	write_counts(op, w);
	json_w_close(w, '}');
	return reply_json(op, 409);
}

static enum op_next
retire_done(struct op *op)
{
	struct json_w *w;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Agent not found");
	if (outcome_is(op, "already"))
		return reply_no_content(op);
	if (outcome_is(op, "no_reason"))
		return op_fail(op, RC_INVALID,
		    "force=true requires a non-empty reason");
	if (outcome_is(op, "blocked"))
		return reply_blocked(op);
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_key(w, "retired_at");
	wiretime_put(w, op_text(op, 0, "retired_at"));
	json_w_kv_bool(w, "already_retired", false);
	json_w_kv_bool(w, "cascade", op_bool(op, 0, "cascade"));
	write_counts(op, w);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field retire_query[] = {
    {"force", FIELD_BOOL},
    {"reason", FIELD_TEXT, 0, .max = REASON_MAX},
};

static const struct field retire_fields[] = {
    {"retired_at", FIELD_TIME},
    {"already_retired", FIELD_BOOL},
    {"cascade", FIELD_BOOL},
    {"counts", FIELD_CONFIG},
};
const struct shape shape_agent_retire_start = {
    .does = "Retire an agent",
    .may_be_nothing = true,
    .query = retire_query,
    .nquery = ARRAY_LEN(retire_query),
    .fields = SHAPE_TABLE(retire_fields),
};
