#include "common/digest/digest.h"

#include <inttypes.h>

#include "common/base/attr.h"
#include "common/base/buf.h"
#include "common/base/html.h"

static const struct {
	const char *column, *label;
} figures[] = {
    {"certificates", "Certificates"},
    {"active", "Active"},
    {"expiring", "Expiring"},
    {"renewing", "In renewal"},
    {"expired", "Expired"},
    {"failed", "Failed"},
    {"revoked", "Revoked"},
    {"expiring_soon", "Ending within 30 days"},
    {"jobs_open", "Jobs that are open"},
    {"jobs_completed", "Jobs completed since yesterday"},
    {"jobs_failed", "Jobs failed since yesterday"},
};

static const struct {
	const char *column, *label;
} columns[] = {
    {"name", "Name"},
    {"common_name", "Common name"},
    {"status", "Status"},
    {"ends", "Ends (UTC)"},
};

bool
digest_is_known(struct op *op)
{
	return db_nrows(op_result(op, 0)) > 0;
}

static int64_t
figure(struct op *op, const char *column)
{
	const struct db_result *r = op_result(op, 0);

	return db_i64(r, 0, db_col(r, column));
}

static const char *
cell(struct op *op, size_t row, size_t i)
{
	const struct db_result *r = op_result(op, 1);

	return db_text(r, row, db_col(r, columns[i].column));
}

/* Beyond those that are listed. */
static int64_t
rest(struct op *op)
{
	return figure(op, "expiring_soon") -
	       (int64_t)db_nrows(op_result(op, 1));
}

static const char *
taken(struct op *op, struct buf *b)
{
	const char *text = op_printf(op, "%s", buf_cstr(b));

	buf_fini(b);
	return text;
}

static void
put_list(struct op *op, struct buf *b)
{
	size_t n = db_nrows(op_result(op, 1));

	buf_puts(b, "<h2>Ending next</h2>\n<table>\n<tr>");
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		buf_printf(b, "<th>%s</th>", columns[i].label);
	buf_puts(b, "</tr>\n");
	for (size_t row = 0; row < n; row++) {
		buf_puts(b, "<tr>");
		for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
			buf_puts(b, "<td>");
			html_put(b, cell(op, row, i));
			buf_puts(b, "</td>");
		}
		buf_puts(b, "</tr>\n");
	}
	buf_puts(b, "</table>\n");
	if (rest(op) > 0)
		buf_printf(b, "<p>and %" PRId64 " more</p>\n", rest(op));
}

const char *
digest_html(struct op *op)
{
	struct buf b;

	buf_init(&b, 0);
	buf_puts(&b, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">"
		     "<title>certctl digest</title></head><body>\n"
		     "<h1>Certificates</h1>\n<table>\n");
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		buf_printf(&b, "<tr><td>%s</td><td>%" PRId64 "</td></tr>\n",
		    figures[i].label, figure(op, figures[i].column));
	buf_puts(&b, "</table>\n");
	if (db_nrows(op_result(op, 1)) > 0)
		put_list(op, &b);
	buf_puts(&b, "</body></html>\n");
	return taken(op, &b);
}

const char *
digest_text(struct op *op)
{
	size_t n = db_nrows(op_result(op, 1));
	struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < ARRAY_LEN(figures); i++)
		buf_printf(&b, "%s: %" PRId64 "\n", figures[i].label,
		    figure(op, figures[i].column));
	if (n > 0)
		buf_puts(&b, "\nEnding next:\n");
	for (size_t row = 0; row < n; row++)
		buf_printf(&b, "%s UTC  %s (%s), %s\n", cell(op, row, 3),
		    cell(op, row, 0), cell(op, row, 1), cell(op, row, 2));
	if (rest(op) > 0)
		buf_printf(&b, "and %" PRId64 " more\n", rest(op));
	return taken(op, &b);
}
