/*
 * GET /audit/export: events of a time range, one JSON object a line, in the
 * order of sealing.  Read in chunks; the export is an event itself, written
 * before the answer leaves.
 */
#include "apiserver/handlers/audit/audit.h"

#include <inttypes.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"

enum {
	CHUNK = 2000,
	LIMIT_MAX = 100000,
	LIMIT_DEFAULT = 50000,
	CATEGORY = 0,
	FROM,
	TO
};

struct exporting {
	const char *filters[AUDIT_FILTERS];
	int64_t left, done;
	const char *epoch, *xid, *seq; /* of the last row read */
	struct json_w *w;
};

static op_step export_begun;
static op_step export_chunk;
static op_step export_chunk_done;
static op_step export_done;

enum op_next
audit_export(struct op *op)
{
	struct exporting *x = op_state(op, sizeof(*x));
	const char *why = audit_filters_read(op, "from", "to", x->filters);

	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	if (!x->filters[FROM] || !x->filters[TO])
		return op_fail(op, RC_INVALID,
		    "from and to are required (RFC 3339)");
	x->left = req_query_int(op, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT);
	x->epoch = x->xid = x->seq = "0";
	return OP_QUERY(op, Q_AUDIT_EXPORT_RANGE, export_begun,
	    x->filters[FROM], x->filters[TO]);
}

static enum op_next
export_begun(struct op *op)
{
	struct exporting *x = op_state(op, sizeof(*x));

	if (op_bool(op, 0, "is_empty"))
		return op_fail(op, RC_INVALID, "to must be after from");
	if (op_bool(op, 0, "is_too_long"))
		return op_fail(op, RC_INVALID,
		    "from and to may be 90 days apart at most");
	reply_header(op, "Content-Disposition",
	    op_printf(op,
		"attachment; filename=\"certctl-audit-%s_to_%s.ndjson\"",
		op_text(op, 0, "from_date"), op_text(op, 0, "to_date")));
	x->w = reply_begin(op, 200, "application/x-ndjson");
	return op_goto(op, export_chunk);
}

static enum op_next
export_chunk(struct op *op)
{
	struct exporting *x = op_state(op, sizeof(*x));
	int64_t n = x->left < CHUNK ? x->left : CHUNK;

	return OP_QUERY(op, Q_AUDIT_EXPORT_ROWS, export_chunk_done,
	    x->filters[FROM], x->filters[TO], x->filters[CATEGORY], x->epoch,
	    x->xid, x->seq, page_num(op, n));
}

static enum op_next
export_chunk_done(struct op *op)
{
	struct exporting *x = op_state(op, sizeof(*x));
	struct field_rows fr;
	size_t n = op_rows(op);

	field_rows_init(&fr, op_result(op, 0), audit_fields, audit_nfields,
	    NULL);
	for (size_t i = 0; i < n; i++) {
		x->w->comma = false; /* lines, not items of a list */
		field_rows_put(&fr, op_arena(op), x->w, i);
		buf_putc(x->w->b, '\n');
	}
	x->left -= (int64_t)n;
	x->done += (int64_t)n;
	if (n == CHUNK && x->left > 0) {
		x->epoch = op_text(op, n - 1, "at_epoch");
		x->xid = op_text(op, n - 1, "at_xid");
		x->seq = op_text(op, n - 1, "at_seq");
		return op_goto(op, export_chunk);
	}
	return OP_QUERY(op, Q_AUDIT_EXPORT_DONE, export_done, page_actor(op),
	    req_actor_type(op), x->filters[FROM], x->filters[TO],
	    x->filters[CATEGORY], page_num(op, x->done));
}

static enum op_next
export_done(struct op *op)
{
	return reply_end(op);
}
