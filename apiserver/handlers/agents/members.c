/*
 * GET /agent-groups/{id}/members: the agents that were named as members, or
 * with ?matched=true all that belong to the group, by its rules too.
 * PUT and DELETE /agent-groups/{id}/members/{agent_id}: who is named, to be in
 * or to stay out whatever the rules say.
 */
#include <string.h>

#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"

static op_step members_found;
static op_step member_named;
static op_step member_removed;

enum op_next
group_members_start(struct op *op)
{
	const char *matched = req_query(op, "matched");
	const char *params[] = {req_param(op, "id"), "false"};
	const struct db_stmt stmts[] = {
	    {Q_AGENT_GROUP_GET, 1, params},
	    {Q_AGENT_GROUP_MEMBERS, 2, params},
	};

	if (matched != NULL && strcmp(matched, "true") != 0 &&
	    strcmp(matched, "false") != 0)
		return op_fail(op, RC_INVALID, "matched must be true or false");
	if (matched != NULL)
		params[1] = matched;
	return op_batch(op, members_found, ARRAY_LEN(stmts), stmts);
}

static enum op_next
group_not_found(struct op *op)
{
	return op_fail(op, RC_NOT_FOUND, "Agent group not found");
}

/* All of them on one page, as the contract has it, up to MEMBERS_MAX; the
 * statement gives one more where they are more. */
enum { MEMBERS_MAX = 10000 };

static enum op_next
members_found(struct op *op)
{
	const struct db_result *members = op_result(op, 1);
	size_t found = db_nrows(members);
	size_t n = found < MEMBERS_MAX ? found : MEMBERS_MAX;
	struct field_rows rows;
	struct json_w *w;

	if (db_nrows(op_result(op, 0)) == 0)
		return group_not_found(op);
	field_rows_init(&rows, members, agent_fields, agent_nfields, NULL);
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_key(w, "data");
	field_rows_put_all(&rows, op_arena(op), w, n);
	json_w_kv_int(w, "total", (int64_t)n);
	if (found > n)
		json_w_kv_bool(w, "total_is_estimate", true);
	json_w_kv_int(w, "page", 1);
	json_w_kv_int(w, "per_page", (int64_t)n);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

static const char *const membership_types[] = {"include", "exclude", NULL};
static const struct field member_body[] = {
    {"membership_type", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 20,
	.dflt = "\"include\"", .words = membership_types},
};

enum op_next
group_member_put_start(struct op *op)
{
	const struct cJSON *body;
	const char *given, *why;
	rc ret;

	ret = req_json(op, true, &body, &why);
	if (ret == RC_OK)
		ret = field_read(op_arena(op), member_body,
		    ARRAY_LEN(member_body), body, true, &given, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);

	const char *params[] = {req_param(op, "id"), req_param(op, "agent_id"),
	    given, page_actor(op), req_actor_type(op)};
	const struct db_stmt stmts[] = {
	    {Q_AGENT_GROUP_LOCK_UPDATE, 1, params},
	    {Q_AGENT_GROUP_MEMBER_PUT, ARRAY_LEN(params), params},
	};
	return op_batch(op, member_named, ARRAY_LEN(stmts), stmts);
}

static enum op_next
member_named(struct op *op)
{
	struct json_w *w;

	if (!op_bool(op, 0, "is_group"))
		return group_not_found(op);
	if (op_is_null(op, 0, "membership_type"))
		return op_fail(op, RC_NOT_FOUND, "Agent not found, or retired");
	w = reply_writer(op);
	json_w_open(w, '{');
	json_w_kv(w, "agent_group_id", req_param(op, "id"));
	json_w_kv(w, "agent_id", req_param(op, "agent_id"));
	json_w_kv(w, "membership_type", op_text(op, 0, "membership_type"));
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
group_member_delete_start(struct op *op)
{
	return OP_QUERY(op, Q_AGENT_GROUP_MEMBER_DELETE, member_removed,
	    req_param(op, "id"), req_param(op, "agent_id"), page_actor(op),
	    req_actor_type(op));
}

static enum op_next
member_removed(struct op *op)
{
	if (!op_bool(op, 0, "is_group"))
		return group_not_found(op);
	if (!op_bool(op, 0, "is_gone"))
		return op_fail(op, RC_NOT_FOUND,
		    "the agent is no named member of this group");
	return reply_no_content(op);
}

/* --- what the document says of it --- */

static const struct field members_query[] = {{"matched", FIELD_BOOL}};
static const struct field member_answer[] = {
    {"agent_group_id", FIELD_TEXT},
    {"agent_id", FIELD_TEXT},
    {"membership_type", FIELD_TEXT},
};

const struct shape shape_group_members_start = {
    .does = "List the agents of a group",
    .query = members_query,
    .nquery = ARRAY_LEN(members_query),
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
};
const struct shape shape_group_member_put_start = {
    .does = "Name an agent as one of a group, or as none of it",
    .has_body = true,
    .may_be_empty = true,
    .body = {SHAPE_TABLE(member_body)},
    .fields = SHAPE_TABLE(member_answer),
};
const struct shape shape_group_member_delete_start = {
    .does = "Take back what was said of an agent and a group",
    .answer = SHAPE_NOTHING,
};
