/*
 * certctl-agent: makes keys, asks for certificates, deploys them and proves
 * what is served, on the host it runs on.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/discovery.h"
#include "agent/heartbeat.h"
#include "agent/home.h"
#include "agent/identity.h"
#include "agent/news.h"
#include "agent/poll.h"
#include "agent/probe.h"
#include "agent/served.h"
#include "agent/stop.h"
#include "common/base/mem.h"
#include "common/daemon/daemon.h"
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
	served_stop(a->served);
	discovery_stop(a->discovery);
	poll_stop(a->poll);
}

static bool
is_idle(const struct agent *a)
{
	return poll_is_idle(a->poll);
}

static const struct stop_hooks stop_hooks = {begin_stop, is_idle};

static void
begin(struct agent *a)
{
	news_wire(a);
	log_info("STARTED", "agent %s of %s", a->id, a->server_url);
	a->served = served_start(a);
	a->heartbeat = heartbeat_start(a);
	a->poll = poll_start(a);
	a->discovery = discovery_start(a);
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
	rc ret;

	a->own_dirs[0] = cfg_str(a->cfg, "state_dir");
	a->own_dirs[1] = cfg_str(a->cfg, "key_dir");
	a->own_dirs[2] = cfg_str(a->cfg, "server_ca_bundle");
	a->own_dirs[3] = NULL;
	a->allow = (struct allow){
	    .dirs = cfg_list(a->cfg, "agent_target_dirs"),
	    .commands = cfg_list(a->cfg, "agent_commands"),
	    .own_dirs = a->own_dirs,
	};
	ret = allow_check(scratch, &a->allow, &why);
	if (ret != RC_OK)
		log_error("CONFIG", "%s", why);
	arena_free(scratch);
	return ret;
}

/* What the configuration says, as far as no directory is needed. */
static rc
agent_configure(struct agent *a)
{
	const char *name = cfg_str(a->cfg, "agent_name");
	rc url, allow, identity, discovery;

	a->name = name[0] ? name : a->hostname;
	/* All of them, so that one start tells every mistake. */
	url = check_url(a);
	allow = check_allow(a);
	identity = identity_check(a);
	discovery = discovery_check(a);
	if (url != RC_OK)
		return url;
	if (allow != RC_OK)
		return allow;
	return identity != RC_OK ? identity : discovery;
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
	const struct tls_prober_opts probes = {.parallel = PROBE_PARALLEL};
	rc ret;

	a->stop = stop_new(a, &stop_hooks);
	ret = tls_prober_new(a->loop, &probes, &a->prober);
	if (ret != RC_OK)
		return ret;
	ret = http_out_new(a->loop, &opts, &a->http);
	if (ret != RC_OK)
		log_error("CONFIG",
		    "CERTCTL_SERVER_CA_BUNDLE_PATH \"%s\" cannot be read as "
		    "PEM certificates",
		    ca);
	else if (opts.insecure)
		log_warn("INSECURE", "the server's certificate is not checked");
	return ret;
}

static void
agent_take(struct agent *a, struct daemon *d)
{
	a->loop = d->loop;
	a->cfg = d->cfg;
	memcpy(a->hostname, d->host, sizeof(a->hostname));
}

static rc
prepare(void *self, struct daemon *d)
{
	struct agent *a = self;
	rc ret;

	umask(022);
	agent_take(a, d);
	ret = agent_configure(a);
	if (ret == RC_OK)
		ret = home_open(a);
	if (ret == RC_OK)
		ret = agent_connect(a);
	return ret;
}

/* What a start would do, without making or changing anything. */
static rc
check(void *self, struct daemon *d)
{
	struct agent *a = self;
	rc configured, home, connected;

	agent_take(a, d);
	configured = agent_configure(a);
	home = home_check(a);
	connected = agent_connect(a);
	if (configured != RC_OK)
		return configured;
	return home != RC_OK ? home : connected;
}

static rc
start(void *self, struct daemon *d)
{
	struct agent *a = self;
	bool registered = false;
	rc ret;

	ret = identity_load(a, &registered);
	if (ret != RC_OK)
		return ret;
	if (registered)
		begin(a);
	else
		identity_register(a, begin);
	return RC_OK;
}

static void
stop(void *self, struct daemon *d)
{
	stop_begin(self, 0);
}

/* What is still under way ends here as at a kill: the journals know. */
static void
finish(void *self, struct daemon *d)
{
	struct agent *a = self;

	if (a->registering)
		op_abort(a->registering, RC_CANCELLED);
	heartbeat_free(a->heartbeat);
	poll_free(a->poll);
	served_free(a->served);
	discovery_free(a->discovery);
	stop_free(a->stop);
	http_out_free(a->http);
	tls_prober_free(a->prober);
	mem_wipe(a->api_key, sizeof(a->api_key));
	free(a->server_url);
	home_close(a);
	d->exit_status = a->exit_status;
}

int
main(int argc, char **argv)
{
	static const struct daemon_program program = {
	    .process = "agent",
	    .purpose = "Makes keys, deploys certificates and proves what is "
		       "served.",
	    .keys = keys,
	    .nkeys = ARRAY_LEN(keys),
	    .name_key = "agent_name",
	    .prepare = prepare,
	    .check = check,
	    .open = start,
	    .stop = stop,
	    .close = finish,
	};
	struct agent a = {.exit_status = 0,
	    .key_dir_fd = -1,
	    .journal_dir_fd = -1,
	    .served_dir_fd = -1,
	    .state_dir_fd = -1};

	return daemon_main(argc, argv, &program, &a);
}
