/*
 * GET /api/v1/stats/summary and /stats/certificates-by-status: figures for a
 * dashboard, each kept or counted by an index to a bound.  What is cut says so.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "common/base/clock.h"

static op_step summary_done;
static op_step by_status_done;

enum { COUNTS, ENDED };

enum op_next
stats_summary_start(struct op *op)
{
	static const struct db_stmt stmts[] = {
	    [COUNTS] = {Q_METRICS_COUNTS, 0, NULL},
	    [ENDED] = {Q_STATS_ENDED_JOBS, 0, NULL},
	};

	return op_batch(op, summary_done, ARRAY_LEN(stmts), stmts);
}

static int64_t
number(const struct db_result *r, const char *column)
{
	return db_i64(r, 0, db_col(r, column));
}

static enum op_next
summary_done(struct op *op)
{
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
	    {"notifications_dead", "notification_dead_total"},
	};
	const struct db_result *r = op_result(op, COUNTS);
	const struct db_result *ended = op_result(op, ENDED);
	struct json_w *w = reply_writer(op);
	char now[32];

	json_w_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		json_w_kv_int(w, counts[i].name, number(r, counts[i].column));
	json_w_kv_int(w, "offline_agents",
	    number(r, "agent_total") - number(r, "agent_online"));
	json_w_kv_int(w, "failed_jobs", number(ended, "failed_jobs"));
	/* No index tells, so that ending a job costs it nothing. */
	json_w_kv_raw(w, "complete_jobs", "null");
	json_w_kv_bool(w, "counts_capped",
	    number(r, "certificate_counts_capped") != 0 ||
		number(ended, "is_capped") != 0);
	clock_format_rfc3339(clock_wall_us(), now);
	json_w_kv(w, "completed_at", now);
	json_w_close(w, '}');
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
	struct json_w *w = reply_writer(op);

	json_w_open(w, '[');
	for (size_t i = 0; i < op_rows(op); i++) {
		json_w_open(w, '{');
		json_w_kv(w, "status", op_text(op, i, "status"));
		json_w_kv_int(w, "count", op_i64(op, i, "count"));
		if (op_bool(op, i, "is_capped"))
			json_w_kv_bool(w, "count_is_capped", true);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
	return reply_json(op, 200);
}
