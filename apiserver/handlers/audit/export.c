/*
 * GET /audit/export: events of a time range, one JSON object a line, in the
 * order of sealing.
 *
 * All of them, unless a limit is asked for: a page is read when the client has
 * taken the one before, so neither memory nor a long answer sets a bound.  The
 * export is an event itself, written before anything leaves; a second one says
 * how many rows were sent to the end.
 */
#include "apiserver/handlers/audit/audit.h"

#include <inttypes.h>
#include <stdio.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/enc.h"
#include "common/policy/policy.h"

enum {
	PAGE = 2000,
	LIMIT_MAX = 100000,
	CATEGORY = 0,
	FROM,
	TO,
	NUMBER_MAX = 24
};

/* Where a row stands in the order of sealing; kept over op_rewind. */
struct position {
	char epoch[NUMBER_MAX], xid[NUMBER_MAX], seq[NUMBER_MAX];
};

struct exporting {
	const char *filters[AUDIT_FILTERS];
	const char *limit; /* NULL: none */
	int64_t left, done;
	struct position last; /* row read */
	struct position end;  /* our own event */
	struct json_w *w;
};

static op_step export_begin;
static op_step export_begun;
static op_step export_page;
static op_step export_page_done;
static op_step export_done;

static void
set_number(char to[NUMBER_MAX], const char *text)
{
	(void)snprintf(to, NUMBER_MAX, "%s", text);
}

static bool
read_limit(struct op *op, struct exporting *x)
{
	rc ret;

	x->left = INT64_MAX;
	x->limit = req_query(op, "limit");
	if (!x->limit)
		return true;
	ret = enc_parse_i64(x->limit, 1, LIMIT_MAX, &x->left);
	return ret == RC_OK;
}

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
	if (!read_limit(op, x))
		return op_fail(op, RC_INVALID,
		    "limit must be a number from 1 to %d", LIMIT_MAX);
	return OP_QUERY(op, Q_AUDIT_EXPORT_RANGE, export_begin,
	    x->filters[FROM], x->filters[TO]);
}

static enum op_next
write_event(struct op *op, const char *rows, op_step *next)
{
	const struct exporting *x = op_state(op, sizeof(*x));

	return OP_QUERY(op, Q_AUDIT_EXPORT_EVENT, next, page_actor(op),
	    req_actor_type(op), x->filters[FROM], x->filters[TO],
	    x->filters[CATEGORY], x->limit, rows);
}

static enum op_next
export_begin(struct op *op)
{
	if (op_bool(op, 0, "is_empty"))
		return op_fail(op, RC_INVALID, "to must be after from");
	if (op_bool(op, 0, "is_too_long"))
		return op_fail(op, RC_INVALID,
		    "from and to may be %d days apart at most",
		    POLICY_AUDIT_EXPORT / 86400);
	reply_header(op, "Content-Disposition",
	    op_printf(op,
		"attachment; filename=\"certctl-audit-%s_to_%s.ndjson\"",
		op_text(op, 0, "from_date"), op_text(op, 0, "to_date")));
	return write_event(op, NULL, export_begun);
}

static enum op_next
export_begun(struct op *op)
{
	struct exporting *x = op_state(op, sizeof(*x));

	set_number(x->end.epoch, op_text(op, 0, "at_epoch"));
	set_number(x->end.xid, op_text(op, 0, "at_xid"));
	set_number(x->last.epoch, "0");
	set_number(x->last.xid, "0");
	set_number(x->last.seq, "0");
	x->w = reply_begin(op, 200, "application/x-ndjson");
	op_mark(op);
	return op_goto(op, export_page);
}

static enum op_next
export_page(struct op *op)
{
	struct exporting *x = op_state(op, sizeof(*x));
	int64_t n = x->left < PAGE ? x->left : PAGE;

	op_rewind(op);
	return OP_QUERY(op, Q_AUDIT_EXPORT_ROWS, export_page_done,
	    x->filters[FROM], x->filters[TO], x->filters[CATEGORY],
	    x->last.epoch, x->last.xid, x->last.seq, x->end.epoch, x->end.xid,
	    page_num(op, n));
}

static enum op_next
export_page_done(struct op *op)
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
	if (n < PAGE || x->left == 0)
		return write_event(op, page_num(op, x->done), export_done);
	set_number(x->last.epoch, op_text(op, n - 1, "at_epoch"));
	set_number(x->last.xid, op_text(op, n - 1, "at_xid"));
	set_number(x->last.seq, op_text(op, n - 1, "at_seq"));
	return reply_piece(op, export_page);
}

static enum op_next
export_done(struct op *op)
{
	return reply_end(op);
}

/* --- what the document says of it --- */

static const struct field export_query[] = {
    {"category", FIELD_TEXT},
    {"from", FIELD_TIME, FIELD_REQUIRED},
    {"to", FIELD_TIME, FIELD_REQUIRED},
    {"actor", FIELD_TEXT},
    {"action", FIELD_TEXT},
    {"resource_type", FIELD_TEXT},
    {"resource_id", FIELD_TEXT},
    {"limit", FIELD_INT, 0, 1, LIMIT_MAX},
};

const struct shape shape_audit_export = {
    .does = "Export events, a line each",
    .query = export_query,
    .nquery = ARRAY_LEN(export_query),
    .answer = SHAPE_BYTES,
    .content_type = "application/x-ndjson",
};
