/*
 * GET /api/v1/metrics: the few figures of a dashboard.
 */
#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/resources/wiretime.h"
#include "common/base/clock.h"

static op_step metrics_json_done;

enum { COUNTS, ENDED };

enum op_next
metrics_json_start(struct op *op)
{
	static const struct db_stmt stmts[] = {
	    [COUNTS] = {Q_METRICS_COUNTS, 0, NULL},
	    [ENDED] = {Q_METRICS_ENDED, 0, NULL},
	};

	return op_batch(op, metrics_json_done, ARRAY_LEN(stmts), stmts);
}

/* NULL, of a number that is not known, is JSON's. */
static void
put(struct json_w *w, const char *name, const struct db_result *r,
    const char *column)
{
	int col = db_col(r, column);

	json_w_kv_raw(w, name,
	    db_is_null(r, 0, col) ? "null" : db_text(r, 0, col));
}

static void
put_uptime(struct op *op, struct json_w *w)
{
	const struct api *a = req_api(op);

	json_w_key(w, "uptime");
	json_w_open(w, '{');
	json_w_kv_int(w, "uptime_seconds", api_uptime_s(a));
	wiretime_kv_us(w, "server_started", a->started_us);
	wiretime_kv_us(w, "measured_at", clock_wall_us());
	json_w_close(w, '}');
}

static enum op_next
metrics_json_done(struct op *op)
{
	static const char *const gauges[] = {"certificate_total",
	    "certificate_active", "certificate_expiring_soon",
	    "certificate_expired", "certificate_revoked", "agent_total",
	    "agent_online", "job_pending"};
	const struct db_result *counts = op_result(op, COUNTS);
	const struct db_result *ended = op_result(op, ENDED);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_key(w, "gauge");
	json_w_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
		put(w, gauges[i], counts, gauges[i]);
	if (db_bool(counts, 0, db_col(counts, "agent_online_is_estimate")))
		json_w_kv_bool(w, "agent_online_is_estimate", true);
	json_w_close(w, '}');
	json_w_key(w, "counter");
	json_w_open(w, '{');
	put(w, "job_completed_total", ended, "job_completed_total");
	put(w, "job_failed_total", ended, "job_failed_total");
	put(w, "notifications_dead_total", counts, "notification_dead_total");
	json_w_close(w, '}');
	put_uptime(op, w);
	json_w_close(w, '}');
	return reply_json(op, 200);
}
