/*
 * GET /acme/eab-keys and /acme/eab-keys/{id}, their revocation and deletion.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/eab/eab.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

#define NONE "Key not found"

const struct field eab_key_fields[] = {
    {"id", FIELD_TEXT, FIELD_READ_ONLY},
    {"profile_id", FIELD_TEXT, FIELD_ID | FIELD_EMPTY_ABSENT | FIELD_OMIT_EMPTY,
	.max = 128},
    {"any_profile", FIELD_BOOL, 0, .dflt = "false"},
    {"owner_id", FIELD_TEXT, FIELD_ID | FIELD_EMPTY_ABSENT | FIELD_OMIT_EMPTY,
	.max = 128},
    {"description", FIELD_TEXT, 0, .max = 255, .dflt = "\"\""},
    {"reusable", FIELD_BOOL, 0, .dflt = "false"},
    {"status", FIELD_TEXT, FIELD_READ_ONLY},
    {"uses", FIELD_INT, FIELD_READ_ONLY},
    {"account_id", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"expires_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"used_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"revoked_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"created_by", FIELD_TEXT, FIELD_READ_ONLY},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
};
const size_t eab_key_nfields = ARRAY_LEN(eab_key_fields);

static op_step list_done;
static op_step get_done;
static op_step revoke_done;
static op_step delete_done;

/* --- list --- */

static const struct cursor_key newest_first[] = {
    {"created_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

enum { NFILTERS = 3, NPARAMS = NFILTERS + 2 + ARRAY_LEN(newest_first) };

enum op_next
eab_key_list_start(struct op *op)
{
	static const char *const statuses[] = {"active", "used", "expired",
	    "revoked"};
	struct page *p = op_state(op, sizeof(*p));
	const char *params[NPARAMS], *why;
	bool is_filtered = false;

	why = page_read(op, newest_first, ARRAY_LEN(newest_first), p);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	params[1] = req_query(op, "profile_id");
	params[2] = req_query(op, "owner_id");
	for (size_t i = 0; i < NFILTERS; i++)
		is_filtered = is_filtered || params[i];
	(void)page_params(p, params + NFILTERS);

	const struct db_stmt rows = {Q_ACME_EAB_KEY_LIST, NPARAMS, params};
	const struct db_stmt total = {Q_ACME_EAB_KEY_TOTAL, NFILTERS, params};

	return page_ask(op, p, &rows, &total, is_filtered, list_done);
}

static enum op_next
list_done(struct op *op)
{
	return page_done(op, op_state(op, sizeof(struct page)), eab_key_fields,
	    eab_key_nfields, NULL);
}

/* --- one --- */

enum op_next
eab_key_get_start(struct op *op)
{
	return OP_QUERY(op, Q_ACME_EAB_KEY_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, NONE);
	return page_reply_one(op, 200, eab_key_fields, eab_key_nfields);
}

/* --- its end --- */

enum op_next
eab_key_revoke_start(struct op *op)
{
	return OP_QUERY(op, Q_ACME_EAB_KEY_REVOKE, revoke_done,
	    req_param(op, "id"), page_actor(op), req_actor_type(op));
}

/* One that was revoked before is answered as it is. */
static enum op_next
revoke_done(struct op *op)
{
	if (op_rows(op) == 0)
		return eab_key_get_start(op);
	return page_reply_one(op, 200, eab_key_fields, eab_key_nfields);
}

enum op_next
eab_key_delete_start(struct op *op)
{
	return OP_QUERY(op, Q_ACME_EAB_KEY_DELETE, delete_done,
	    req_param(op, "id"), page_actor(op), req_actor_type(op));
}

static enum op_next
delete_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, NONE);
	return reply_no_content(op);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"status", FIELD_TEXT},
    {"profile_id", FIELD_TEXT},
    {"owner_id", FIELD_TEXT},
};

const struct shape shape_eab_key_list_start = {
    .does = "List the keys of external account binding",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(eab_key_fields),
};
const struct shape shape_eab_key_get_start = {
    .does = "Get a key of external account binding",
    .fields = SHAPE_TABLE(eab_key_fields),
};
const struct shape shape_eab_key_revoke_start = {
    .does = "Let a key of external account binding admit nobody any more",
    .fields = SHAPE_TABLE(eab_key_fields),
};
const struct shape shape_eab_key_delete_start = {
    .does = "Delete a key of external account binding",
    .answer = SHAPE_NOTHING,
};
