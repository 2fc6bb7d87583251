#include "apiserver/resources/resource.h"

#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/secretkey.h"
#include "apiserver/resources/taken.h"
#include "common/base/attr.h"
#include "common/json/json.h"

/* Of the list of any noun. */
static const struct cursor_key by_name[] = {
    {"name", CURSOR_TEXT},
    {"id", CURSOR_ID},
};

enum { MAX_FILTERS = 3, NOUN_PARAMS = 2 + ARRAY_LEN(by_name) };

struct resource_call {
	struct page page; /* first: page_ask's */
	const struct resource *res;
	const char *id;    /* NULL: a new one */
	const char *given; /* the checked body */
	bool is_again;     /* the create */
};

static op_step list_done;
static op_step get_done;
static op_step write_failed;
static op_step create_done;
static op_step update_of_type;
static op_step update_done;
static op_step update_looked;
static op_step update_asked;
static op_step delete_failed;
static op_step delete_done;

static struct resource_call *
call_state(struct op *op)
{
	return op_state(op, sizeof(struct resource_call));
}

static enum op_next
not_found(struct op *op, const struct resource *res)
{
	return op_fail(op, RC_NOT_FOUND, "%s not found", res->label);
}

static enum op_next
reply_one(struct op *op, int status, const struct resource *res,
    const struct db_result *row)
{
	struct warnings ws = {0};

	if (res->warn != NULL)
		res->warn(op, &ws);
	return warn_reply_one(op, status, row, 0, res->fields, res->nfields,
	    &ws);
}

/* --- list --- */

enum op_next
resource_list(struct op *op, const struct resource *res)
{
	struct resource_call *call = call_state(op);
	const char *params[NOUN_PARAMS + MAX_FILTERS], *why;
	bool is_filtered = false;
	size_t n = 0;

	call->res = res;
	why = page_read(op, by_name, ARRAY_LEN(by_name), &call->page);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	/* Whose rows are all there asks for no number. */
	if (res->whole != RESOURCE_PAGED)
		is_filtered = page_take_whole(op, &call->page);
	call->page.counts_rows =
	    is_filtered && res->whole == RESOURCE_WHOLE_PAGE;
	(void)page_params(&call->page, params);
	for (; res->filters[n] != NULL; n++) {
		params[NOUN_PARAMS + n] = req_query(op, res->filters[n]);
		is_filtered = is_filtered || params[NOUN_PARAMS + n] != NULL;
	}

	const struct db_stmt rows = {res->list, NOUN_PARAMS + n, params};
	const struct db_stmt total = {res->total, n, params + NOUN_PARAMS};

	return page_ask(op, &call->page, &rows, &total, is_filtered, list_done);
}

static enum op_next
list_done(struct op *op)
{
	struct resource_call *call = call_state(op);

	return page_done(op, &call->page, call->res->fields, call->res->nfields,
	    NULL);
}

/* --- get --- */

enum op_next
resource_get(struct op *op, const struct resource *res)
{
	struct resource_call *call = call_state(op);

	call->res = res;
	return OP_QUERY(op, res->get, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	const struct resource *res = call_state(op)->res;

	if (op_rows(op) == 0)
		return not_found(op, res);
	return reply_one(op, 200, res, op_result(op, 0));
}

/* --- create and update --- */

/* A write of the row that params begin with, behind the lock of it. */
static enum op_next
write_locked(struct op *op, enum query lock, enum query write, op_step *next,
    size_t n, const char *const *params)
{
	const struct db_stmt stmts[] = {{lock, 1, params}, {write, n, params}};

	return op_batch(op, next, ARRAY_LEN(stmts), stmts);
}

/* The same of an update, or of what asks for one. */
static enum op_next
write_given(struct op *op, enum query write, op_step *next)
{
	const struct resource_call *call = call_state(op);
	const char *params[] = {call->id, call->given, page_actor(op),
	    req_actor_type(op)};

	return write_locked(op, call->res->lock_update, write, next,
	    ARRAY_LEN(params), params);
}

static enum op_next
create(struct op *op)
{
	struct resource_call *call = call_state(op);

	op_catch(op, write_failed);
	return OP_QUERY(op, call->res->create, create_done, call->given,
	    page_actor(op), req_actor_type(op));
}

/* Of a write by a body that names what is not there: the member and the id
 * that it holds. */
static enum op_next
reply_unknown(struct op *op, const char *member)
{
	const struct resource_call *call = call_state(op);
	const struct cJSON *given;
	const char *id = "", *why;
	rc ret;

	ret = json_parse(op_arena(op), call->given, strlen(call->given), &given,
	    &why);
	if (ret == RC_OK)
		ret = json_str(given, member, 512, &id);
	if (ret != RC_OK)
		return op_fail(op, RC_INVALID,
		    "%s: what it refers to does not exist", member);
	return op_fail(op, RC_INVALID,
	    "%s: what it refers to does not exist: %s", member, id);
}

/* The member whose foreign key is broken; NULL: it is not known. */
static const char *
unknown_member(struct op *op, const struct resource *res,
    const struct db_error *e)
{
	for (size_t i = 0; i < res->nfields; i++) {
		const char *name = res->fields[i].name;

		if (strcmp(e->constraint,
			op_printf(op, "%s_%s_fkey", e->table, name)) == 0)
			return name;
	}
	return NULL;
}

static enum op_next
write_failed(struct op *op)
{
	struct resource_call *call = call_state(op);
	const struct resource *res = call->res;
	const struct db_error *error;
	size_t len;
	rc ret;

	if (taken_is(op))
		return taken_reply(op, res->taken, call->id, call->given);
	ret = op_caught(op, &error);
	len = strlen(error->constraint);
	if (ret == RC_CONFLICT && len > 5 &&
	    strcmp(error->constraint + len - 5, "_pkey") == 0) {
		/* An id of ours is made of what the statement did not see. */
		if (!call->is_again) {
			call->is_again = true;
			return create(op);
		}
		return op_fail(op, RC_CONFLICT,
		    "%s with this id already exists", res->label);
	}
	if (strcmp(error->sqlstate, "23503") == 0 &&
	    unknown_member(op, res, error) != NULL)
		return reply_unknown(op, unknown_member(op, res, error));
	return reply_db_error(op, res->duplicate);
}

/* The noun's configuration; NULL: it has none. */
static const struct field *
config_field(const struct resource *res)
{
	for (size_t i = 0; i < res->nfields; i++)
		if (res->fields[i].type == FIELD_CONFIG)
			return &res->fields[i];
	return NULL;
}

/* NULL, or what a mask is sent for that keeps nothing.  An update has the
 * noun as it is stored in row 0. */
static const char *
masks_check(struct op *op, const struct resource *res, const struct cJSON *body,
    bool is_create)
{
	const struct field *f = config_field(res);
	const struct cJSON *stored = NULL;
	const char *text, *why;

	if (f == NULL)
		return NULL;
	if (!is_create) {
		text = op_text(op, 0, f->name);
		/* What is stored and can't be read keeps nothing. */
		if (json_parse(op_arena(op), text, strlen(text), &stored,
			&why) != RC_OK)
			stored = NULL;
	}
	return secretkey_unkept(op_arena(op), json_get(body, f->name), stored);
}

/* The body as the document for the statement; type: see struct resource. */
static rc
read_body(struct op *op, const struct resource *res, bool is_create,
    const char *type, const char **out_given, const char **out_why)
{
	const struct cJSON *body;
	rc ret;

	ret = req_json(op, false, &body, out_why);
	if (ret == RC_OK && res->replaces && !is_create)
		ret = field_read_whole(op_arena(op), res->fields, res->nfields,
		    body, out_given, out_why);
	else if (ret == RC_OK)
		ret = field_read(op_arena(op), res->fields, res->nfields, body,
		    is_create, out_given, out_why);
	if (ret != RC_OK)
		return ret;
	*out_why = masks_check(op, res, body, is_create);
	if (*out_why == NULL && res->check != NULL)
		*out_why = res->check(op_arena(op), body, type);
	if (*out_why == NULL && res->check_stored != NULL)
		*out_why = res->check_stored(op, body, is_create);
	if (*out_why == NULL && res->seal != NULL)
		*out_why = res->seal(op, type, out_given);
	return *out_why == NULL ? RC_OK : RC_INVALID;
}

enum op_next
resource_create(struct op *op, const struct resource *res)
{
	struct resource_call *call = call_state(op);
	const char *why;
	rc ret;

	call->res = res;
	ret = read_body(op, res, true, NULL, &call->given, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return create(op);
}

static enum op_next
create_done(struct op *op)
{
	const struct resource *res = call_state(op)->res;

	if (op_rows(op) == 0)
		return op_fail(op, RC_INVALID, "%s", res->refused);
	if (res->changed != NULL)
		res->changed(op, op_text(op, 0, "id"));
	return reply_one(op, 201, res, op_result(op, 0));
}

static enum op_next
update(struct op *op, const char *type)
{
	struct resource_call *call = call_state(op);
	const char *why;
	rc ret;

	ret = read_body(op, call->res, false, type, &call->given, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	op_catch(op, write_failed);
	return write_given(op, call->res->update, update_done);
}

enum op_next
resource_update(struct op *op, const struct resource *res)
{
	struct resource_call *call = call_state(op);
	const struct cJSON *body;
	const char *why;
	rc ret;

	call->res = res;
	call->id = req_param(op, "id");
	if (res->check == NULL && res->check_stored == NULL &&
	    config_field(res) == NULL)
		return update(op, NULL);
	/* What is no body at all is refused whatever there is to change. */
	ret = req_json(op, false, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, res->get, update_of_type, call->id);
}

/* What a body may say depends on what it changes. */
static enum op_next
update_of_type(struct op *op)
{
	if (op_rows(op) == 0)
		return not_found(op, call_state(op)->res);
	return update(op,
	    call_state(op)->res->check != NULL ? op_text(op, 0, "type") : NULL);
}

static enum op_next
update_done(struct op *op)
{
	const struct resource *res = call_state(op)->res;

	if (op_rows(op) == 0)
		return OP_QUERY(op, res->get, update_looked,
		    req_param(op, "id"));
	if (res->changed != NULL)
		res->changed(op, op_text(op, 0, "id"));
	return reply_one(op, 200, res, op_result(op, 1));
}

/* The update met no row: is the noun missing, or what the body names? */
static enum op_next
update_looked(struct op *op)
{
	const struct resource *res = call_state(op)->res;

	if (op_rows(op) > 0 && res->asks_approval)
		return write_given(op, res->ask, update_asked);
	if (op_rows(op) == 0 || res->refused == NULL)
		return not_found(op, res);
	return op_fail(op, RC_INVALID, "%s", res->refused);
}

static enum op_next
update_asked(struct op *op)
{
	const struct resource *res = call_state(op)->res;
	struct json_w *w;

	if (op_rows(op) == 0)
		return not_found(op, res);
	if (!op_is_null(op, 0, "unknown"))
		return reply_unknown(op, op_text(op, 0, "unknown"));
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "status", "pending_approval");
	json_w_kv(w, "pending_approval_id", op_text(op, 0, "id"));
	json_w_kv(w, "message",
	    "nothing is changed before somebody else approves this edit");
	json_w_close(w, '}');
	return reply_json(op, 202);
}

/* --- delete --- */

enum op_next
resource_delete(struct op *op, const struct resource *res)
{
	const char *params[] = {req_param(op, "id"), page_actor(op),
	    req_actor_type(op)};

	call_state(op)->res = res;
	op_catch(op, delete_failed);
	return write_locked(op, res->lock_remove, res->remove, delete_done,
	    ARRAY_LEN(params), params);
}

static enum op_next
delete_failed(struct op *op)
{
	const struct db_error *error;
	rc ret;

	ret = op_caught(op, &error);
	if (strcmp(error->sqlstate, "23503") == 0)
		return op_fail(op, RC_CONFLICT, "%s",
		    call_state(op)->res->in_use);
	return op_fail(op, ret, "The change could not be stored");
}

static enum op_next
delete_done(struct op *op)
{
	const struct resource *res = call_state(op)->res;

	if (op_bool(op, 0, "is_gone"))
		return reply_no_content(op);
	if (op_bool(op, 0, "was_there"))
		return op_fail(op, RC_CONFLICT, "%s", res->in_use);
	return not_found(op, res);
}
