/*
 * What proves the audit trail: GET /audit/seal (how far sealing and checking
 * have come), /audit/blocks and /audit/blocks/{n}/marks, /audit/rows (the
 * fields that are hashed, in the order of the tree), /audit/{id}/proof.
 * Numbers are texts: clients must not round them.
 */
#include "apiserver/handlers/audit/audit.h"

#include <stdint.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/enc.h"

enum { BLOCKS_MAX = 1000, ROWS_MAX = 5000 };

static const struct field row_fields[] = {
    {"epoch", FIELD_TEXT},
    {"xid", FIELD_TEXT},
    {"seq", FIELD_TEXT},
    {"timestamp_us", FIELD_TEXT},
    {"id", FIELD_TEXT},
    {"actor", FIELD_TEXT},
    {"actor_type", FIELD_TEXT},
    {"action", FIELD_TEXT},
    {"resource_type", FIELD_TEXT},
    {"resource_id", FIELD_TEXT},
    {"event_category", FIELD_TEXT},
    {"details", FIELD_TEXT},
};
static const struct field block_fields[] = {
    {"n", FIELD_TEXT},
    {"epoch", FIELD_TEXT},
    {"from_xid", FIELD_TEXT},
    {"to_xid", FIELD_TEXT},
    {"rows", FIELD_TEXT},
    {"oldest_us", FIELD_TEXT},
    {"newest_us", FIELD_TEXT},
    {"sealed_us", FIELD_TEXT},
    {"merkle_root", FIELD_TEXT},
    {"rows_hash", FIELD_TEXT},
    {"previous_hash", FIELD_TEXT},
    {"hash", FIELD_TEXT},
};
static const struct field state_fields[] = {
    {"last_block", FIELD_INT},
    {"last_hash", FIELD_TEXT},
    {"sealed_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"unsealed", FIELD_INT},
    {"lag_ms", FIELD_INT},
    {"kept_from_us", FIELD_TEXT},
    {"next_to_check", FIELD_INT},
    {"rounds", FIELD_INT},
    {"blocks_checked", FIELD_INT},
    {"rows_checked", FIELD_INT},
    {"checked_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"broken_block", FIELD_INT},
    {"broken_what", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"broken_at", FIELD_TIME, FIELD_OMIT_EMPTY},
};

static op_step state_done;
static op_step blocks_done;
static op_step marks_done;
static op_step rows_done;
static op_step proof_done;

enum op_next
audit_seal_state(struct op *op)
{
	return OP_QUERY0(op, Q_AUDIT_SEAL_STATE, state_done);
}

static enum op_next
state_done(struct op *op)
{
	return page_reply_one(op, 200, state_fields, ARRAY_LEN(state_fields));
}

/* {"data":[...]}: the client goes on after the last one. */
static enum op_next
reply_data(struct op *op, const struct field *fields, size_t n)
{
	struct json_w *w = reply_writer(op);
	struct field_rows fr;

	field_rows_init(&fr, op_result(op, 0), fields, n, NULL);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&fr, op_arena(op), w, op_rows(op));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* A number of the query as a parameter; dflt where it is none. */
static const char *
number(struct op *op, const char *name, int64_t max, int64_t dflt)
{
	return page_num(op, req_query_int(op, name, 0, max, dflt));
}

enum op_next
audit_blocks(struct op *op)
{
	return OP_QUERY(op, Q_AUDIT_BLOCKS, blocks_done,
	    number(op, "after", INT64_MAX, 0),
	    number(op, "limit", BLOCKS_MAX, BLOCKS_MAX));
}

static enum op_next
blocks_done(struct op *op)
{
	return reply_data(op, block_fields, ARRAY_LEN(block_fields));
}

enum op_next
audit_block_marks(struct op *op)
{
	const char *n = req_param(op, "n");
	int64_t value;
	rc ret = enc_parse_i64(n, 1, INT64_MAX, &value);

	if (ret != RC_OK)
		return op_fail(op, RC_INVALID,
		    "the block must be a number from 1");
	return OP_QUERY(op, Q_AUDIT_BLOCK_MARKS, marks_done, n);
}

static enum op_next
marks_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Audit block not found");
	return reply_status(op, 200, "row_marks", op_text(op, 0, "row_marks"));
}

enum op_next
audit_rows(struct op *op)
{
	return OP_QUERY(op, Q_AUDIT_ROWS, rows_done,
	    number(op, "epoch", INT32_MAX, 0),
	    number(op, "after_xid", INT64_MAX, 0),
	    number(op, "after_seq", INT64_MAX, 0),
	    number(op, "before_xid", INT64_MAX, INT64_MAX),
	    number(op, "limit", ROWS_MAX, ROWS_MAX));
}

static enum op_next
rows_done(struct op *op)
{
	return reply_data(op, row_fields, ARRAY_LEN(row_fields));
}

/* --- an inclusion proof --- */

enum op_next
audit_proof(struct op *op)
{
	const char *id = req_param(op, "id");
	const char *from, *to;

	if (!audit_id_times(op, id, &from, &to))
		return op_fail(op, RC_NOT_FOUND, "Audit event not found");
	return OP_QUERY(op, Q_AUDIT_PROOF, proof_done, id, from, to);
}

static enum op_next
proof_done(struct op *op)
{
	struct json_w *w = reply_writer(op);
	struct field_rows fr;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Audit event not found");
	if (op_is_null(op, 0, "n"))
		return op_fail(op, RC_CONFLICT,
		    "the event is in no block yet; sealing runs every second "
		    "and waits for transactions that are open");
	json_w_open(w, '{');
	json_w_kv(w, "format", "certctl-audit-proof-1");
	json_w_key(w, "event");
	field_rows_init(&fr, op_result(op, 0), row_fields,
	    ARRAY_LEN(row_fields), NULL);
	field_rows_put(&fr, op_arena(op), w, 0);
	json_w_kv(w, "leaf_index", op_text(op, 0, "leaf_index"));
	json_w_kv_raw(w, "path", op_text(op, 0, "path"));
	json_w_key(w, "block");
	field_rows_init(&fr, op_result(op, 0), block_fields,
	    ARRAY_LEN(block_fields), NULL);
	field_rows_put(&fr, op_arena(op), w, 0);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field blocks_query[] = {
    {"after", FIELD_INT, 0, 0, INT64_MAX},
    {"limit", FIELD_INT, 0, 0, BLOCKS_MAX},
};

static const struct field rows_query[] = {
    {"epoch", FIELD_INT, 0, 0, INT32_MAX},
    {"after_xid", FIELD_INT, 0, 0, INT64_MAX},
    {"after_seq", FIELD_INT, 0, 0, INT64_MAX},
    {"before_xid", FIELD_INT, 0, 0, INT64_MAX},
    {"limit", FIELD_INT, 0, 0, ROWS_MAX},
};

const struct shape shape_audit_seal_state = {
    .does = "Tell how far sealing and checking have come",
    .fields = SHAPE_TABLE(state_fields),
};
const struct shape shape_audit_blocks = {
    .does = "List the blocks of the audit trail",
    .query = blocks_query,
    .nquery = ARRAY_LEN(blocks_query),
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(block_fields),
};
static const struct field marks_fields[] = {{"row_marks", FIELD_TEXT}};

const struct shape shape_audit_block_marks = {
    .does = "Get the marks of a block's rows",
    .fields = SHAPE_TABLE(marks_fields),
};
const struct shape shape_audit_rows = {
    .does = "List events as they are hashed",
    .query = rows_query,
    .nquery = ARRAY_LEN(rows_query),
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(row_fields),
};
static const struct field proof_fields[] = {
    {"format", FIELD_TEXT},
    {"event", FIELD_CONFIG},
    {"leaf_index", FIELD_TEXT},
    {"path", FIELD_TEXTS},
    {"block", FIELD_CONFIG},
};
const struct shape shape_audit_proof = {
    .does = "Prove that an event is in its block",
    .fields = SHAPE_TABLE(proof_fields),
};
