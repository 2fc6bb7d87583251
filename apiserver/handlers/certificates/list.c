/*
 * GET /certificates: a page, or a step of a walk with a cursor.
 *
 * The first page that nobody filtered or sorted, and a walk's steps, are
 * statements of their own with a plan made once; their total is a maintained
 * counter.  Any other total
 * is counted up to a cap.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "apiserver/handlers/certificates/cursor.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

enum {
	N_EXACT = 7,
	N_TIMES = 4,
	N_FILTERS = N_EXACT + N_TIMES + 1,
	N_SEARCH = N_FILTERS + 6,
	MAX_PAGE_SIZE = 500
};

struct listing {
	const char *only;
	int64_t page, per_page;
	int64_t limit;
	bool is_walk; /* the cursor form */
	/* The filters, then limit, offset, sort key, descending, and the
	 * cursor's two: the parameters of cert_search. */
	const char *params[N_SEARCH];
	bool is_filtered;
	bool is_sorted;
};

static op_step list_page_done;
static op_step list_walk_done;

/* --- reading the query --- */

static void
filter_set(struct listing *l, size_t i, const char *value)
{
	l->params[i] = value;
	if (value != NULL)
		l->is_filtered = true;
}

static void
filters_read(struct op *op, struct listing *l)
{
	static const char *const exact[N_EXACT] = {"status", "environment",
	    "owner_id", "team_id", "issuer_id", "agent_id", "profile_id"};
	static const char *const times[N_TIMES] = {"expires_before",
	    "expires_after", "created_after", "updated_after"};

	for (size_t i = 0; i < N_EXACT; i++)
		filter_set(l, i, req_query(op, exact[i]));
	if (l->params[0] != NULL && cert_status_canonical(l->params[0]) != NULL)
		l->params[0] = cert_status_canonical(l->params[0]);
	for (size_t i = 0; i < N_TIMES; i++) {
		const char *value = req_query(op, times[i]);

		if (value != NULL && wiretime_is_valid(value, true))
			filter_set(l, N_EXACT + i,
			    strlen(value) > 10
				? value
				: op_printf(op, "%sT00:00:00Z", value));
	}
	filter_set(l, N_EXACT + N_TIMES, req_query(op, "q"));
}

static void
sort_read(struct op *op, struct listing *l)
{
	static const struct {
		const char *key, *column;
	} keys[] = {
	    {"notAfter", "expires_at"},
	    {"expiresAt", "expires_at"},
	    {"createdAt", "created_at"},
	    {"updatedAt", "updated_at"},
	    {"commonName", "common_name"},
	    {"name", "name"},
	    {"status", "status"},
	    {"environment", "environment"},
	};
	const char *sort = req_query(op, "sort");
	const char *desc = req_query(op, "sort_desc");
	bool is_desc = desc != NULL && (strcasecmp(desc, "true") == 0 ||
					   strcmp(desc, "1") == 0);

	l->params[N_FILTERS + 2] = "created_at";
	l->params[N_FILTERS + 3] = "false";
	if (sort == NULL)
		return;
	if (sort[0] == '-') {
		is_desc = true;
		sort++;
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(sort, keys[i].key) != 0)
			continue;
		l->params[N_FILTERS + 2] = keys[i].column;
		l->params[N_FILTERS + 3] = is_desc ? "true" : "false";
		l->is_sorted = is_desc || strcmp(keys[i].key, "createdAt") != 0;
	}
}

/* --- the two forms --- */

static enum op_next
list_page(struct op *op, struct listing *l)
{
	int64_t offset = (l->page - 1) * l->limit;

	sort_read(op, l);
	l->params[N_FILTERS] = page_num(op, l->limit);
	l->params[N_FILTERS + 1] = page_num(op, offset);
	if (!l->is_filtered && !l->is_sorted && l->page == 1) {
		const struct db_stmt plain[] = {
		    {Q_CERT_PAGE, 1, l->params + N_FILTERS},
		    {Q_CERT_TOTAL, 0, NULL},
		};

		return op_batch(op, list_page_done, ARRAY_LEN(plain), plain);
	}

	const struct db_stmt stmts[] = {
	    {Q_CERT_SEARCH, N_SEARCH, l->params},
	    l->is_filtered
		? (struct db_stmt){Q_CERT_SEARCH_TOTAL, N_FILTERS, l->params}
		: (struct db_stmt){Q_CERT_TOTAL, 0, NULL},
	};
	return op_batch(op, list_page_done, ARRAY_LEN(stmts), stmts);
}

/* One row more than the page: it tells whether there is a next one. */
static enum op_next
list_walk(struct op *op, struct listing *l, const char *cursor)
{
	const char *from = NULL, *id = NULL;

	if (!cursor_decode(op_arena(op), cursor, &from, &id))
		from = id = NULL;
	l->params[N_FILTERS] = page_num(op, l->limit + 1);
	l->params[N_FILTERS + 1] = "0";
	l->params[N_FILTERS + 2] = "created_at";
	l->params[N_FILTERS + 3] = "false";
	l->params[N_FILTERS + 4] = from;
	l->params[N_FILTERS + 5] = id;
	if (!l->is_filtered) {
		const char *params[] = {l->params[N_FILTERS],
		    from != NULL ? from : "-infinity", id != NULL ? id : ""};
		const struct db_stmt plain[] = {
		    {Q_CERT_PAGE_AFTER, ARRAY_LEN(params), params},
		    {Q_CERT_TOTAL, 0, NULL},
		};

		return op_batch(op, list_walk_done, ARRAY_LEN(plain), plain);
	}

	const struct db_stmt stmts[] = {
	    {Q_CERT_SEARCH, N_SEARCH, l->params},
	    {Q_CERT_SEARCH_TOTAL, N_FILTERS, l->params},
	};
	return op_batch(op, list_walk_done, ARRAY_LEN(stmts), stmts);
}

enum op_next
cert_list(struct op *op)
{
	struct listing *l = op_state(op, sizeof(*l));
	const char *cursor = req_query(op, "cursor");

	l->only = req_query(op, "fields");
	req_page(op, &l->page, &l->per_page);
	l->limit =
	    req_query_int(op, "page_size", 1, MAX_PAGE_SIZE, l->per_page);
	filters_read(op, l);
	if (cursor != NULL)
		return list_walk(op, l, cursor);
	return list_page(op, l);
}

/* --- the answers --- */

static enum op_next
list_page_done(struct op *op)
{
	const struct listing *l = op_state(op, sizeof(*l));

	return page_reply(op, cert_fields, cert_nfields, l->only, l->page,
	    l->per_page);
}

/* The created_at of a row as the cursor spells it. */
static const char *
row_time(struct op *op, const struct db_result *rows, size_t row)
{
	char *text = op_printf(op, "%sZ",
	    db_text(rows, row, db_col(rows, "created_at")));

	text[10] = 'T';
	return text;
}

static enum op_next
list_walk_done(struct op *op)
{
	const struct listing *l = op_state(op, sizeof(*l));
	const struct db_result *rows = op_result(op, 0);
	struct json_w *w = reply_writer(op);
	struct field_rows fr;
	size_t n = db_nrows(rows);
	bool has_more = n > (size_t)l->limit;

	if (has_more)
		n = (size_t)l->limit;
	field_rows_init(&fr, rows, cert_fields, cert_nfields, l->only);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&fr, op_arena(op), w, n);
	page_put_total(op, w, op_result(op, 1));
	if (has_more)
		json_w_kv(w, "next_cursor",
		    cursor_encode(op_arena(op), row_time(op, rows, n - 1),
			db_text(rows, n - 1, db_col(rows, "id"))));
	json_w_kv_int(w, "page_size", l->limit);
	json_w_close(w, '}');
	return reply_json(op, 200);
}
