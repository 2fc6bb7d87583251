/*
 * GET /api/v1/admin/crl/cache: the lists there are, and how making them went.
 */
#include "apiserver/handlers/pki/pki.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/field.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

static op_step cache_listed;

static const struct field present[] = {
    {"issuer_id", FIELD_TEXT},
    {"cache_present", FIELD_BOOL},
    {"crl_number", FIELD_INT},
    {"this_update", FIELD_TIME},
    {"next_update", FIELD_TIME},
    {"generated_at", FIELD_TIME},
    {"generation_duration_ms", FIELD_INT},
    {"revoked_count", FIELD_INT},
    {"is_stale", FIELD_BOOL},
    {"recent_events", FIELD_OBJECT},
};
/* Without a list. */
static const struct field absent[] = {
    {"issuer_id", FIELD_TEXT},
    {"cache_present", FIELD_BOOL},
    {"recent_events", FIELD_OBJECT},
};

enum op_next
crl_cache_start(struct op *op)
{
	static const struct db_stmt stmts[] = {
	    {Q_CRL_CACHE_LIST, 0, NULL},
	    {Q_CRL_NOW, 0, NULL},
	};

	return op_batch(op, cache_listed, ARRAY_LEN(stmts), stmts);
}

static enum op_next
cache_listed(struct op *op)
{
	const struct db_result *rows = op_result(op, 0);
	const struct db_result *now = op_result(op, 1);
	struct json_w *w = reply_writer(op);
	struct field_rows with, without;

	field_rows_init(&with, rows, present, ARRAY_LEN(present), NULL);
	field_rows_init(&without, rows, absent, ARRAY_LEN(absent), NULL);
	json_w_open(w, '{');
	json_w_key(w, "cache_rows");
	json_w_open(w, '[');
	for (size_t i = 0; i < db_nrows(rows); i++)
		field_rows_put(db_bool(rows, i, db_col(rows, "cache_present"))
				   ? &with
				   : &without,
		    op_arena(op), w, i);
	json_w_close(w, ']');
	json_w_kv_int(w, "row_count", (int64_t)db_nrows(rows));
	json_w_key(w, "generated_at");
	wiretime_put(w, db_text(now, 0, db_col(now, "now")));
	json_w_close(w, '}');
	return reply_json(op, 200);
}
