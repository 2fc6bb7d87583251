/*
 * GET /acme/accounts, newest first, GET /acme/accounts/{id}, and
 * POST /acme/accounts/{id}/revoke, which ends an account as its client can't
 * (RFC 8555 section 7.1.2): from the commit on every apiserver refuses what it
 * signs.
 */
#include "apiserver/handlers/acme_admin/acme_admin.h"

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

enum { WHY_MAX = 500 };

static const struct field account_fields[] = {
    {"id", FIELD_TEXT},
    {"profile_id", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"contact", FIELD_TEXTS},
    {"key_thumbprint", FIELD_TEXT},
    {"owner_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"eab_key_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"terms_agreed_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
    {"updated_at", FIELD_TIME},
};

/* Of one account: the same, and what it has. */
static const struct field more_fields[] = {
    {"orders_pending", FIELD_INT},
    {"orders_ready", FIELD_INT},
    {"orders_processing", FIELD_INT},
    {"orders_valid", FIELD_INT},
    {"orders_invalid", FIELD_INT},
    {"last_order_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"last_order_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"certificates", FIELD_INT},
};

static op_step list_done;
static op_step get_done;
static op_step revoked;

/* --- list --- */

static const struct cursor_key newest_first[] = {
    {"created_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

enum { NFILTERS = 3, NPARAMS = NFILTERS + 2 + ARRAY_LEN(newest_first) };

enum op_next
acme_account_list(struct op *op)
{
	static const char *const statuses[] = {"valid", "deactivated",
	    "revoked"};
	struct page *p = op_state(op, sizeof(*p));
	const char *params[NPARAMS], *why;
	bool is_filtered = false;

	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = req_query(op, "profile_id");
	params[1] = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	params[2] = req_query(op, "owner_id");
	for (size_t i = 0; i < NFILTERS; i++)
		is_filtered = is_filtered || params[i] != NULL;
	(void)page_params(p, params + NFILTERS);

	const struct db_stmt rows = {Q_ACME_ACCOUNT_LIST, NPARAMS, params};
	const struct db_stmt total = {Q_ACME_ACCOUNT_TOTAL, NFILTERS, params};

	return page_ask(op, p, &rows, &total, is_filtered, list_done);
}

static enum op_next
list_done(struct op *op)
{
	return page_done(op, op_state(op, sizeof(struct page)), account_fields,
	    ARRAY_LEN(account_fields), NULL);
}

/* --- one --- */

enum op_next
acme_account_get(struct op *op)
{
	return OP_QUERY(op, Q_ACME_ACCOUNT_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	struct json_w *w;
	struct field_rows rows;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "ACME account not found");
	w = reply_writer(op);
	json_w_open(w, '{');
	field_rows_init(&rows, op_result(op, 0), account_fields,
	    ARRAY_LEN(account_fields), NULL);
	field_rows_put_members(&rows, op_arena(op), w, 0);
	field_rows_init(&rows, op_result(op, 0), more_fields,
	    ARRAY_LEN(more_fields), NULL);
	field_rows_put_members(&rows, op_arena(op), w, 0);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- its end --- */

static const struct field revoke_body[] = {
    {"reason", FIELD_TEXT, FIELD_EMPTY_ABSENT | FIELD_MULTILINE,
	.max = WHY_MAX},
};

enum op_next
acme_account_revoke(struct op *op)
{
	const char *checked, *why, *reason = NULL;
	const struct cJSON *body;
	rc ret;

	ret = req_json(op, true, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), revoke_body,
		    ARRAY_LEN(revoke_body), body, true, &checked, &why);
	if (ret == RC_OK)
		ret = json_str(body, "reason", (size_t)WHY_MAX * 4, &reason);
	if (ret != RC_OK && ret != RC_NOT_FOUND)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_ACME_ACCOUNT_REVOKE, revoked, req_param(op, "id"),
	    page_actor(op), req_actor_type(op), reason);
}

static enum op_next
revoked(struct op *op)
{
	if (outcome_is(op, "unknown"))
		return op_fail(op, RC_NOT_FOUND, "ACME account not found");
	if (!outcome_is(op, "revoked"))
		return op_fail(op, RC_CONFLICT,
		    "the account has ended before: it is %s",
		    op_text(op, 0, "status"));
	return acme_account_get(op);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"profile_id", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"owner_id", FIELD_TEXT},
};

const struct shape shape_acme_account_list = {
    .does = "List the accounts of ACME clients",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(account_fields),
};
const struct shape shape_acme_account_get = {
    .does = "Get an account of an ACME client, and what it has",
    .fields = SHAPE_TABLE(account_fields),
    .more_fields = SHAPE_TABLE(more_fields),
};
const struct shape shape_acme_account_revoke = {
    .does = "End an account: nothing that it signs is obeyed any more",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(revoke_body)},
    .fields = SHAPE_TABLE(account_fields),
    .more_fields = SHAPE_TABLE(more_fields),
};
