/*
 * GET /certificates: a page, or a step of a walk with a cursor.
 *
 * The first page that nobody filtered or sorted, and a walk's steps, are
 * statements of their own with a plan made once; their total is a maintained
 * counter.  Any other total is counted up to a cap, unless the rows tell it.
 */
#include "apiserver/handlers/certificates/certs.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

enum {
	N_EXACT = 7,
	N_TIMES = 4,
	N_FILTERS = N_EXACT + N_TIMES + 1,
	SORT = N_FILTERS + 4, /* behind the page's parameters */
	N_SEARCH = SORT + 2
};

/* Without a sort, and of every walk. */
static const struct cursor_key oldest_first[] = {
    {"created_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

struct listing {
	struct page page; /* first: page_ask's */
	const char *only;
	/* The filters, the page's, the sort key and descending: the
	 * parameters of cert_search. */
	const char *params[N_SEARCH];
	bool is_filtered;
	bool is_sorted;
};

static op_step list_done;

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

/* False: it is neither true nor false. */
static bool
desc_read(struct op *op, bool *out_is_desc)
{
	const char *desc = req_query(op, "sort_desc");

	*out_is_desc = desc != NULL && (strcasecmp(desc, "true") == 0 ||
					   strcmp(desc, "1") == 0);
	return desc == NULL || *out_is_desc || strcasecmp(desc, "false") == 0 ||
	       strcmp(desc, "0") == 0;
}

/* A key that is none stands for the default, as the contract asks. */
static const char *
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
	bool is_desc;

	if (!desc_read(op, &is_desc))
		return "sort_desc must be true or false";
	l->params[SORT] = "created_at";
	l->params[SORT + 1] = "false";
	if (sort == NULL)
		sort = "createdAt";
	if (sort[0] == '-') {
		is_desc = true;
		sort++;
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (strcmp(sort, keys[i].key) != 0)
			continue;
		l->params[SORT] = keys[i].column;
		l->params[SORT + 1] = is_desc ? "true" : "false";
		l->is_sorted = is_desc || strcmp(keys[i].key, "createdAt") != 0;
	}
	return NULL;
}

/* --- the statements --- */

/* Nobody filtered or sorted, and no rows are skipped: a plan made once. */
static enum op_next
list_plain(struct op *op, struct page *p)
{
	const char *const params[] = {p->params[0], p->params[2], p->params[3]};
	const struct db_stmt rows =
	    page_is_first(p) ? (struct db_stmt){Q_CERT_PAGE, 1, params}
			     : (struct db_stmt){Q_CERT_PAGE_AFTER,
				   ARRAY_LEN(params), params};
	const struct db_stmt total = {Q_CERT_TOTAL, 0, NULL};

	return page_ask(op, p, &rows, &total, false, list_done);
}

enum op_next
cert_list(struct op *op)
{
	struct listing *l = op_state(op, sizeof(*l));
	struct page *p = &l->page;
	const char *why;

	l->only = req_query(op, "fields");
	why = page_read(op, oldest_first, ARRAY_LEN(oldest_first), &l->page);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	filters_read(op, l);
	why = sort_read(op, l);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	if (p->is_walk && l->is_sorted)
		return op_fail(op, RC_INVALID,
		    "sort and cursor do not go together: a walk is in the "
		    "order of createdAt");
	if (!p->is_walk && !l->is_sorted)
		page_tell_next(op, p);
	if (!l->is_filtered && !l->is_sorted &&
	    (p->is_walk || page_is_first(p)))
		return list_plain(op, p);
	(void)page_params(p, l->params + N_FILTERS);

	const struct db_stmt rows = {Q_CERT_SEARCH, N_SEARCH, l->params};
	const struct db_stmt total =
	    l->is_filtered
		? (struct db_stmt){Q_CERT_SEARCH_TOTAL, N_FILTERS, l->params}
		: (struct db_stmt){Q_CERT_TOTAL, 0, NULL};

	return page_ask(op, p, &rows, &total, l->is_filtered, list_done);
}

static enum op_next
list_done(struct op *op)
{
	const struct listing *l = op_state(op, sizeof(*l));
	const struct db_result *rows = l->page.rows;
	int status = db_col(rows, "status");

	/* Why such a one waits depends on agents, lanes, workers and the
	 * clock. */
	for (size_t i = 0; i < db_nrows(rows); i++) {
		if (strcmp(db_text(rows, i, status), "RenewalInProgress") == 0)
			reply_momentary(op);
	}
	return page_done(op, &l->page, cert_fields, cert_nfields, l->only);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"status", FIELD_TEXT},
    {"environment", FIELD_TEXT},
    {"owner_id", FIELD_TEXT},
    {"team_id", FIELD_TEXT},
    {"issuer_id", FIELD_TEXT},
    {"agent_id", FIELD_TEXT},
    {"profile_id", FIELD_TEXT},
    {"expires_before", FIELD_TIME},
    {"expires_after", FIELD_TIME},
    {"created_after", FIELD_TIME},
    {"updated_after", FIELD_TIME},
    {"q", FIELD_TEXT},
    {"sort", FIELD_TEXT},
    {"sort_desc", FIELD_BOOL},
    {"fields", FIELD_TEXT},
};

const struct shape shape_cert_list = {
    .does = "List the certificates",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE_OF(cert_fields, cert_nfields),
};
