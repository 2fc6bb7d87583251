/*
 * GET /agents/{id}/work?wait=30s: what the agent has to do, now or as soon as
 * there is something.  Whether there is, is asked for many agents at once;
 * only who has something asks for it.
 */
#include <string.h>

#include "apiserver/api.h"
#include "apiserver/handlers/agents/agents.h"
#include "apiserver/live/gather.h"
#include "apiserver/live/park.h"
#include "apiserver/resources/shape.h"
#include "common/base/clock.h"

enum {
	ANSWER_MS = 10000, /* for the last look after the wait */
};

#define WORK_LIMIT "100"

struct work {
	struct watch *watch; /* NULL: no wait, or too many wait */
	struct gathered *polled;
	bool knows_tests;
	bool has_tests; /* there are some: this look takes them, too */
	int64_t until_ms;
};

static op_step work_poll;
static op_step work_polled;
static op_step work_look;
static op_step work_done;
static op_step work_none;

enum op_next
agent_work_start(struct op *op)
{
	struct work *k = op_state(op, sizeof(*k));
	const char *why;
	int64_t wait_ms;
	rc ret;

	ret = req_wait(op, &wait_ms, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	k->knows_tests = req_query_int(op, "tests", 0, 1, 0) == 1;
	if (wait_ms > 0) {
		op_extend(op, wait_ms + ANSWER_MS);
		k->until_ms = clock_boot_ms() + wait_ms;
		/* Before the first look, so that nothing slips between. */
		k->watch = park_watch(req_api(op)->park, op, PARK_AGENT,
		    req_param(op, "id"));
	}
	return work_poll(op);
}

static enum op_next
work_poll(struct op *op)
{
	struct work *k = op_state(op, sizeof(*k));

	k->polled = gather_ask(req_api(op)->polls, op, req_param(op, "id"));
	return op_park(op, op_left_ms(op), work_polled);
}

static enum op_next
work_polled(struct op *op)
{
	struct work *k = op_state(op, sizeof(*k));
	const struct db_result *agents;
	size_t row;
	rc ret = gathered_row(k->polled, &agents, &row);

	if (ret == RC_NOT_FOUND)
		return op_fail(op, ret, "Agent not found");
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", "");
	if (db_bool(agents, row, db_col(agents, "is_retired")))
		return op_fail(op, RC_GONE, "Agent has been retired");
	k->has_tests =
	    k->knows_tests && db_bool(agents, row, db_col(agents, "has_tests"));
	if (k->has_tests || db_bool(agents, row, db_col(agents, "has_work")))
		return work_look(op);
	return work_none(op);
}

static enum op_next
work_look(struct op *op)
{
	const char *id = req_param(op, "id");
	const char *fetch[] = {id, WORK_LIMIT};
	const struct work *k = op_state(op, sizeof(*k));
	struct db_stmt stmts[3] = {{Q_AGENT_STATE, 1, &id}};
	size_t n = 1;

	if (k->has_tests)
		stmts[n++] = (struct db_stmt){Q_AGENT_TESTS_TAKE, 1, &id};
	stmts[n++] = (struct db_stmt){Q_AGENT_WORK_FETCH, 2, fetch};
	return op_batch(op, work_done, n, stmts);
}

static void
write_opt(struct op *op, struct json_w *w, size_t row, const char *name)
{
	json_w_kv_opt(w, name, op_text(op, row, name));
}

static void
write_item(struct op *op, struct json_w *w, size_t row)
{
	bool is_csr = strcmp(op_text(op, row, "status"), "AwaitingCSR") == 0;

	json_w_open(w, '{');
	json_w_kv(w, "id", op_text(op, row, "id"));
	json_w_kv(w, "type", op_text(op, row, "type"));
	json_w_kv(w, "certificate_id", op_text(op, row, "certificate_id"));
	json_w_kv(w, "status", op_text(op, row, "status"));
	write_opt(op, w, row, "common_name");
	if (is_csr && !op_is_null(op, row, "sans"))
		json_w_kv_raw(w, "sans", op_text(op, row, "sans"));
	write_opt(op, w, row, "target_id");
	write_opt(op, w, row, "target_type");
	if (!op_is_null(op, row, "target_config"))
		json_w_kv_raw(w, "target_config",
		    op_text(op, row, "target_config"));
	write_opt(op, w, row, "version_id");
	write_opt(op, w, row, "serial_number");
	write_opt(op, w, row, "fingerprint_sha256");
	write_opt(op, w, row, "not_after");
	json_w_close(w, '}');
}

/* Beside the jobs, and only for who knows of them: an agent that does not
 * would not say what came of them. */
static void
write_tests(struct json_w *w, const struct db_result *tests)
{
	json_w_key(w, "tests");
	json_w_open(w, '[');
	for (size_t i = 0; i < db_nrows(tests); i++) {
		json_w_open(w, '{');
		json_w_kv(w, "id", db_text(tests, i, db_col(tests, "id")));
		json_w_kv(w, "target_id",
		    db_text(tests, i, db_col(tests, "target_id")));
		json_w_kv(w, "target_type",
		    db_text(tests, i, db_col(tests, "type")));
		json_w_kv_raw(w, "target_config",
		    db_text(tests, i, db_col(tests, "config")));
		json_w_kv(w, "common_name",
		    db_text(tests, i, db_col(tests, "common_name")));
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static enum op_next
work_answer(struct op *op, size_t n, const struct db_result *tests)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_key(w, "jobs");
	json_w_open(w, '[');
	for (size_t i = 0; i < n; i++)
		write_item(op, w, i);
	json_w_close(w, ']');
	json_w_kv_int(w, "count", (int64_t)n);
	if (tests != NULL && db_nrows(tests) > 0)
		write_tests(w, tests);
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* There is nothing: waits, if that was asked. */
static enum op_next
work_none(struct op *op)
{
	const struct work *k = op_state(op, sizeof(*k));
	int64_t left_ms = k->until_ms - clock_boot_ms();

	if (k->watch && left_ms > 0 && !park_is_stopping(req_api(op)->park))
		return park_wait(k->watch, left_ms, work_poll);
	return work_answer(op, 0, NULL);
}

static enum op_next
work_done(struct op *op)
{
	const struct work *k = op_state(op, sizeof(*k));
	const struct db_result *state = op_result(op, 0);
	const struct db_result *tests = k->has_tests ? op_result(op, 1) : NULL;

	if (db_nrows(state) == 0)
		return op_fail(op, RC_NOT_FOUND, "Agent not found");
	if (db_bool(state, 0, db_col(state, "is_retired")))
		return op_fail(op, RC_GONE, "Agent has been retired");
	if (op_rows(op) == 0 && (tests == NULL || db_nrows(tests) == 0))
		return work_none(op); /* somebody else has taken it */
	return work_answer(op, op_rows(op), tests);
}

/* --- what the document says of it --- */

static const struct field work_query[] = {
    {"wait", FIELD_TEXT},
    {"tests", FIELD_INT, 0, 0, 1},
};

static const struct field work_fields[] = {
    {"jobs", FIELD_OBJECTS},
    {"tests", FIELD_OBJECTS},
    {"count", FIELD_INT},
};
const struct shape shape_agent_work_start = {
    .does = "List what an agent has to do, now or when there is something",
    .query = work_query,
    .nquery = ARRAY_LEN(work_query),
    .fields = SHAPE_TABLE(work_fields),
};
