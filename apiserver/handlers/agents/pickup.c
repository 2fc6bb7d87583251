/*
 * GET /agents/{id}/certificates/{cert_id}?job=: the certificate that a
 * deployment installs; without job that of the agent's running deployment.
 */
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/shape.h"

static op_step pickup_done;

enum op_next
agent_pickup_start(struct op *op)
{
	const char *id = req_param(op, "id");
	const char *params[] = {id, req_param(op, "cert_id"),
	    req_query(op, "job")};
	const struct db_stmt stmts[] = {
	    {Q_AGENT_STATE, 1, &id},
	    {Q_AGENT_PICKUP_REVOKED, 1, &params[1]},
	    {Q_AGENT_PICKUP, ARRAY_LEN(params), params},
	};

	return op_batch(op, pickup_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
pickup_done(struct op *op)
{
	const struct db_result *state = op_result(op, 0);
	const struct db_result *revoked = op_result(op, 1);
	int col;
	struct json_w *w;

	if (db_nrows(state) == 0)
		return op_fail(op, RC_NOT_FOUND, "Agent not found");
	if (db_bool(state, 0, db_col(state, "is_retired")))
		return op_fail(op, RC_GONE, "Agent has been retired");
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND,
		    "Certificate not found or not ready");
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "certificate_pem", op_text(op, 0, "pem_chain"));
	json_w_kv(w, "version_id", op_text(op, 0, "version_id"));
	json_w_kv(w, "serial_number", op_text(op, 0, "serial_number"));
	json_w_kv(w, "fingerprint_sha256",
	    op_text(op, 0, "fingerprint_sha256"));
	json_w_key(w, "revoked_fingerprints");
	json_w_open(w, '[');
	col = db_col(revoked, "fingerprint_sha256");
	for (size_t i = 0; i < db_nrows(revoked); i++)
		json_w_str(w, db_text(revoked, i, col));
	json_w_close(w, ']');
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field pickup_query[] = {
    {"job", FIELD_TEXT},
};

static const struct field pickup_fields[] = {
    {"certificate_pem", FIELD_TEXT},
    {"version_id", FIELD_TEXT},
    {"serial_number", FIELD_TEXT},
    {"fingerprint_sha256", FIELD_TEXT},
    {"revoked_fingerprints", FIELD_TEXTS},
};
const struct shape shape_agent_pickup_start = {
    .does = "Get the certificate to install",
    .query = pickup_query,
    .nquery = ARRAY_LEN(pickup_query),
    .fields = SHAPE_TABLE(pickup_fields),
};
