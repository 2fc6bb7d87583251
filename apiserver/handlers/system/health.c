/*
 * GET /health, /ready, /api/v1/version.
 *
 * Health says that the process answers, and asks nobody.  Ready also asks the
 * database, on the process's own connection, so that a pool full of slow
 * requests does not make it say no.
 */
#include "apiserver/api.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/edge/request.h"

enum { PING_MS = 2000 };

struct ping {
	struct op *op; /* NULL once the request is gone */
	struct db_req *req;
	bool is_done;
	rc code;
};

static op_step ready_done;

enum op_next
system_health_start(struct op *op)
{
	return reply_status(op, 200, "status", "healthy");
}

/* --- ready --- */

static void
on_pong(void *arg, struct db_outcome *o)
{
	struct ping *p = arg;

	p->req = NULL;
	p->is_done = true;
	p->code = o->code;
	op_wake(p->op);
}

/* The op ends, perhaps before the answer. */
static void
end_ping(void *arg)
{
	struct ping *p = arg;

	db_forget(p->req);
}

enum op_next
system_ready_start(struct op *op)
{
	static const struct db_stmt ping = {Q_PING, 0, NULL};
	struct ping *p = op_state(op, sizeof(*p));

	p->op = op;
	arena_defer(op_arena(op), end_ping, p);
	p->req = db_submit(req_api(op)->own_pool, &ping, 1, on_pong, p);
	return op_park(op, PING_MS, ready_done);
}

static enum op_next
ready_done(struct op *op)
{
	const struct ping *p = op_state(op, sizeof(*p));
	const struct api *a = req_api(op);
	bool is_good = p->is_done && p->code == RC_OK;
	struct json_w *w = reply_writer(op);

	json_w_open(w, '{');
	json_w_kv(w, "status", is_good ? "ready" : "db_unavailable");
	if (is_good)
		json_w_kv(w, "db", "reachable");
	else
		json_w_kv(w, "error",
		    p->is_done ? rc_name(p->code)
			       : "no answer within two seconds");
	/* Without a leader work is accepted and waits. */
	json_w_kv(w, "scheduler", api_has_leader(a) ? "leading" : "absent");
	json_w_close(w, '}');
	return reply_json(op, is_good ? 200 : 503);
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
