/*
 * GET /api/v1/admin/conditions: what is not as it should be, worst first, with
 * the oldest of each kind; `certctl status` prints it.
 */
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "apiserver/live/faults.h"
#include "common/policy/policy.h"

#define CRITICAL "critical"
#define WARNING "warning"
#define NOTICE "notice"

struct condition {
	const char *name;
	const char *severity;
	const char *what;
	const char *detail; /* {}: the view's */
	const char *advice;
};

#define CONDITION(name, severity, what, detail, advice) \
	{#name, severity, what, detail, advice},
static const struct condition conditions[] = {
#include "apiserver/conditions.def"
};
#undef CONDITION

#define CONDITION(name, severity, what, detail, advice) #name " "
const char *const conditions_names =
#include "apiserver/conditions.def"
    "";
#undef CONDITION
#define CONDITION(name, severity, what, detail, advice) severity " "
const char *const conditions_severities =
#include "apiserver/conditions.def"
    "";
#undef CONDITION

static op_step conditions_done;

enum op_next
admin_conditions_start(struct op *op)
{
	const char *params[FAULTS_NPARAMS];

	faults_params(req_api(op)->faults, op_arena(op), params);
	return op_query(op, Q_ADMIN_CONDITIONS, conditions_done,
	    ARRAY_LEN(params), params);
}

/* The row of that name, or the number of rows. */
static size_t
find_row(const struct db_result *r, const char *name)
{
	size_t n = db_nrows(r), row = 0;

	while (row < n && strcmp(db_text(r, row, db_col(r, "name")), name) != 0)
		row++;
	return row;
}

static const char *
detail_of(struct arena *a, const struct condition *c, const char *found)
{
	const char *at = strstr(c->detail, "{}");

	if (!at)
		return c->detail;
	return arena_printf(a, "%.*s%s%s", (int)(at - c->detail), c->detail,
	    found, at + 2);
}

static void
write_condition(struct op *op, struct json_w *w, const struct condition *c,
    const struct db_result *r, size_t row)
{
	int64_t count = db_i64(r, row, db_col(r, "count"));

	json_w_open(w, '{');
	json_w_kv(w, "name", c->name);
	json_w_kv(w, "severity", c->severity);
	json_w_kv(w, "what", c->what);
	json_w_kv_int(w, "count", count);
	json_w_kv_bool(w, "count_is_capped", count >= POLICY_CONDITION_ROWS);
	json_w_kv(w, "subject", db_text(r, row, db_col(r, "subject")));
	if (!db_is_null(r, row, db_col(r, "since"))) {
		json_w_key(w, "since");
		wiretime_put(w, db_text(r, row, db_col(r, "since")));
	}
	json_w_kv(w, "detail",
	    detail_of(op_arena(op), c, db_text(r, row, db_col(r, "detail"))));
	json_w_kv(w, "advice", c->advice);
	json_w_close(w, '}');
}

static enum op_next
conditions_done(struct op *op)
{
	const struct db_result *r = op_result(op, 0);
	struct json_w *w = reply_writer(op);
	size_t found = 0, bad = 0;

	json_w_open(w, '{');
	json_w_key(w, "data");
	json_w_open(w, '[');
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		size_t row = find_row(r, conditions[i].name);

		if (row == db_nrows(r))
			continue;
		write_condition(op, w, &conditions[i], r, row);
		found++;
		bad += strcmp(conditions[i].severity, NOTICE) != 0;
	}
	json_w_close(w, ']');
	json_w_kv_int(w, "total", (int64_t)found);
	json_w_kv_bool(w, "healthy", bad == 0);
	json_w_close(w, '}');
	/* One that nobody described is not left out in silence. */
	if (found != db_nrows(r))
		return op_fail(op, RC_INTERNAL,
		    "the database tells of a condition that has no words");
	return reply_json(op, 200);
}

/* --- what the document says of it --- */

static const struct field condition_fields[] = {
    {"name", FIELD_TEXT},
    {"severity", FIELD_TEXT},
    {"what", FIELD_TEXT},
    {"count", FIELD_INT},
    {"count_is_capped", FIELD_BOOL},
    {"subject", FIELD_TEXT},
    {"since", FIELD_TIME},
    {"detail", FIELD_TEXT},
    {"advice", FIELD_TEXT},
};
static const struct field whole_fields[] = {
    {"total", FIELD_INT},
    {"healthy", FIELD_BOOL},
};
const struct shape shape_admin_conditions_start = {
    .does = "List what is wrong, and what to do",
    .answer = SHAPE_ROWS,
    .fields = SHAPE_TABLE(condition_fields),
    .more_fields = SHAPE_TABLE(whole_fields),
};
