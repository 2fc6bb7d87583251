#include "apiserver/resources/page.h"

#include <assert.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/enc.h"

enum { SIZE_DEFAULT = 50 };

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

/* --- what is asked for --- */

void
page_tell_next(struct op *op, struct page *p)
{
	/* One row more than is answered tells whether there is a next one. */
	p->params[0] = page_num(op, p->size + 1);
	p->tells_next = true;
}

bool
page_take_whole(struct op *op, struct page *p)
{
	if (p->is_said)
		return false;
	p->size = PAGE_WHOLE_MAX;
	page_tell_next(op, p);
	return true;
}

/* The contract wants what is wrong in page and per_page to count as not said;
 * of page_size it asks no such thing. */
static const char *
size_read(struct op *op, struct page *p)
{
	const char *text = req_query(op, "page_size");
	rc ret;

	p->size = p->per_page;
	if (text == NULL)
		return NULL;
	ret = enc_parse_i64(text, 1, PAGE_SIZE_MAX, &p->size);
	return ret == RC_OK ? NULL
			    : op_printf(op,
				  "page_size must be a whole number from 1 "
				  "to %d",
				  PAGE_SIZE_MAX);
}

static const char *
walk_read(struct op *op, const char *cursor, struct page *p)
{
	if (p->page > 1)
		return "page and cursor do not go together";
	page_tell_next(op, p);
	p->params[1] = "0";
	(void)cursor_decode(op_arena(op), cursor, p->keys, p->nkeys,
	    p->params + 2); /* what is none stands for the start */
	return NULL;
}

const char *
page_read(struct op *op, const struct cursor_key *keys, size_t nkeys,
    struct page *out)
{
	const char *cursor = req_query(op, "cursor"), *why;

	assert(nkeys <= CURSOR_KEYS_MAX);
	*out = (struct page){.keys = keys, .nkeys = nkeys};
	out->nparams = 2 + nkeys;
	out->page = req_query_int(op, "page", 1, PAGE_NUMBER_MAX, 1);
	out->per_page =
	    req_query_int(op, "per_page", 1, PAGE_SIZE_MAX, SIZE_DEFAULT);
	why = size_read(op, out);
	if (why != NULL)
		return why;
	out->is_said = cursor != NULL || req_query(op, "page_size") != NULL ||
		       req_query_int(op, "page", 1, PAGE_NUMBER_MAX, 0) > 0 ||
		       req_query_int(op, "per_page", 1, PAGE_SIZE_MAX, 0) > 0;
	out->is_walk = cursor != NULL;
	if (out->is_walk)
		return walk_read(op, cursor, out);
	if (out->page * out->size > PAGE_DEPTH_MAX)
		return op_printf(op,
		    "pages end at row %d: walk further with cursor=start "
		    "and the next_cursor of each answer",
		    PAGE_DEPTH_MAX);
	out->params[0] = page_num(op, out->size);
	out->params[1] = page_num(op, (out->page - 1) * out->size);
	return NULL;
}

size_t
page_params(const struct page *p, const char **params)
{
	memcpy(params, p->params, p->nparams * sizeof(p->params[0]));
	return p->nparams;
}

bool
page_is_first(const struct page *p)
{
	return p->page == 1 && p->params[2] == NULL;
}

/* --- the rows and their number --- */

static op_step ask_number;
static op_step have_number;

static struct page *
page_of(struct op *op)
{
	return op_state(op, sizeof(struct page));
}

static void
keep_stmt(struct op *op, const struct db_stmt *stmt, struct db_stmt *out)
{
	size_t size = stmt->nparams * sizeof(stmt->params[0]);
	const char **params = arena_alloc(op_arena(op), size + 1);

	if (size > 0)
		memcpy(params, stmt->params, size);
	*out = (struct db_stmt){stmt->q, stmt->nparams, params};
}

/* The number of all rows that these tell; -1: there may be others. */
static int64_t
told_by_rows(const struct page *p)
{
	int64_t n = (int64_t)db_nrows(p->rows);

	if (p->is_walk)
		return p->params[2] == NULL && n <= p->size ? n : -1;
	if (n < p->size + (p->tells_next ? 1 : 0) && (n > 0 || p->page == 1))
		return (p->page - 1) * p->size + n;
	return -1;
}

enum op_next
page_ask(struct op *op, struct page *p, const struct db_stmt *rows,
    const struct db_stmt *total, bool is_filtered, op_step *done)
{
	const struct db_stmt both[] = {*rows, *total};

	assert(p == page_of(op));
	p->done = done;
	if (!is_filtered)
		return op_batch(op, have_number, ARRAY_LEN(both), both);
	keep_stmt(op, total, &p->count);
	return op_batch(op, ask_number, 1, rows);
}

static enum op_next
ask_number(struct op *op)
{
	struct page *p = page_of(op);

	p->rows = op_result(op, 0);
	if (told_by_rows(p) >= 0)
		return p->done(op);
	return op_batch(op, have_number, 1, &p->count);
}

static enum op_next
have_number(struct op *op)
{
	struct page *p = page_of(op);

	if (p->rows == NULL) { /* asked for together */
		p->rows = op_result(op, 0);
		p->total = op_result(op, 1);
	} else {
		p->total = op_result(op, 0);
	}
	return p->done(op);
}

/* --- the answer --- */

/* "total":n and, where it is one, "total_is_estimate":true. */
static void
put_total(struct op *op, struct json_w *w, const struct db_result *total)
{
	json_w_kv_int(w, "total", db_i64(total, 0, db_col(total, "total")));
	if (db_bool(total, 0, db_col(total, "is_capped")))
		json_w_kv_bool(w, "total_is_estimate", true);
}

/* A key as the cursor spells it: times are UTC, in PostgreSQL's style or the
 * wire's. */
static const char *
key_of(struct op *op, const struct cursor_key *key,
    const struct db_result *rows, size_t row)
{
	const char *value = db_text(rows, row, db_col(rows, key->column));
	char *time;

	if (key->type != CURSOR_TIME || strchr(value, ' ') == NULL)
		return value;
	time = op_printf(op, "%sZ", value);
	*strchr(time, ' ') = 'T';
	return time;
}

static void
put_next(struct op *op, struct json_w *w, const struct page *p,
    const struct db_result *rows, size_t last)
{
	const char *values[CURSOR_KEYS_MAX];

	for (size_t i = 0; i < p->nkeys; i++)
		values[i] = key_of(op, &p->keys[i], rows, last);
	json_w_kv(w, "next_cursor",
	    cursor_encode(op_arena(op), values, p->nkeys));
}

static enum op_next
answer(struct op *op, const struct page *p, const struct db_result *rows,
    const struct field *fields, size_t n, const char *only,
    const struct db_result *total)
{
	struct json_w *w = reply_writer(op);
	size_t nrows = db_nrows(rows);
	bool has_more = nrows > (size_t)p->size;
	struct field_rows fr;

	if (has_more)
		nrows = (size_t)p->size;
	field_rows_init(&fr, rows, fields, n, only);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&fr, op_arena(op), w, nrows);
	if (total != NULL)
		put_total(op, w, total);
	else if (p->rows != NULL)
		json_w_kv_int(w, "total", told_by_rows(p));
	if (has_more)
		put_next(op, w, p, rows, nrows - 1);
	if (p->is_walk) {
		json_w_kv_int(w, "page_size", p->size);
	} else {
		json_w_kv_int(w, "page", p->page);
		json_w_kv_int(w, "per_page",
		    p->counts_rows ? (int64_t)nrows : p->per_page);
	}
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
page_reply(struct op *op, const struct page *p, const struct field *fields,
    size_t n, const char *only, const struct db_result *total)
{
	return answer(op, p, op_result(op, 0), fields, n, only, total);
}

enum op_next
page_done(struct op *op, const struct page *p, const struct field *fields,
    size_t n, const char *only)
{
	return answer(op, p, p->rows, fields, n, only, p->total);
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
