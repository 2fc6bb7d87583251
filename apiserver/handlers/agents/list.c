/*
 * GET /agents, /agents/retired, /agents/{id}.
 */
#include <inttypes.h>

#include "apiserver/handlers/agents/agents.h"

struct list {
	int64_t page;
	int64_t per_page;
};

static op_step list_done;
static op_step get_done;

static enum op_next
list_start(struct op *op, enum query q, const char *is_retired)
{
	struct list *l = op_state(op, sizeof(*l));
	const char *window[2];
	struct db_stmt stmts[2] = {
	    {Q_AGENT_TOTAL, 1, &is_retired},
	    {q, 2, window},
	};

	req_page(op, &l->page, &l->per_page);
	window[0] = op_printf(op, "%" PRId64, l->per_page);
	window[1] = op_printf(op, "%" PRId64, (l->page - 1) * l->per_page);
	return op_batch(op, list_done, 2, stmts);
}

enum op_next
agent_list_start(struct op *op)
{
	return list_start(op, Q_AGENT_LIST, "false");
}

enum op_next
agent_list_retired_start(struct op *op)
{
	return list_start(op, Q_AGENT_LIST_RETIRED, "true");
}

static enum op_next
list_done(struct op *op)
{
	const struct list *l = op_state(op, sizeof(*l));
	const struct db_result *total = op_result(op, 0);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_key(w, "data");
	json_w_open(w, '[');
	for (size_t i = 0; i < op_rows(op); i++) {
		json_w_open(w, '{');
		agent_write(op, w, i);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
	json_w_kv_int(w, "total", db_i64(total, 0, db_col(total, "total")));
	json_w_kv_int(w, "page", l->page);
	json_w_kv_int(w, "per_page", l->per_page);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

enum op_next
agent_get_start(struct op *op)
{
	return OP_QUERY(op, Q_AGENT_GET, get_done, req_param(op, "id"));
}

static enum op_next
get_done(struct op *op)
{
	struct json_w *w;

	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "Agent not found");
	w = reply_writer(op);
	json_w_open(w, '{');
	agent_write(op, w, 0);
	json_w_close(w, '}');
	return reply_json(op, 200);
}
