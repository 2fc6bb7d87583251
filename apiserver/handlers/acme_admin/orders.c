/*
 * GET /acme/orders, newest first, and GET /acme/orders/{id} with its
 * authorizations and their challenges.
 */
#include "apiserver/handlers/acme_admin/acme_admin.h"

#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/acme/orders.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/attr.h"

static const struct field order_fields[] = {
    {"id", FIELD_TEXT},
    {"account_id", FIELD_TEXT},
    {"profile_id", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"identifiers", FIELD_OBJECTS},
    {"error", FIELD_OBJECT, FIELD_OMIT_EMPTY, .say = acme_order_problem},
    {"certificate_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"version_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"job_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"replaces", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"expires_at", FIELD_TIME},
    {"created_at", FIELD_TIME},
    {"updated_at", FIELD_TIME},
};

/* Of one order: the same, and how far it is. */
static const struct field more_fields[] = {
    {"job_status", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

static op_step list_done;
static op_step get_done;

/* --- list --- */

/* Whose they are: both are newest first, each by an index. */
static const struct cursor_key by_id[] = {{"id", CURSOR_ID}};
static const struct cursor_key by_time[] = {
    {"created_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

enum { NFILTERS = 3, NPARAMS = NFILTERS + 2 + ARRAY_LEN(by_time) };

enum op_next
acme_order_list(struct op *op)
{
	static const char *const statuses[] = {"pending", "ready", "processing",
	    "valid", "invalid"};
	const char *account = req_query(op, "account_id");
	struct page *p = op_state(op, sizeof(*p));
	const char *params[NPARAMS], *why;
	bool is_filtered = false;
	size_t n;

	why = account != NULL ? page_read(op, by_time, ARRAY_LEN(by_time), p)
			      : page_read(op, by_id, ARRAY_LEN(by_id), p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = account;
	params[1] = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	params[2] = req_query(op, "certificate_id");
	for (size_t i = 0; i < NFILTERS; i++)
		is_filtered = is_filtered || params[i] != NULL;
	n = NFILTERS + page_params(p, params + NFILTERS);

	const struct db_stmt rows = {account != NULL ? Q_ACME_ORDERS_OF_ACCOUNT
						     : Q_ACME_ORDERS_OF_ALL,
	    n, params};
	const struct db_stmt total = {Q_ACME_ORDERS_TOTAL, NFILTERS, params};

	return page_ask(op, p, &rows, &total, is_filtered, list_done);
}

static enum op_next
list_done(struct op *op)
{
	return page_done(op, op_state(op, sizeof(struct page)), order_fields,
	    ARRAY_LEN(order_fields), NULL);
}

/* --- one --- */

enum op_next
acme_order_get(struct op *op)
{
	return OP_QUERY(op, Q_ACME_ORDER_GET, get_done, req_param(op, "id"));
}

static void
put_challenge(struct op *op, struct json_w *w, size_t row)
{
	const char *error = op_text(op, row, "challenge_error");

	json_w_open(w, '{');
	json_w_kv(w, "id", op_text(op, row, "challenge_id"));
	json_w_kv(w, "type", op_text(op, row, "type"));
	json_w_kv(w, "status", op_text(op, row, "challenge_status"));
	json_w_kv_int(w, "attempts", op_i64(op, row, "attempts"));
	acme_put_time(w, "validated_at", op_text(op, row, "validated_at"));
	if (error[0] != '\0')
		json_w_kv_raw(w, "error",
		    acme_order_problem(op_arena(op), error));
	json_w_close(w, '}');
}

/* The authorization whose challenges begin with that row; gives the row behind
 * them. */
static size_t
put_authorization(struct op *op, struct json_w *w, size_t row)
{
	const char *id = op_text(op, row, "authz_id");

	json_w_open(w, '{');
	json_w_kv(w, "id", id);
	json_w_kv_raw(w, "identifier", op_text(op, row, "identifier"));
	json_w_kv_bool(w, "wildcard", op_bool(op, row, "wildcard"));
	json_w_kv(w, "status", op_text(op, row, "authz_status"));
	acme_put_time(w, "expires_at", op_text(op, row, "authz_expires_at"));
	json_w_key(w, "challenges");
	json_w_open(w, '[');
	for (; row < op_rows(op); row++) {
		if (strcmp(op_text(op, row, "authz_id"), id) != 0)
			break;
		if (!op_is_null(op, row, "challenge_id"))
			put_challenge(op, w, row);
	}
	json_w_close(w, ']');
	json_w_close(w, '}');
	return row;
}

static enum op_next
get_done(struct op *op)
{
	struct json_w *w;
	struct field_rows rows;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "ACME order not found");
	w = reply_writer(op);
	json_w_open(w, '{');
	field_rows_init(&rows, op_result(op, 0), order_fields,
	    ARRAY_LEN(order_fields), NULL);
	field_rows_put_members(&rows, op_arena(op), w, 0);
	field_rows_init(&rows, op_result(op, 0), more_fields,
	    ARRAY_LEN(more_fields), NULL);
	field_rows_put_members(&rows, op_arena(op), w, 0);
	json_w_key(w, "authorizations");
	json_w_open(w, '[');
	/* One that was cleaned away meanwhile has none. */
	for (size_t i = op_is_null(op, 0, "authz_id"); i < op_rows(op);)
		i = put_authorization(op, w, i);
	json_w_close(w, ']');
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"account_id", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
};

static const struct field got_fields[] = {
    {"job_status", FIELD_TEXT},
    {"authorizations", FIELD_OBJECTS},
};

const struct shape shape_acme_order_list = {
    .does = "List the orders of ACME clients",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(order_fields),
};
const struct shape shape_acme_order_get = {
    .does = "Get an order of an ACME client, with its authorizations and "
	    "their challenges",
    .fields = SHAPE_TABLE(order_fields),
    .more_fields = SHAPE_TABLE(got_fields),
};
