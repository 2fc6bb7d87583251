/*
 * certctl-agent: makes keys, asks for certificates, deploys them and proves
 * what is served, on the host it runs on.
 */
#include <string.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/home.h"
#include "agent/life.h"
#include "agent/probe.h"
#include "agent/stop.h"
#include "common/daemon/daemon.h"
#include "common/log/log.h"

static const struct cfg_key keys[] = {
#define KEY CFG_KEY_ROW
#include "agent/cfg_keys.def"
#undef KEY
};

static void
end_loop(struct agent *a)
{
	loop_stop(a->loop);
}

static const struct stop_hooks stop_hooks = {life_stop, life_is_idle, end_loop};

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
	ret = life_configure(a);
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
	configured = life_configure(a);
	home = home_check(a);
	connected = agent_connect(a);
	if (configured != RC_OK)
		return configured;
	return home != RC_OK ? home : connected;
}

static rc
start(void *self, struct daemon *d)
{
	return life_begin(self);
}

static void
stop(void *self, struct daemon *d)
{
	stop_begin(self, 0);
}

static void
finish(void *self, struct daemon *d)
{
	struct agent *a = self;

	life_end(a);
	http_out_free(a->http);
	tls_prober_free(a->prober);
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
