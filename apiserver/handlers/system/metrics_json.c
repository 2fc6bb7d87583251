/*
 * GET /api/v1/metrics: the few figures of a dashboard.  What nobody keeps a
 * number of, such as jobs by their end, is not there.
 */
#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "common/base/clock.h"

static op_step metrics_json_done;

enum op_next
metrics_json_start(struct op *op)
{
	return OP_QUERY0(op, Q_METRICS_COUNTS, metrics_json_done);
}

/* NULL, of a number that is not known, is JSON's. */
static void
put(struct op *op, struct json_w *w, const char *column)
{
	if (op_is_null(op, 0, column))
		json_w_kv_raw(w, column, "null");
	else
		json_w_kv_int(w, column, op_i64(op, 0, column));
}

static void
put_uptime(struct op *op, struct json_w *w)
{
	const struct api *a = req_api(op);
	char text[32];

	json_w_key(w, "uptime");
	json_w_open(w, '{');
	json_w_kv_int(w, "uptime_seconds", api_uptime_s(a));
	clock_format_rfc3339(a->started_us, text);
	json_w_kv(w, "server_started", text);
	clock_format_rfc3339(clock_wall_us(), text);
	json_w_kv(w, "measured_at", text);
	json_w_close(w, '}');
}

static enum op_next
metrics_json_done(struct op *op)
{
	static const char *const gauges[] = {"certificate_total",
	    "certificate_active", "certificate_expiring_soon",
	    "certificate_expired", "certificate_revoked", "agent_total",
	    "agent_online", "job_pending"};
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_key(w, "gauge");
	json_w_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
		put(op, w, gauges[i]);
	json_w_kv_bool(w, "certificate_counts_capped",
	    op_i64(op, 0, "certificate_counts_capped") != 0);
	json_w_close(w, '}');
	json_w_key(w, "counter");
	json_w_open(w, '{');
	json_w_kv_int(w, "notifications_dead_total",
	    op_i64(op, 0, "notification_dead_total"));
	json_w_close(w, '}');
	put_uptime(op, w);
	json_w_close(w, '}');
	return reply_json(op, 200);
}
