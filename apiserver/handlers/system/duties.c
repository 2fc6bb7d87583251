/*
 * GET /api/v1/admin/scheduler: the duties, when each ran, how that went and
 * when it is due; POST .../run-now/{duty}: one of them, now.
 */

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"

static const struct field duty_fields[] = {
    {"name", FIELD_TEXT},
    {"state", FIELD_TEXT},
    {"off_reason", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"interval_ms", FIELD_INT},
    {"timeout_ms", FIELD_INT},
    {"last_started_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"last_finished_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"last_duration_ms", FIELD_INT, FIELD_OMIT_EMPTY},
    {"last_outcome", FIELD_TEXT},
    {"last_error", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"last_rows", FIELD_INT},
    {"next_run_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"late_ms", FIELD_INT},
    {"runs", FIELD_INT},
    {"failures", FIELD_INT},
    {"skipped", FIELD_INT},
    {"run_requested_at", FIELD_TIME, FIELD_OMIT_EMPTY},
};

static const struct field run_fields[] = {
    {"duty", FIELD_TEXT},
    {"status", FIELD_TEXT},
    {"requested_at", FIELD_TIME},
    {"note", FIELD_TEXT, FIELD_OMIT_EMPTY},
};

static op_step duties_done;
static op_step run_done;

enum op_next
admin_duties_start(struct op *op)
{
	static const struct db_stmt stmts[] = {
	    {Q_ADMIN_DUTIES, 0, NULL},
	    {Q_ADMIN_DUTIES_TOTAL, 0, NULL},
	};

	return op_batch(op, duties_done, ARRAY_LEN(stmts), stmts);
}

static enum op_next
duties_done(struct op *op)
{
	int64_t n = (int64_t)db_nrows(op_result(op, 0));
	const struct page all = {.page = 1, .per_page = n, .size = n};

	return page_reply(op, &all, duty_fields, ARRAY_LEN(duty_fields), NULL,
	    op_result(op, 1));
}

enum op_next
admin_duty_run_start(struct op *op)
{
	return OP_QUERY(op, Q_ADMIN_DUTY_RUN, run_done, req_param(op, "duty"),
	    page_actor(op), req_actor_type(op));
}

static enum op_next
run_done(struct op *op)
{
	const char *duty = req_param(op, "duty");
	const char *detail = op_text(op, 0, "detail");

	if (outcome_is(op, "off"))
		return op_fail(op, RC_CONFLICT, "%s is off: %s", duty, detail);
	if (outcome_is(op, "unknown") && detail[0] == '\0')
		return op_fail(op, RC_NOT_FOUND,
		    "no scheduler has led yet, so no duty is known; start "
		    "certctl-scheduler");
	if (outcome_is(op, "unknown"))
		return op_fail(op, RC_NOT_FOUND,
		    "there is no duty \"%s\"; there are %s", duty, detail);
	return page_reply_one(op, 202, run_fields, ARRAY_LEN(run_fields));
}

/* --- what the document says of it --- */

const struct shape shape_admin_duties_start = {
    .does = "List the scheduler's duties",
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(duty_fields),
};
const struct shape shape_admin_duty_run_start = {
    .does = "Run a duty now",
    .status = 202,
    .fields = SHAPE_TABLE(run_fields),
};
