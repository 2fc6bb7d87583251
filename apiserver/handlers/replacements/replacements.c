/*
 * GET /replacements and /replacements/{id}: how far each is; its certificates
 * that wait, failed or cannot go; pause, resume and cancel.
 */
#include "apiserver/handlers/replacements/replacements.h"

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

#define NONE "Replacement not found"

const struct field replacement_fields[] = {
    {"id", FIELD_TEXT},
    {"from_issuer_id", FIELD_TEXT},
    {"to_issuer_id", FIELD_TEXT},
    {"state", FIELD_TEXT},
    {"stop", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"wave_size", FIELD_INT},
    {"wave", FIELD_INT},
    {"waves", FIELD_INT},
    {"planned", FIELD_INT},
    {"moved", FIELD_INT},
    {"moving", FIELD_INT},
    {"waiting", FIELD_INT},
    {"failed", FIELD_INT},
    {"issued", FIELD_INT},
    {"done", FIELD_INT},
    {"skipped", FIELD_INT},
    {"returned", FIELD_INT},
    {"is_settled", FIELD_BOOL},
    {"revoke_reason", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"rate_per_s", FIELD_NUMBER},
    {"ends_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"created_by", FIELD_TEXT},
    {"created_at", FIELD_TIME},
    {"updated_at", FIELD_TIME},
    {"ended_at", FIELD_TIME, FIELD_OMIT_EMPTY},
};
const size_t replacement_nfields = ARRAY_LEN(replacement_fields);

static const struct field item_fields[] = {
    {"id", FIELD_TEXT},
    {"state", FIELD_TEXT},
    {"reason", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"moved_at", FIELD_TIME},
};

static op_step list_done;
static op_step get_done;
static op_step items_done;
static op_step turned;

/* --- lists --- */

static const struct cursor_key by_id[] = {{"id", CURSOR_ID}};

enum { MOST_FILTERS = 2, NPARAMS = MOST_FILTERS + 2 + ARRAY_LEN(by_id) };

enum op_next
replacement_list(struct op *op)
{
	static const char *const states[] = {"running", "paused", "cancelling",
	    "completed", "cancelled"};
	struct page *p = op_state(op, sizeof(*p));
	const char *params[NPARAMS], *why;
	size_t n;

	why = page_read(op, by_id, ARRAY_LEN(by_id), p);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] =
	    fieldtext_filter(states, ARRAY_LEN(states), req_query(op, "state"));
	n = 1 + page_params(p, params + 1);

	const struct db_stmt rows = {Q_REPLACEMENT_LIST, n, params};
	const struct db_stmt total = {Q_REPLACEMENT_TOTAL, 1, params};

	return page_ask(op, p, &rows, &total, params[0] != NULL, list_done);
}

static enum op_next
list_done(struct op *op)
{
	return page_done(op, op_state(op, sizeof(struct page)),
	    replacement_fields, replacement_nfields, NULL);
}

/* Those of a state that people ask for; without one, those that cannot go. */
enum op_next
replacement_certificates(struct op *op)
{
	static const char *const states[] = {"skipped", "waiting", "failed"};
	const char *state = req_query(op, "state");
	struct page *p = op_state(op, sizeof(*p));
	const char *params[NPARAMS], *why;
	size_t n;

	why = page_read(op, by_id, ARRAY_LEN(by_id), p);
	if (why)
		return op_fail(op, RC_INVALID, "%s", why);
	params[0] = req_param(op, "id");
	params[1] = state ? fieldtext_filter(states, ARRAY_LEN(states), state)
			  : states[0];
	n = MOST_FILTERS + page_params(p, params + MOST_FILTERS);

	const struct db_stmt rows = {Q_REPLACEMENT_ITEMS, n, params};
	const struct db_stmt total = {Q_REPLACEMENT_ITEMS_TOTAL, MOST_FILTERS,
	    params};

	return page_ask(op, p, &rows, &total, false, items_done);
}

static enum op_next
items_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));

	if (p->total && db_nrows(p->total) == 0)
		return op_fail(op, RC_NOT_FOUND, NONE);
	return page_done(op, p, item_fields, ARRAY_LEN(item_fields), NULL);
}

/* --- one --- */

enum op_next
replacement_get(struct op *op)
{
	return OP_QUERY(op, Q_REPLACEMENT_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, NONE);
	return page_reply_one(op, 200, replacement_fields, replacement_nfields);
}

static enum op_next
turn(struct op *op, const char *state)
{
	return OP_QUERY(op, Q_REPLACEMENT_TURN, turned, req_param(op, "id"),
	    state, page_actor(op), req_actor_type(op));
}

enum op_next
replacement_pause(struct op *op)
{
	return turn(op, "paused");
}

enum op_next
replacement_resume(struct op *op)
{
	return turn(op, "running");
}

enum op_next
replacement_cancel(struct op *op)
{
	return turn(op, "cancelling");
}

/* One that is so already is answered as it is. */
static enum op_next
turned(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, NONE},
	    {"ended", RC_CONFLICT,
		"the replacement has ended, or is cancelled"},
	};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	return replacement_get(op);
}

/* --- what the document says of it --- */

static const struct field state_query[] = {
    {"state", FIELD_TEXT},
};

const struct shape shape_replacement_list = {
    .does = "List the replacements of issuers",
    .query = state_query,
    .nquery = ARRAY_LEN(state_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(replacement_fields),
};
const struct shape shape_replacement_get = {
    .does = "Get a replacement, and how far it is",
    .fields = SHAPE_TABLE(replacement_fields),
};
const struct shape shape_replacement_certificates = {
    .does = "List a replacement's certificates that cannot go, wait or failed",
    .query = state_query,
    .nquery = ARRAY_LEN(state_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE(item_fields),
};
const struct shape shape_replacement_pause = {
    .does = "Let a replacement move nothing more for now",
    .fields = SHAPE_TABLE(replacement_fields),
};
const struct shape shape_replacement_resume = {
    .does = "Let a paused replacement go on",
    .fields = SHAPE_TABLE(replacement_fields),
};
const struct shape shape_replacement_cancel = {
    .does = "End a replacement; what has got nothing yet goes back",
    .fields = SHAPE_TABLE(replacement_fields),
};
