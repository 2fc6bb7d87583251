/*
 * GET /api/v1/stats/...: figures for a dashboard, by numbers that are kept
 * (migrations/code/29_stats.sql), so that none costs with the inventory.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/clock.h"

static op_step summary_done;
static op_step by_status_done;
static op_step expiration_done;
static op_step jobs_done;
static op_step issued_done;

enum { DAYS_MAX = 365, DAYS_DEFAULT = 30 };

/* --- the summary --- */

static const struct {
	const char *name, *column;
} counts[] = {
    {"total_certificates", "certificate_total"},
    {"expiring_certificates", "certificate_expiring_soon"},
    {"expired_certificates", "certificate_expired"},
    {"revoked_certificates", "certificate_revoked"},
    {"total_agents", "agent_total"},
    {"active_agents", "agent_online"},
    {"pending_jobs", "job_pending"},
    {"failed_jobs", "failed_jobs"},
    {"complete_jobs", "complete_jobs"},
    {"notifications_dead", "notification_dead_total"},
};

enum op_next
stats_summary_start(struct op *op)
{
	return OP_QUERY0(op, Q_METRICS_COUNTS, summary_done);
}

static enum op_next
summary_done(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	/* NULL, of what an upgrade brought and nobody counted yet, is JSON's.
	 */
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		json_w_kv_raw(w, counts[i].name,
		    op_is_null(op, 0, counts[i].column)
			? "null"
			: op_text(op, 0, counts[i].column));
	json_w_kv_int(w, "offline_agents",
	    op_i64(op, 0, "agent_total") - op_i64(op, 0, "agent_online"));
	if (op_bool(op, 0, "agent_online_is_estimate"))
		json_w_kv_bool(w, "active_agents_is_estimate", true);
	wiretime_kv_us(w, "completed_at", clock_wall_us());
	json_w_close(w, '}');
	return reply_json(op, 200);
}

/* --- series --- */

static const struct field by_status_fields[] = {
    {"status", FIELD_TEXT},
    {"count", FIELD_INT},
};
static const struct field expiration_fields[] = {
    {"date", FIELD_TEXT},
    {"count", FIELD_INT},
};
static const struct field jobs_fields[] = {
    {"date", FIELD_TEXT},
    {"completed_count", FIELD_INT},
    {"failed_count", FIELD_INT},
    {"success_rate", FIELD_NUMBER},
};
static const struct field issued_fields[] = {
    {"date", FIELD_TEXT},
    {"issued_count", FIELD_INT},
};

static const char *
days(struct op *op)
{
	return page_num(op,
	    req_query_int(op, "days", 1, DAYS_MAX, DAYS_DEFAULT));
}

static enum op_next
reply_rows(struct op *op, const struct field *fields, size_t n)
{
	struct field_rows fr;

	field_rows_init(&fr, op_result(op, 0), fields, n, NULL);
	field_rows_put_all(&fr, op_arena(op), reply_writer(op), op_rows(op));
	return reply_json(op, 200);
}

enum op_next
stats_by_status_start(struct op *op)
{
	return OP_QUERY0(op, Q_STATS_BY_STATUS, by_status_done);
}

static enum op_next
by_status_done(struct op *op)
{
	return reply_rows(op, by_status_fields, ARRAY_LEN(by_status_fields));
}

enum op_next
stats_expiration_start(struct op *op)
{
	return OP_QUERY(op, Q_STATS_EXPIRATION, expiration_done, days(op));
}

static enum op_next
expiration_done(struct op *op)
{
	return reply_rows(op, expiration_fields, ARRAY_LEN(expiration_fields));
}

enum op_next
stats_jobs_start(struct op *op)
{
	return OP_QUERY(op, Q_STATS_JOBS, jobs_done, days(op));
}

static enum op_next
jobs_done(struct op *op)
{
	return reply_rows(op, jobs_fields, ARRAY_LEN(jobs_fields));
}

enum op_next
stats_issued_start(struct op *op)
{
	return OP_QUERY(op, Q_STATS_ISSUED, issued_done, days(op));
}

static enum op_next
issued_done(struct op *op)
{
	return reply_rows(op, issued_fields, ARRAY_LEN(issued_fields));
}

/* --- what the document says of them --- */

static const struct field days_query[] = {
    {"days", FIELD_INT, 0, 1, DAYS_MAX, "30"},
};
static const struct field summary_fields[] = {
    {"total_certificates", FIELD_INT},
    {"expiring_certificates", FIELD_INT},
    {"expired_certificates", FIELD_INT},
    {"revoked_certificates", FIELD_INT},
    {"active_agents", FIELD_INT},
    {"active_agents_is_estimate", FIELD_BOOL, FIELD_OMIT_EMPTY},
    {"offline_agents", FIELD_INT},
    {"total_agents", FIELD_INT},
    {"pending_jobs", FIELD_INT},
    {"failed_jobs", FIELD_INT},
    {"complete_jobs", FIELD_INT},
    {"notifications_dead", FIELD_INT},
    {"completed_at", FIELD_TIME},
};

const struct shape shape_stats_summary_start = {
    .does = "Sum up certificates, agents and jobs",
    .answer = SHAPE_OBJECT,
    .fields = SHAPE_TABLE(summary_fields),
};
const struct shape shape_stats_by_status_start = {
    .does = "Count the certificates by status",
    .answer = SHAPE_ARRAY,
    .fields = SHAPE_TABLE(by_status_fields),
};
const struct shape shape_stats_expiration_start = {
    .does = "Count the certificates by the day of their end",
    .query = days_query,
    .nquery = ARRAY_LEN(days_query),
    .answer = SHAPE_ARRAY,
    .fields = SHAPE_TABLE(expiration_fields),
};
const struct shape shape_stats_jobs_start = {
    .does = "Count the jobs that ended by day",
    .query = days_query,
    .nquery = ARRAY_LEN(days_query),
    .answer = SHAPE_ARRAY,
    .fields = SHAPE_TABLE(jobs_fields),
};
const struct shape shape_stats_issued_start = {
    .does = "Count the certificates that were issued by day",
    .query = days_query,
    .nquery = ARRAY_LEN(days_query),
    .answer = SHAPE_ARRAY,
    .fields = SHAPE_TABLE(issued_fields),
};
