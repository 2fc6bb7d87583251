/*
 * GET /health, /ready, /api/v1/version.
 *
 * Health says that the process answers, and asks nobody.  Ready says
 * whether our row, written every second on the process's own connection by a
 * function that reads and writes, could be: a question costs nothing, and a
 * pool full of slow requests does not make it say no.
 */
#include "apiserver/api.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/live/presence.h"
#include "apiserver/edge/request.h"

enum op_next
system_health_start(struct op *op)
{
	return reply_status(op, 200, "status", "healthy");
}

/* --- ready --- */

enum op_next
system_ready_start(struct op *op)
{
	const struct api *a = req_api(op);
	const char *trouble = presence_trouble(a->presence);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", trouble ? "db_unavailable" : "ready");
	json_w_kv(w, trouble ? "error" : "db", trouble ? trouble : "reachable");
	/* Without a leader work is accepted and waits. */
	json_w_kv(w, "scheduler", api_has_leader(a) ? "leading" : "absent");
	json_w_close(w, '}');
	return reply_json(op, trouble ? 503 : 200);
}

/* --- version --- */

enum op_next
system_version_start(struct op *op)
{
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "version", CERTCTL_VERSION);
	json_w_kv(w, "commit", "");
	json_w_kv_bool(w, "modified", false);
	json_w_kv(w, "build_time", "");
	json_w_kv(w, "go_version", "C " __VERSION__);
	json_w_close(w, '}');
	return reply_json(op, 200);
}
