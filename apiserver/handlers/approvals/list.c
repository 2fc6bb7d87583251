/*
 * GET /approvals, newest first, and GET /approvals/{id}.
 */
#include "apiserver/handlers/approvals/approvals.h"

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "common/base/attr.h"

static const struct field fields[] = {
    {"id", FIELD_TEXT},
    {"kind", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"job_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"profile_id", FIELD_TEXT},
    {"requested_by", FIELD_TEXT},
    {"state", FIELD_TEXT},
    {"decided_by", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"decided_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"decision_note", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"metadata", FIELD_OBJECT, FIELD_OMIT_EMPTY},
    {"payload", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
    {"updated_at", FIELD_TIME},
};

static op_step list_done;
static op_step get_done;

struct listing {
	int64_t page, per_page;
};

enum op_next
approval_list(struct op *op)
{
	static const char *const states[] = {"pending", "approved", "rejected",
	    "expired"};
	struct listing *l = op_state(op, sizeof(*l));
	const char *state = req_query(op, "state"), *known = NULL;

	req_page(op, &l->page, &l->per_page);
	if (state != NULL)
		known = fieldtext_canonical(states, ARRAY_LEN(states), state);
	return OP_QUERY(op, Q_APPROVAL_LIST, list_done,
	    known != NULL ? known : state, req_query(op, "certificate_id"),
	    req_query(op, "requested_by"), page_num(op, l->per_page),
	    page_num(op, (l->page - 1) * l->per_page));
}

/* This list has no total. */
static enum op_next
list_done(struct op *op)
{
	const struct listing *l = op_state(op, sizeof(*l));
	struct json_w *w = reply_writer(op);
	struct field_rows fr;

	field_rows_init(&fr, op_result(op, 0), fields, ARRAY_LEN(fields), NULL);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&fr, op_arena(op), w, op_rows(op));
	json_w_kv_int(w, "page", l->page);
	json_w_kv_int(w, "per_page", l->per_page);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
approval_get(struct op *op)
{
	return OP_QUERY(op, Q_APPROVAL_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Approval request not found");
	return page_reply_one(op, 200, fields, ARRAY_LEN(fields));
}
