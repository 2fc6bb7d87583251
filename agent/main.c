/*
 * certctl-agent: makes keys, asks for certificates, deploys them and proves
 * what is served, on the host it runs on.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/home.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/op/op.h"

#define STOP_CHECK_MS 50
#define STOP_LIMIT_MS 5000

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "agent/cfg_keys.def"
#undef KEY
};

static struct timer *stop_timer;
static int64_t stop_deadline;

static void
stop_when_idle(void *arg)
{
	struct agent *a = arg;

	if (poll_is_idle(a->poll) || loop_now_ms(a->loop) > stop_deadline)
		loop_stop(a->loop);
	else
		timer_arm(stop_timer, STOP_CHECK_MS);
}

void
agent_stop(struct agent *a, int exit_status)
{
	if (a->is_stopping)
		return;
	a->is_stopping = true;
	a->exit_status = exit_status;
	heartbeat_stop(a->heartbeat);
	poll_stop(a->poll);
	stop_deadline = loop_now_ms(a->loop) + STOP_LIMIT_MS;
	stop_timer = timer_new(a->loop, stop_when_idle, a);
	timer_arm(stop_timer, 0);
}

static void
leave_retired(void *arg)
{
	agent_stop(arg, 0);
}

void
agent_retired(struct agent *a)
{
	if (a->is_retired)
		return;
	log_info("RETIRED", "the server says this agent was retired; leaving");
	a->is_retired = true;
	/* The stop ends requests, and the caller is the callback of one. */
	loop_defer(a->loop, leave_retired, a);
}

static void
on_signal(void *arg)
{
	log_info("STOPPING", "asked to stop");
	agent_stop(arg, 0);
}

static void
begin(struct agent *a)
{
	log_info("STARTED", "agent %s of %s", a->id, a->server_url);
	a->heartbeat = heartbeat_start(a);
	a->poll = poll_start(a);
}

static rc
check_url(struct agent *a)
{
	const char *url = cfg_str(a->cfg, "server_url");
	char *copy;
	size_t n;

	if (strncmp(url, "https://", 8) != 0) {
		log_error("CONFIG",
		    "CERTCTL_SERVER_URL is \"%s\"; it must "
		    "begin with https://",
		    url);
		return RC_INVALID;
	}
	copy = mem_strdup(url);
	for (n = strlen(copy); n > 8 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	a->server_url = copy;
	return RC_OK;
}

static rc
check_allow(struct agent *a)
{
	struct arena *scratch = arena_new();
	const char *why = "";
	rc r;

	a->own_dirs[0] = cfg_str(a->cfg, "state_dir");
	a->own_dirs[1] = cfg_str(a->cfg, "key_dir");
	a->own_dirs[2] = NULL;
	a->allow = (struct allow){
	    .dirs = cfg_list(a->cfg, "agent_target_dirs"),
	    .commands = cfg_list(a->cfg, "agent_commands"),
	    .own_dirs = a->own_dirs,
	};
	r = allow_check(scratch, &a->allow, &why);
	if (r != RC_OK)
		log_error("CONFIG", "%s", why);
	arena_free(scratch);
	return r;
}

static rc
agent_init(struct agent *a)
{
	const char *ca = cfg_str(a->cfg, "server_ca_bundle");
	const char *name = cfg_str(a->cfg, "agent_name");
	struct http_out_opts opts = {
	    .ca_file = ca[0] ? ca : NULL,
	    .insecure = cfg_bool(a->cfg, "server_insecure"),
	    .user_agent = "certctl-agent/" CERTCTL_VERSION,
	};
	rc r;

	if (gethostname(a->hostname, sizeof(a->hostname) - 1) != 0)
		snprintf(a->hostname, sizeof(a->hostname), "localhost");
	a->name = name[0] ? name : a->hostname;
	r = check_url(a);
	if (r == RC_OK)
		r = check_allow(a);
	if (r == RC_OK)
		r = home_open(a);
	if (r == RC_OK)
		r = loop_new(&a->loop);
	if (r == RC_OK)
		r = loop_on_signal(a->loop, SIGTERM, on_signal, a);
	if (r == RC_OK)
		r = loop_on_signal(a->loop, SIGINT, on_signal, a);
	if (r != RC_OK)
		return r;
	r = http_out_new(a->loop, &opts, &a->http);
	if (r != RC_OK)
		log_error("CONFIG",
		    "cannot use CERTCTL_SERVER_CA_BUNDLE_PATH "
		    "\"%s\"",
		    ca);
	else if (opts.insecure)
		log_warn("INSECURE", "the server's certificate is not checked");
	return r;
}

/* What is still under way ends here as at a kill: the journals know. */
static void
agent_fini(struct agent *a)
{
	if (a->registering)
		op_abort(a->registering, RC_CANCELLED);
	heartbeat_free(a->heartbeat);
	poll_free(a->poll);
	timer_free(stop_timer);
	http_out_free(a->http);
	loop_free(a->loop);
	mem_wipe(a->api_key, sizeof(a->api_key));
	free(a->server_url);
	home_close(a);
	cfg_free(a->cfg);
}

int
main(int argc, char **argv)
{
	struct agent a = {.exit_status = 0,
	    .key_dir_fd = -1,
	    .journal_dir_fd = -1,
	    .state_dir_fd = -1};
	bool registered = false;
	int status;
	rc r;

	if (cfg_main(argc, argv, "certctl-agent",
		"Makes keys, deploys certificates and proves what is served.",
		keys, ARRAY_LEN(keys), NULL, &a.cfg, &status))
		return status;
	umask(022);
	log_init("agent",
	    strcmp(cfg_str(a.cfg, "log_level"), "debug") == 0   ? LOG_DEBUG
	    : strcmp(cfg_str(a.cfg, "log_level"), "warn") == 0  ? LOG_WARN
	    : strcmp(cfg_str(a.cfg, "log_level"), "error") == 0 ? LOG_ERROR
								: LOG_INFO,
	    strcmp(cfg_str(a.cfg, "log_format"), "json") == 0);
	r = agent_init(&a);
	if (r == RC_OK)
		r = identity_load(&a, &registered);
	if (r != RC_OK) {
		agent_fini(&a);
		return 1;
	}
	if (registered)
		begin(&a);
	else
		identity_register(&a, begin);
	r = loop_run(a.loop);
	agent_fini(&a);
	log_info("STOPPED", "status %d", a.exit_status);
	return r == RC_OK ? a.exit_status : 1;
}
