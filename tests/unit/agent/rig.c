#include "tests/unit/agent/rig.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/heartbeat.h"
#include "agent/home.h"
#include "agent/poll.h"
#include "agent/served.h"
#include "agent/stop.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/op/op.h"
#include "tests/unit/agent/sandbox.h"

#define RULES_MAX 64
#define REQUESTS_MAX 20000
#define URL "https://server.test"

struct rule {
	char method[8];
	char path[256];
	int status;
	char *body;
	int64_t delay_ms;
};

/* The answer under way. */
struct http_call {
	struct timer *timer;
	http_done_fn *done;
	void *arg;
	const struct rule *rule;
	bool is_over;
};

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "agent/cfg_keys.def"
#undef KEY
};
static const struct rule none = {.status = 404, .body = NULL};
static struct rule rules[RULES_MAX];
static size_t n_rules;
static struct rig_request *requests;
static size_t n_requests;
static struct agent *agent;

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static const struct rule *
rule_for(const char *method, const char *path)
{
	for (size_t i = n_rules; i > 0; i--) {
		if (strcmp(rules[i - 1].method, method) == 0 &&
		    begins(path, rules[i - 1].path))
			return &rules[i - 1];
	}
	return &none;
}

static void
free_call(void *arg)
{
	struct http_call *c = arg;

	timer_free(c->timer);
	free(c);
}

static void
answer(void *arg)
{
	struct http_call *c = arg;
	const char *body = c->rule->body ? c->rule->body : "";

	c->is_over = true;
	if (c->rule->status == 0)
		c->done(c->arg, RC_UNAVAILABLE, 0, NULL, 0, "no connection");
	else
		c->done(c->arg, RC_OK, c->rule->status, body, strlen(body),
		    NULL);
	loop_defer(agent->loop, free_call, c);
}

rc
http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out)
{
	struct http_call *c = mem_zalloc(sizeof(*c));
	struct rig_request *r = &requests[n_requests++];
	const char *path = req->url + strlen(URL);

	if (n_requests == REQUESTS_MAX || !begins(req->url, URL))
		errx(1, "%zu requests, %s", n_requests, req->url);
	snprintf(r->method, sizeof(r->method), "%s", req->method);
	snprintf(r->path, sizeof(r->path), "%s", path);
	snprintf(r->bearer, sizeof(r->bearer), "%s",
	    req->bearer ? req->bearer : "");
	r->body = mem_strdup(req->body ? req->body : "");
	r->at_ms = loop_now_ms(agent->loop);
	c->done = done;
	c->arg = arg;
	c->rule = rule_for(req->method, path);
	c->timer = timer_new(agent->loop, answer, c);
	timer_arm(c->timer, c->rule->delay_ms);
	*out = c;
	return RC_OK;
}

void
http_call_cancel(struct http_call *c)
{
	if (!c->is_over)
		free_call(c);
}

void
rig_answer(const char *method, const char *path, int status, const char *body,
    int64_t delay_ms)
{
	struct rule *r = &rules[n_rules++];

	if (n_rules == RULES_MAX)
		errx(1, "too many rules");
	snprintf(r->method, sizeof(r->method), "%s", method);
	snprintf(r->path, sizeof(r->path), "%s", path);
	r->status = status;
	r->body = mem_strdup(body);
	r->delay_ms = delay_ms;
}

static void
begin_stop(struct agent *a)
{
	heartbeat_stop(a->heartbeat);
	served_stop(a->served);
	poll_stop(a->poll);
}

static bool
is_idle(const struct agent *a)
{
	return poll_is_idle(a->poll);
}

static void
end_loop(struct agent *a)
{
	loop_stop(a->loop);
}

static const struct stop_hooks hooks = {begin_stop, is_idle, end_loop};

void
rig_end(void)
{
	if (!agent)
		return;
	if (agent->registering)
		op_abort(agent->registering, RC_CANCELLED);
	heartbeat_free(agent->heartbeat);
	poll_free(agent->poll);
	served_free(agent->served);
	loop_sim_advance(agent->loop, 0); /* what ended is freed */
	stop_free(agent->stop);
	loop_free(agent->loop);
	home_close(agent);
	free(agent->server_url);
	cfg_free(agent->cfg);
	free(agent);
	agent = NULL;
	while (n_rules > 0)
		free(rules[--n_rules].body);
	while (n_requests > 0)
		free(requests[--n_requests].body);
	free(requests);
	requests = NULL;
}

struct agent *
rig_new(const char *const *settings)
{
	static bool is_known;

	rig_end();
	if (!is_known && atexit(rig_end) != 0)
		errx(1, "atexit");
	is_known = true;
	log_init("test", LOG_ERROR, false);
	(void)sandbox_new();
	requests = mem_zalloc(REQUESTS_MAX * sizeof(*requests));
	agent = mem_zalloc(sizeof(*agent));
	agent->key_dir_fd = agent->journal_dir_fd = agent->state_dir_fd = -1;
	agent->served_dir_fd = -1;
	if (clearenv() != 0 ||
	    setenv("CERTCTL_AGENT_STATE_DIR", sandbox_path("state"), 1) != 0 ||
	    setenv("CERTCTL_KEY_DIR", sandbox_path("state/keys"), 1) != 0 ||
	    setenv("CERTCTL_AGENT_START_SPREAD", "0s", 1) != 0)
		err(1, "environment");
	for (size_t i = 0; settings && settings[i]; i++) {
		char *name = mem_strdup(settings[i]);
		char *value = strchr(name, '=');

		*value = '\0';
		if (setenv(name, value + 1, 1) != 0)
			err(1, "setenv");
		free(name);
	}
	if (cfg_load(keys, sizeof(keys) / sizeof(keys[0]), &agent->cfg) !=
		RC_OK ||
	    home_open(agent) != RC_OK)
		errx(1, "the rig's configuration");
	agent->loop = loop_new_sim(1000000);
	agent->stop = stop_new(agent, &hooks);
	agent->server_url = mem_strdup(URL);
	agent->name = "rig";
	snprintf(agent->id, sizeof(agent->id), "a-1");
	snprintf(agent->api_key, sizeof(agent->api_key), "key-1");
	return agent;
}

void
rig_pass(int64_t ms)
{
	loop_sim_advance(agent->loop, ms);
}

size_t
rig_count(const char *method, const char *path)
{
	size_t n = 0;

	for (size_t i = 0; i < n_requests; i++)
		n += strcmp(requests[i].method, method) == 0 &&
		     begins(requests[i].path, path);
	return n;
}

const struct rig_request *
rig_last(const char *method, const char *path)
{
	for (size_t i = n_requests; i > 0; i--) {
		if (strcmp(requests[i - 1].method, method) == 0 &&
		    begins(requests[i - 1].path, path))
			return &requests[i - 1];
	}
	return NULL;
}
