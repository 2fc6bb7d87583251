/*
 * GET /health, /ready, /api/v1/version.
 *
 * Health says that the process answers, and asks nobody.  Ready says whether
 * our row, written every second on the process's own connection by a function
 * that reads and writes, could be, and whether the pools of requests and of
 * heartbeats serve, by their own books: a question costs nothing and takes no
 * connection, and a pool that is merely busy does not make it say no.  What
 * fails all that writes (faults.h) comes first.
 */
#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/live/faults.h"
#include "apiserver/live/presence.h"
#include "apiserver/resources/shape.h"
#include "common/daemon/daemon.h"

enum op_next
system_health_start(struct op *op)
{
	return reply_status(op, 200, "status", "healthy");
}

/* --- ready --- */

/* NULL, or what would fail a request; *out_where says where. */
static const char *
trouble_of(const struct api *a, const char **out_where)
{
	const struct {
		const char *where;
		const char *why;
	} all[] = {
	    {"the database", faults_trouble(a)},
	    {"the pool of requests", db_pool_trouble(a->pool)},
	    {"the pool of heartbeats", db_pool_trouble(a->heartbeat_pool)},
	    {"the process's own connection", presence_trouble(a->presence)},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		*out_where = all[i].where;
		if (all[i].why)
			return all[i].why;
	}
	return NULL;
}

enum op_next
system_ready_start(struct op *op)
{
	const struct api *a = req_api(op);
	const char *where, *trouble = trouble_of(a, &where);
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", trouble ? "db_unavailable" : "ready");
	if (trouble)
		json_w_kv(w, "error",
		    arena_printf(op_arena(op), "%s: %s", where, trouble));
	else
		json_w_kv(w, "db", "reachable");
	if (faults_warning(a))
		json_w_kv(w, "db_warning", faults_warning(a));
	json_w_kv(w, "db_server", db_home_text(a->daemon->home));
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

/* --- what the document says of it --- */

const struct shape shape_system_health_start = {
    .does = "Say that the process answers",
    .answer = SHAPE_STATUS,
};
static const struct field ready_fields[] = {
    {"status", FIELD_TEXT},
    {"error", FIELD_TEXT},
    {"db", FIELD_TEXT},
    {"db_warning", FIELD_TEXT},
    {"db_server", FIELD_TEXT},
    {"scheduler", FIELD_TEXT},
};
const struct shape shape_system_ready_start = {
    .does = "Say whether requests would be served",
    .fields = SHAPE_TABLE(ready_fields),
};
static const struct field version_fields[] = {
    {"version", FIELD_TEXT},
    {"commit", FIELD_TEXT},
    {"modified", FIELD_BOOL},
    {"build_time", FIELD_TEXT},
    {"go_version", FIELD_TEXT},
};
const struct shape shape_system_version_start = {
    .does = "Tell the version",
    .fields = SHAPE_TABLE(version_fields),
};
