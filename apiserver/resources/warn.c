#include "apiserver/resources/warn.h"

#include <assert.h>
#include <stdarg.h>

#include "apiserver/edge/request.h"

const struct field warn_fields[] = {{"warnings", FIELD_TEXTS}};
const size_t warn_nfields = ARRAY_LEN(warn_fields);

void
warn_add(struct op *op, struct warnings *ws, const char *fmt, ...)
{
	va_list ap;

	assert(ws->n < WARN_MAX);
	va_start(ap, fmt);
	ws->texts[ws->n++] = arena_vprintf(op_arena(op), fmt, ap);
	va_end(ap);
}

void
warn_put(struct json_w *w, const struct warnings *ws)
{
	if (ws->n == 0)
		return;
	json_w_key(w, "warnings");
	json_w_open(w, '[');
	for (size_t i = 0; i < ws->n; i++)
		json_w_str(w, ws->texts[i]);
	json_w_close(w, ']');
}

enum op_next
warn_reply_one(struct op *op, int status, const struct db_result *rows,
    size_t row, const struct field *fields, size_t n, const struct warnings *ws)
{
	struct json_w *w = reply_writer(op);
	struct field_rows fr;

	field_rows_init(&fr, rows, fields, n, NULL);
	json_w_open(w, '{');
	field_rows_put_members(&fr, op_arena(op), w, row);
	warn_put(w, ws);
	json_w_close(w, '}');
	return reply_json(op, status);
}
