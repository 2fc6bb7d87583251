#include "agent/call.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "agent/probe.h"
#include "agent/stop.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/log/log_peer.h"
#include "common/loop/spawn.h"

struct agent_op {
	struct agent *agent;
	void *arg;
	void (*done)(struct agent *a, void *arg);
	struct op *op;
	/* At most one of these is under way. */
	struct http_call *http;
	struct spawn *spawn;
	struct probe *probe;
	struct call_reply reply;
	struct call_output output;
	struct call_probe probed;
};

#define REPLY_MAX (4 * 1024 * 1024)
/* Longer than any wait: each wait has a limit of its own. */
#define PARK_SLACK_MS 5000
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 30000
#define RETRY_JITTER_PERCENT 20

static void
agent_op_end(struct op *op, rc code, const char *message)
{
	struct agent_op *o = op_owner(op);

	if (o->http)
		http_call_cancel(o->http);
	if (o->spawn)
		spawn_cancel(o->spawn);
	if (o->probe)
		probe_cancel(o->probe);
	if (code != RC_OK && code != RC_CANCELLED)
		log_peer(LOG_WARN, "AGENT-OP-FAILED", op_name(op), "%s: %s: %s",
		    op_name(op), rc_name(code), message);
	if (o->done)
		o->done(o->agent, o->arg);
	free(o);
}

struct op *
agent_op_start(struct agent *a, const char *name, int64_t deadline_ms,
    op_step *first, void *arg, void (*done)(struct agent *a, void *arg))
{
	struct agent_op *o = mem_zalloc(sizeof(*o));
	struct op_env env = {
	    .loop = a->loop,
	    .deadline_ms = deadline_ms,
	    .name = name,
	    .owner = o,
	    .on_end = agent_op_end,
	};

	o->agent = a;
	o->arg = arg;
	o->done = done;
	o->op = op_start(&env, first);
	return o->op;
}

struct agent *
agent_of(const struct op *op)
{
	return ((struct agent_op *)op_owner(op))->agent;
}

void *
agent_arg(const struct op *op)
{
	return ((struct agent_op *)op_owner(op))->arg;
}

static void
api_done(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct agent_op *o = arg;
	struct arena *a = op_arena(o->op);
	const char *why = "";

	o->http = NULL;
	o->reply = (struct call_reply){.code = code, .status = status};
	if (code != RC_OK) {
		o->reply.error = arena_strdup(a, error ? error : rc_name(code));
	} else if (len > 0) {
		rc parsed = json_parse(a, arena_strndup(a, body, len), len,
		    &o->reply.json, &why);

		if (parsed != RC_OK)
			o->reply.json = NULL;
	}
	if (code == RC_OK && status >= 300) {
		const char *message = NULL;

		if (o->reply.json)
			IGNORE_RESULT(json_str(o->reply.json, "message", 4096,
			    &message)); /* absent: the status alone is said */
		o->reply.error = arena_printf(a, "the server answered %d%s%s",
		    status, message ? ": " : "", message ? message : "");
	}
	if (code == RC_OK && status == 410)
		stop_retired(o->agent);
	op_wake(o->op);
}

enum op_next
call_api_as(struct op *op, const char *bearer, const char *method,
    const char *path, const char *body, int64_t timeout_ms, op_step *next)
{
	struct agent_op *o = op_owner(op);
	struct http_request req = {
	    .method = method,
	    .url = op_printf(op, "%s%s", o->agent->server_url, path),
	    .bearer = bearer[0] ? bearer : NULL,
	    .body = body,
	    .body_len = body ? strlen(body) : 0,
	    .timeout_ms = timeout_ms,
	    .max_reply = REPLY_MAX,
	};
	rc ret;

	/* What a step sees that runs before the answer: a process that stood
	 * still for long has the end of the wait before what came in. */
	if (o->http)
		http_call_cancel(o->http);
	o->http = NULL;
	o->reply = (struct call_reply){.code = RC_TIMEOUT,
	    .error = "no answer in time"};
	ret = http_out_start(o->agent->http, &req, api_done, o, &o->http);
	if (ret != RC_OK)
		return op_fail(op, ret, "cannot start a request to %s",
		    req.url);
	return op_park(op, timeout_ms + PARK_SLACK_MS, next);
}

enum op_next
call_api(struct op *op, const char *method, const char *path, const char *body,
    int64_t timeout_ms, op_step *next)
{
	return call_api_as(op, agent_of(op)->api_key, method, path, body,
	    timeout_ms, next);
}

const struct call_reply *
call_reply(const struct op *op)
{
	return &((struct agent_op *)op_owner(op))->reply;
}

bool
call_is_in_doubt(const struct call_reply *reply)
{
	if (reply->code != RC_OK || reply->status >= 500)
		return true;
	return reply->status == 401 || reply->status == 403 ||
	       reply->status == 408 || reply->status == 429;
}

int64_t
call_backoff(int64_t *delay_ms)
{
	*delay_ms = *delay_ms ? *delay_ms * 2 : RETRY_MIN_MS;
	if (*delay_ms > RETRY_MAX_MS)
		*delay_ms = RETRY_MAX_MS;
	return rand_jitter(*delay_ms, RETRY_JITTER_PERCENT);
}

static void
program_done(void *arg, rc code, int exit_status, const char *output)
{
	struct agent_op *o = arg;

	o->spawn = NULL;
	o->output = (struct call_output){
	    .code = code,
	    .exit_status = exit_status,
	    .text = arena_strdup(op_arena(o->op), output ? output : ""),
	};
	op_wake(o->op);
}

enum op_next
call_program(struct op *op, const char *const *argv, bool may_leave_some,
    int64_t timeout_ms, op_step *next)
{
	/* Nothing of the agent's own surroundings steers a server's tools. */
	static const char *const env[] = {"PATH=/usr/local/sbin:/usr/local/"
					  "bin:/usr/sbin:/usr/bin:/sbin:/bin",
	    "LC_ALL=C.UTF-8", NULL};
	struct agent_op *o = op_owner(op);
	struct spawn_opts opts = {
	    .argv = argv,
	    .env = env,
	    .env_only = true,
	    .timeout_ms = timeout_ms,
	    .may_leave_some = may_leave_some,
	};
	rc ret;

	ret = spawn_run(o->agent->loop, &opts, program_done, o, &o->spawn);
	if (ret != RC_OK) {
		o->spawn = NULL;
		o->output = (struct call_output){
		    .code = ret,
		    .text = op_printf(op, "cannot start %s", argv[0]),
		};
		return op_goto(op, next);
	}
	return op_park(op, timeout_ms + PARK_SLACK_MS, next);
}

const struct call_output *
call_output(const struct op *op)
{
	return &((struct agent_op *)op_owner(op))->output;
}

static void
handshake_done(void *arg, rc code, const struct probe_result *result)
{
	struct agent_op *o = arg;

	o->probe = NULL;
	o->probed = (struct call_probe){.code = code};
	o->probed.error = arena_strdup(op_arena(o->op), result->error);
	memcpy(o->probed.fingerprint, result->fingerprint,
	    sizeof(o->probed.fingerprint));
	memcpy(o->probed.serial, result->serial, sizeof(o->probed.serial));
	o->probed.issuer = arena_strdup(op_arena(o->op), result->issuer);
	o->probed.not_after_unix = result->not_after_unix;
	op_wake(o->op);
}

enum op_next
call_handshake(struct op *op, const char *host, int port,
    const char *server_name, int64_t timeout_ms, op_step *next)
{
	struct agent_op *o = op_owner(op);
	rc ret;

	ret = probe_start(o->agent->prober, host, port, server_name, timeout_ms,
	    handshake_done, o, &o->probe);
	if (ret != RC_OK) {
		o->probe = NULL;
		o->probed = (struct call_probe){.code = ret,
		    .error = "cannot start a handshake"};
		return op_goto(op, next);
	}
	return op_park(op, timeout_ms + PARK_SLACK_MS, next);
}

const struct call_probe *
call_probe(const struct op *op)
{
	return &((struct agent_op *)op_owner(op))->probed;
}
