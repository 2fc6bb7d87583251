/*
 * GET /agents, /agents/retired, /agents/{id}.
 */
#include "apiserver/handlers/agents/agents.h"

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"

enum { N_KEYS = 2 };

static const struct cursor_key newest_first[] = {
    {"registered_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};
static const struct cursor_key last_retired_first[] = {
    {"retired_at", CURSOR_TIME},
    {"id", CURSOR_ID},
};

static op_step list_done;
static op_step get_done;

static enum op_next
list_start(struct op *op, enum query q, const struct cursor_key keys[N_KEYS],
    const char *is_retired)
{
	static const char *const statuses[] = {"Online", "Offline", "Degraded"};
	const char *status = fieldtext_filter(statuses, ARRAY_LEN(statuses),
	    req_query(op, "status"));
	const char *name = req_query(op, "name");
	const char *const counted[] = {is_retired, status, name};
	struct page *p = op_state(op, sizeof(*p));
	const char *params[2 + N_KEYS + 2], *why;
	size_t n;

	why = page_read(op, keys, N_KEYS, p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);
	n = page_params(p, params);
	params[n++] = status;
	params[n++] = name;

	const struct db_stmt rows = {q, n, params};
	const struct db_stmt total = {Q_AGENT_TOTAL, ARRAY_LEN(counted),
	    counted};

	return page_ask(op, p, &rows, &total, status != NULL || name != NULL,
	    list_done);
}

enum op_next
agent_list_start(struct op *op)
{
	return list_start(op, Q_AGENT_LIST, newest_first, "false");
}

enum op_next
agent_list_retired_start(struct op *op)
{
	return list_start(op, Q_AGENT_LIST_RETIRED, last_retired_first, "true");
}

static enum op_next
list_done(struct op *op)
{
	const struct page *p = op_state(op, sizeof(*p));

	return page_done(op, p, agent_fields, agent_nfields, NULL);
}

enum op_next
agent_get_start(struct op *op)
{
	return OP_QUERY(op, Q_AGENT_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Agent not found");
	return page_reply_one(op, 200, agent_fields, agent_nfields);
}

/* --- what the document says of it --- */

static const struct field list_query[] = {
    {"status", FIELD_TEXT},
    {"name", FIELD_TEXT}, /* the whole of it: names are unique */
};

const struct shape shape_agent_list_start = {
    .does = "List the agents",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
};
const struct shape shape_agent_list_retired_start = {
    .does = "List the agents that are retired",
    .query = list_query,
    .nquery = ARRAY_LEN(list_query),
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
};
const struct shape shape_agent_get_start = {
    .does = "Get an agent",
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
};
