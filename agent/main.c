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
#include "agent/heartbeat.h"
#include "agent/home.h"
#include "agent/identity.h"
#include "agent/poll.h"
#include "agent/stop.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/op/op.h"

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "agent/cfg_keys.def"
#undef KEY
};

static void
begin_stop(struct agent *a)
{
	heartbeat_stop(a->heartbeat);
	poll_stop(a->poll);
}

static bool
is_idle(const struct agent *a)
{
	return poll_is_idle(a->poll);
}

static const struct stop_hooks stop_hooks = {begin_stop, is_idle};

static void
on_signal(void *arg)
{
	log_info("STOPPING", "asked to stop");
	stop_begin(arg, 0);
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

/* What the configuration says, as far as no directory is needed. */
static rc
agent_configure(struct agent *a)
{
	const char *name = cfg_str(a->cfg, "agent_name");
	rc url, allow, identity;

	if (gethostname(a->hostname, sizeof(a->hostname) - 1) != 0)
		snprintf(a->hostname, sizeof(a->hostname), "localhost");
	a->name = name[0] ? name : a->hostname;
	/* All of them, so that one start tells every mistake. */
	url = check_url(a);
	allow = check_allow(a);
	identity = identity_check(a);
	if (url != RC_OK)
		return url;
	return allow != RC_OK ? allow : identity;
}

static rc
agent_connect(struct agent *a)
{
	const char *ca = cfg_str(a->cfg, "server_ca_bundle");
	struct http_out_opts opts = {
	    .ca_file = ca[0] ? ca : NULL,
	    .insecure = cfg_bool(a->cfg, "server_insecure"),
	    .user_agent = "certctl-agent/" CERTCTL_VERSION,
	};
	rc r;

	r = loop_new(&a->loop);
	if (r == RC_OK)
		r = loop_on_signal(a->loop, SIGTERM, on_signal, a);
	if (r == RC_OK)
		r = loop_on_signal(a->loop, SIGINT, on_signal, a);
	if (r != RC_OK) {
		log_error("START", "no event loop: %s", rc_name(r));
		return r;
	}
	a->stop = stop_new(a, &stop_hooks);
	r = http_out_new(a->loop, &opts, &a->http);
	if (r != RC_OK)
		log_error("CONFIG",
		    "CERTCTL_SERVER_CA_BUNDLE_PATH \"%s\" cannot be read as "
		    "PEM certificates",
		    ca);
	else if (opts.insecure)
		log_warn("INSECURE", "the server's certificate is not checked");
	return r;
}

static rc
agent_init(struct agent *a, bool *out_registered)
{
	rc r;

	r = agent_configure(a);
	if (r == RC_OK)
		r = home_open(a);
	if (r == RC_OK)
		r = agent_connect(a);
	if (r == RC_OK)
		r = identity_load(a, out_registered);
	return r;
}

/* What a start would do, without making or changing anything. */
static int
agent_check(struct agent *a)
{
	rc configured = agent_configure(a);
	rc home = home_check(a);
	rc connected = agent_connect(a);

	if (configured != RC_OK || home != RC_OK || connected != RC_OK)
		return 1;
	printf("certctl-agent: the configuration is good\n");
	return 0;
}

/* What is still under way ends here as at a kill: the journals know. */
static void
agent_fini(struct agent *a)
{
	if (a->registering)
		op_abort(a->registering, RC_CANCELLED);
	heartbeat_free(a->heartbeat);
	poll_free(a->poll);
	stop_free(a->stop);
	http_out_free(a->http);
	loop_free(a->loop);
	mem_wipe(a->api_key, sizeof(a->api_key));
	free(a->server_url);
	home_close(a);
	cfg_free(a->cfg);
}

/* The check is the agent's own: it knows more than the table of variables. */
static bool
take_check(int *argc, char **argv)
{
	int n = 1;

	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--check-config") != 0)
			argv[n++] = argv[i];
	}
	if (n == *argc)
		return false;
	argv[n] = NULL;
	*argc = n;
	return true;
}

static int
agent_run(struct agent *a)
{
	bool registered = false;
	rc r;

	r = agent_init(a, &registered);
	if (r != RC_OK)
		return 1;
	if (registered)
		begin(a);
	else
		identity_register(a, begin);
	r = loop_run(a->loop);
	return r == RC_OK ? a->exit_status : 1;
}

int
main(int argc, char **argv)
{
	struct agent a = {.exit_status = 0,
	    .key_dir_fd = -1,
	    .journal_dir_fd = -1,
	    .state_dir_fd = -1};
	bool is_check = take_check(&argc, argv);
	int status;

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
	status = is_check ? agent_check(&a) : agent_run(&a);
	agent_fini(&a);
	if (!is_check)
		log_info("STOPPED", "status %d", status);
	return status;
}
