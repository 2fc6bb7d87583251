#include "agent/life.h"

#include <stdlib.h>
#include <string.h>

#include "agent/discovery.h"
#include "agent/heartbeat.h"
#include "agent/home.h"
#include "agent/identity.h"
#include "agent/news.h"
#include "agent/poll.h"
#include "agent/served.h"
#include "agent/stop.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/op/op.h"

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

rc
life_configure(struct agent *a)
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

static void
work(struct agent *a)
{
	news_wire(a);
	log_info("STARTED", "agent %s of %s", a->id, a->server_url);
	a->served = served_start(a);
	a->heartbeat = heartbeat_start(a);
	a->poll = poll_start(a);
	a->discovery = discovery_start(a);
}

rc
life_begin(struct agent *a)
{
	bool registered = false;
	rc ret;

	ret = identity_load(a, &registered);
	if (ret != RC_OK)
		return ret;
	if (registered)
		work(a);
	else
		identity_register(a, work);
	return RC_OK;
}

void
life_stop(struct agent *a)
{
	heartbeat_stop(a->heartbeat);
	served_stop(a->served);
	discovery_stop(a->discovery);
	poll_stop(a->poll);
}

bool
life_is_idle(const struct agent *a)
{
	return poll_is_idle(a->poll);
}

void
life_end(struct agent *a)
{
	if (a->registering)
		op_abort(a->registering, RC_CANCELLED);
	heartbeat_free(a->heartbeat);
	poll_free(a->poll);
	served_free(a->served);
	discovery_free(a->discovery);
	stop_free(a->stop);
	mem_wipe(a->api_key, sizeof(a->api_key));
	free(a->server_url);
	home_close(a);
}
