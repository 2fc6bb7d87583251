#include "apiserver/resources/page.h"

#include "apiserver/edge/request.h"

const char *
page_num(struct op *op, int64_t n)
{
	return op_printf(op, "%lld", (long long)n);
}

const char *
page_actor(const struct op *op)
{
	const struct principal *p = req_principal(op);

	return p != NULL && p->id != NULL ? p->id : "anonymous";
}

void
page_put_total(struct op *op, struct json_w *w, const struct db_result *total)
{
	json_w_kv_int(w, "total", db_i64(total, 0, db_col(total, "total")));
	if (db_bool(total, 0, db_col(total, "is_capped")))
		json_w_kv_bool(w, "total_is_estimate", true);
}

enum op_next
page_reply(struct op *op, const struct field *fields, size_t n,
    const char *only, int64_t page, int64_t per_page)
{
	const struct db_result *rows = op_result(op, 0);
	struct json_w *w = reply_writer(op);
	struct field_rows fr;

	field_rows_init(&fr, rows, fields, n, only);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&fr, op_arena(op), w, db_nrows(rows));
	page_put_total(op, w, op_result(op, 1));
	json_w_kv_int(w, "page", page);
	json_w_kv_int(w, "per_page", per_page);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
page_reply_one(struct op *op, int status, const struct field *fields, size_t n)
{
	struct json_w *w = reply_writer(op);
	struct field_rows fr;

	field_rows_init(&fr, op_result(op, 0), fields, n, NULL);
	field_rows_put(&fr, op_arena(op), w, 0);
	return reply_json(op, status);
}
