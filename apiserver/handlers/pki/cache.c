/*
 * GET /api/v1/admin/crl/cache: the lists there are, and how making them went.
 */
#include "apiserver/handlers/pki/pki.h"

#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/field.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

enum { MAX_ROWS = 1000 }; /* the statement asks for one more */

static op_step cache_listed;

static const struct field present[] = {
    {"issuer_id", FIELD_TEXT},
    {"list", FIELD_TEXT},
    {"cache_present", FIELD_BOOL},
    {"crl_number", FIELD_INT},
    {"this_update", FIELD_TIME},
    {"next_update", FIELD_TIME},
    {"generated_at", FIELD_TIME},
    {"generation_duration_ms", FIELD_INT},
    {"revoked_count", FIELD_INT},
    {"is_stale", FIELD_BOOL},
};
/* Without a list. */
static const struct field absent[] = {
    {"issuer_id", FIELD_TEXT},
    {"list", FIELD_TEXT},
    {"cache_present", FIELD_BOOL},
};

static const struct field event[] = {
    {"started_at", FIELD_TIME},
    {"duration_ms", FIELD_INT, FIELD_OMIT_EMPTY},
    {"succeeded", FIELD_BOOL},
    {"crl_number", FIELD_INT, FIELD_OMIT_EMPTY},
    {"revoked_count", FIELD_INT, FIELD_OMIT_EMPTY},
    {"error", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

enum op_next
crl_cache_start(struct op *op)
{
	static const struct db_stmt stmts[] = {
	    {Q_CRL_CACHE_LIST, 0, NULL},
	    {Q_CRL_CACHE_EVENTS, 0, NULL},
	    {Q_CRL_NOW, 0, NULL},
	};

	return op_batch(op, cache_listed, ARRAY_LEN(stmts), stmts);
}

/* Those of this issuer, from *next on, which moves behind them. */
static void
put_events(struct op *op, struct json_w *w, const struct field_rows *events,
    const char *issuer, size_t *next)
{
	const struct db_result *rows = events->result;
	int col = db_col(rows, "issuer_id");
	int order;

	json_w_key(w, "recent_events");
	json_w_open(w, '[');
	for (; *next < db_nrows(rows); (*next)++) {
		order = strcmp(db_text(rows, *next, col), issuer);
		if (order > 0)
			break;
		if (order == 0)
			field_rows_put(events, op_arena(op), w, *next);
	}
	json_w_close(w, ']');
}

static void
put_rows(struct op *op, struct json_w *w)
{
	const struct db_result *rows = op_result(op, 0);
	int is_present = db_col(rows, "cache_present");
	int issuer = db_col(rows, "issuer_id");
	struct field_rows with, without, events;
	size_t next = 0, n = db_nrows(rows);

	if (n > MAX_ROWS)
		n = MAX_ROWS;
	field_rows_init(&with, rows, present, ARRAY_LEN(present), NULL);
	field_rows_init(&without, rows, absent, ARRAY_LEN(absent), NULL);
	field_rows_init(&events, op_result(op, 1), event, ARRAY_LEN(event),
	    NULL);
	json_w_key(w, "cache_rows");
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++) {
		json_w_open(w, '{');
		field_rows_put_members(db_bool(rows, i, is_present) ? &with
								    : &without,
		    op_arena(op), w, i);
		put_events(op, w, &events, db_text(rows, i, issuer), &next);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
	json_w_kv_int(w, "row_count", (int64_t)n);
	if (db_nrows(rows) > n)
		json_w_kv_bool(w, "is_cut", true);
}

static enum op_next
cache_listed(struct op *op)
{
	const struct db_result *now = op_result(op, 2);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	put_rows(op, w);
	json_w_key(w, "generated_at");
	wiretime_put(w, db_text(now, 0, db_col(now, "now")));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field cache_fields[] = {
    {"cache_rows", FIELD_OBJECTS},
    {"row_count", FIELD_INT},
    {"is_cut", FIELD_BOOL},
    {"generated_at", FIELD_TIME},
};
const struct shape shape_crl_cache_start = {
    .does = "List the revocation lists that are kept",
    .fields = SHAPE_TABLE(cache_fields),
};
