/*
 * GET /agents, /agents/retired, /agents/{id}.
 */
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"

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
list_start(struct op *op, enum query q, const struct cursor_key keys[2],
    const char *is_retired)
{
	struct page *p = op_state(op, sizeof(*p));
	const char *why;

	why = page_read(op, keys, 2, p);
	if (why != NULL)
		return op_fail(op, RC_INVALID, "%s", why);

	const struct db_stmt stmts[] = {
	    {q, p->nparams, p->params},
	    {Q_AGENT_TOTAL, 1, &is_retired},
	};
	return op_batch(op, list_done, ARRAY_LEN(stmts), stmts);
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

	return page_reply(op, p, agent_fields, agent_nfields, NULL,
	    op_result(op, 1));
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

const struct shape shape_agent_list_start = {
    .does = "List the agents",
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
};
const struct shape shape_agent_list_retired_start = {
    .does = "List the agents that are retired",
    .answer = SHAPE_PAGE,
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
};
const struct shape shape_agent_get_start = {
    .does = "Get an agent",
    .fields = SHAPE_TABLE_OF(agent_fields, agent_nfields),
};
