/*
 * GET /approvals, newest first, and GET /approvals/{id}.
 */
#include "apiserver/handlers/approvals/approvals.h"

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
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

static const struct cursor_key newest_first[] = {
    {"created_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

enum op_next
approval_list(struct op *op)
{
	static const char *const states[] = {"pending", "approved", "rejected",
	    "expired"};
	struct page *p = op_state(op, sizeof(*p));
	const char *why;

	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	return OP_QUERY(op, Q_APPROVAL_LIST, list_done,
	    fieldtext_filter(states, ARRAY_LEN(states), req_query(op, "state")),
	    req_query(op, "certificate_id"), req_query(op, "requested_by"),
	    p->params[0], p->params[1], p->params[2], p->params[3]);
}

/* This list has no total. */
static enum op_next
list_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));

	return page_reply(op, p, fields, ARRAY_LEN(fields), NULL, NULL);
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

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"state", FIELD_TEXT},
    {"certificate_id", FIELD_TEXT},
    {"requested_by", FIELD_TEXT},
};

const struct shape shape_approval_list = {
    .does = "List the approvals",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(fields),
};
const struct shape shape_approval_get = {
    .does = "Get an approval",
    .fields = SHAPE_TABLE(fields),
};
