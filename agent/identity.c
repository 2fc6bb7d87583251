#include "agent/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/call.h"
#include "agent/files.h"
#include "agent/stop.h"
#include "common/base/enc.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/log/log.h"

#define IDENTITY "identity.json"
#define IDENTITY_MAX 8192
#define CALL_MS 30000
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 30000

static rc
identity_save(struct agent *a)
{
	struct json_w w;
	struct buf b;
	rc ret;

	buf_init(&b, IDENTITY_MAX);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "api_key", a->api_key);
	json_w_kv_opt(&w, "id", a->id);
	json_w_close(&w, '}');
	ret = files_write(a->state_dir_fd, IDENTITY, b.data, b.len, 0600);
	mem_wipe(b.data, b.len);
	buf_fini(&b);
	return ret;
}

static rc
identity_read(struct agent *a)
{
	struct arena *scratch = arena_new();
	const char *key, *id = "", *why;
	const struct cJSON *o;
	char *text = NULL;
	size_t len = 0;
	rc ret;

	ret = files_read(scratch, a->state_dir_fd, IDENTITY, IDENTITY_MAX,
	    &text, &len);
	if (ret == RC_OK)
		ret = json_parse(scratch, text, len, &o, &why);
	if (ret == RC_OK)
		ret = json_str(o, "api_key", sizeof(a->api_key) - 1, &key);
	if (ret == RC_OK) {
		/* Absent until the registration was answered. */
		IGNORE_RESULT(json_str(o, "id", sizeof(a->id) - 1, &id));
		snprintf(a->api_key, sizeof(a->api_key), "%s", key);
		snprintf(a->id, sizeof(a->id), "%s", id);
	}
	if (text)
		mem_wipe(text, len);
	arena_free(scratch);
	return ret;
}

static rc
identity_make(struct agent *a)
{
	uint8_t bytes[32];

	rand_bytes(bytes, sizeof(bytes));
	enc_hex(bytes, sizeof(bytes), a->api_key);
	mem_wipe(bytes, sizeof(bytes));
	return identity_save(a);
}

rc
identity_check(const struct agent *a)
{
	const char *id = cfg_str(a->cfg, "agent_id");
	const char *key = cfg_str(a->cfg, "api_key");

	if (!id[0] == !key[0])
		return RC_OK;
	log_error("CONFIG",
	    "CERTCTL_AGENT_ID and CERTCTL_API_KEY go together and %s is "
	    "empty: set both, or neither and CERTCTL_AGENT_BOOTSTRAP_TOKEN",
	    id[0] ? "CERTCTL_API_KEY" : "CERTCTL_AGENT_ID");
	return RC_INVALID;
}

static rc
cannot_use(const struct agent *a, rc ret)
{
	const char *dir = cfg_str(a->cfg, "state_dir");

	if (ret == RC_INVALID || ret == RC_TOO_LARGE || ret == RC_NOT_FOUND)
		log_error("IDENTITY",
		    "%s/" IDENTITY " is not what an agent wrote: bring it "
		    "back from a copy; without one retire the agent %s at the "
		    "server, remove the file and start again",
		    dir, a->name);
	else
		log_error("IDENTITY",
		    "%s/" IDENTITY " cannot be read or written: %s", dir,
		    ret == RC_IO ? strerror(errno) : rc_name(ret));
	return ret;
}

rc
identity_load(struct agent *a, bool *out_registered)
{
	const char *id = cfg_str(a->cfg, "agent_id");
	const char *key = cfg_str(a->cfg, "api_key");
	rc ret;

	if (id[0] && key[0]) {
		snprintf(a->id, sizeof(a->id), "%s", id);
		snprintf(a->api_key, sizeof(a->api_key), "%s", key);
		*out_registered = true;
		return RC_OK;
	}
	ret = identity_check(a);
	if (ret != RC_OK)
		return ret;
	if (faccessat(a->state_dir_fd, IDENTITY, F_OK, AT_SYMLINK_NOFOLLOW) !=
		0 &&
	    errno == ENOENT)
		ret = identity_make(a);
	else
		ret = identity_read(a);
	if (ret != RC_OK)
		return cannot_use(a, ret);
	*out_registered = a->id[0] != '\0';
	return RC_OK;
}

struct registration {
	struct agent *agent;
	void (*done)(struct agent *a);
	bool is_return; /* of an agent that runs, and goes on whatever comes */
	int64_t delay_ms;
};

static op_step register_ask;

static void
register_end(struct agent *a, void *arg)
{
	struct registration *g = arg;

	a->registering = NULL;
	if (!g->is_return) {
		if (a->id[0] != '\0' && !a->is_stopping)
			g->done(a);
		else
			stop_begin(a, 1);
	}
	free(g);
}

/* It runs: the next heartbeat that is refused asks again. */
static enum op_next
return_failed(struct op *op, const char *why)
{
	struct agent *a = agent_of(op);

	if (!a->told_unknown)
		log_error("RETURN-FAILED",
		    "%s does not know this agent any more, and did not take "
		    "it again: %s",
		    a->server_url, why);
	a->told_unknown = true;
	return op_done(op);
}

static enum op_next
register_again(struct op *op, const char *why)
{
	struct registration *g = agent_arg(op);

	if (g->is_return)
		return return_failed(op, why);
	g->delay_ms = g->delay_ms ? g->delay_ms * 2 : RETRY_MIN_MS;
	if (g->delay_ms > RETRY_MAX_MS)
		g->delay_ms = RETRY_MAX_MS;
	log_warn("REGISTER-RETRY", "%s; again in %lld ms", why,
	    (long long)g->delay_ms);
	op_extend(op, g->delay_ms + 2 * CALL_MS);
	return op_sleep(op, rand_jitter(g->delay_ms, 20), register_ask);
}

/* It would be answered the same however often it is asked. */
static enum op_next
register_refused(struct op *op, const char *why)
{
	const struct registration *g = agent_arg(op);

	if (g->is_return)
		return return_failed(op, why);
	log_error("REGISTER-REFUSED", "%s", why);
	return op_done(op); /* without an id the agent stops */
}

static enum op_next
register_unauthenticated(struct op *op, const char *error)
{
	struct agent *a = agent_of(op);

	if (!cfg_str(a->cfg, "bootstrap_token")[0])
		return register_refused(op,
		    op_printf(op,
			"%s: this agent is not registered yet, and "
			"%s takes a new one only with its bootstrap token: "
			"set CERTCTL_AGENT_BOOTSTRAP_TOKEN (or _FILE) to the "
			"server's, once; or CERTCTL_AGENT_ID and "
			"CERTCTL_API_KEY of a registration made elsewhere",
			error, a->server_url));
	/* The server's may be about to be changed too. */
	return register_again(op,
	    op_printf(op,
		"%s: check CERTCTL_AGENT_BOOTSTRAP_TOKEN, it must be the one "
		"that the server has",
		error));
}

static enum op_next
register_keep(struct op *op, const char *id)
{
	struct registration *g = agent_arg(op);
	struct agent *a = g->agent;
	char former[sizeof(a->id)];
	rc ret;

	memcpy(former, a->id, sizeof(former));
	snprintf(a->id, sizeof(a->id), "%s", id);
	ret = identity_save(a);
	if (ret != RC_OK) {
		memcpy(a->id, former, sizeof(a->id));
		return register_refused(op,
		    op_printf(op,
			"registered as %s, but %s/" IDENTITY
			" cannot be written: %s; mend that and start again, "
			"it will be the same agent",
			id, cfg_str(a->cfg, "state_dir"),
			ret == RC_IO ? strerror(errno) : rc_name(ret)));
	}
	a->told_unknown = false;
	if (g->is_return)
		log_warn("RETURNED",
		    "registered again as %s, id %s (it was %s): the server's "
		    "database did not know it any more",
		    a->name, a->id, former);
	else
		log_info("REGISTERED", "as %s, id %s", a->name, a->id);
	return op_done(op);
}

static enum op_next
register_answered(struct op *op)
{
	const struct call_reply *reply = call_reply(op);
	struct agent *a = agent_of(op);
	const char *id;

	fault_point("agent.register.after");
	if (reply->code != RC_OK || reply->status >= 500 ||
	    reply->status == 408 || reply->status == 429)
		return register_again(op, reply->error);
	if (reply->status == 401 || reply->status == 403)
		return register_unauthenticated(op, reply->error);
	if (reply->status == 409)
		return register_refused(op,
		    op_printf(op,
			"%s: the name %s belongs to another agent: choose one "
			"with CERTCTL_AGENT_NAME, or bring back that agent's "
			"state directory",
			reply->error, a->name));
	if (reply->status >= 300)
		return register_refused(op,
		    op_printf(op, "%s (registering as %s)", reply->error,
			a->name));
	if (!reply->json ||
	    json_str(reply->json, "id", sizeof(a->id) - 1, &id) != RC_OK ||
	    id[0] == '\0')
		return register_refused(op,
		    op_printf(op,
			"%s answered %d without an id: is CERTCTL_SERVER_URL "
			"that of a certctl server?",
			a->server_url, reply->status));
	return register_keep(op, id);
}

static enum op_next
register_ask(struct op *op)
{
	struct agent *a = agent_of(op);
	struct utsname u;
	char hash[65];
	struct json_w w;
	struct buf b;
	const char *body;

	if (uname(&u) != 0)
		memset(&u, 0, sizeof(u));
	enc_sha256_hex(a->api_key, strlen(a->api_key), hash);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "name", a->name);
	json_w_kv(&w, "hostname", a->hostname);
	json_w_kv(&w, "os", "linux");
	json_w_kv(&w, "architecture", u.machine);
	json_w_kv(&w, "version", CERTCTL_VERSION);
	json_w_kv(&w, "api_key_hash", hash);
	json_w_close(&w, '}');
	body = arena_strdup(op_arena(op), buf_cstr(&b));
	buf_fini(&b);
	return call_api_as(op, cfg_str(a->cfg, "bootstrap_token"), "POST",
	    "/api/v1/agents", body, CALL_MS, register_answered);
}

static void
register_begin(struct agent *a, bool is_return, void (*done)(struct agent *a))
{
	struct registration *g = mem_zalloc(sizeof(*g));

	g->agent = a;
	g->is_return = is_return;
	g->done = done;
	a->registering = agent_op_start(a, "register", 2 * CALL_MS,
	    register_ask, g, register_end);
}

void
identity_register(struct agent *a, void (*done)(struct agent *a))
{
	log_info("REGISTERING", "as %s at %s%s", a->name, a->server_url,
	    cfg_str(a->cfg, "bootstrap_token")[0]
		? ""
		: ", without CERTCTL_AGENT_BOOTSTRAP_TOKEN");
	register_begin(a, false, done);
}

void
identity_return(struct agent *a)
{
	if (a->registering || a->is_stopping || a->is_retired)
		return;
	if (cfg_str(a->cfg, "agent_id")[0]) {
		if (!a->told_unknown)
			log_error("RETURN-FAILED",
			    "%s refuses CERTCTL_API_KEY for CERTCTL_AGENT_ID: "
			    "if its database was restored, register this "
			    "agent again and set both",
			    a->server_url);
		a->told_unknown = true;
		return;
	}
	register_begin(a, true, NULL);
}
