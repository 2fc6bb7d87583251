/* certctl-apiserver: configuration, wiring, run. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "apiserver/assemble.h"
#include "apiserver/edge/http_server.h"
#include "apiserver/edge/peer.h"
#include "apiserver/edge/tls.h"
#include "apiserver/live/eventlog.h"
#include "apiserver/live/park.h"
#include "apiserver/policy/apievents.h"
#include "apiserver/policy/refusals.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/daemon/daemon.h"
#include "common/daemon/parts.h"
#include "common/log/log.h"
#include "common/migrate/migrate.h"

enum {
	STOP_PATIENCE_MS = 10000,
	FLUSH_PATIENCE_MS = 2000,
	TLS_WATCH_MS = 1000,
	FILES_KEPT = 256, /* descriptors that are no clients */
};

#define KEY CFG_KEY_ROW
static const struct cfg_key keys[] = {
#include "apiserver/cfg_keys.def"
};
#undef KEY

static const char extra_help[] =
    "  --migrate-only  bring the database to this version and end\n"
    "  --migrate-down=N\n"
    "                  revert the last N migrations and end; removes the\n"
    "                  functions of every version, so not while programs run\n"
    "  --force         behind --migrate-down: although programs run\n"
    "  --print-routes  print every route and who may ask it, as JSON\n";

struct server {
	struct daemon *d;
	struct api *api;
	struct tls *tls;
	struct peer_nets *trusted_proxies;
	struct http_server *http;
};

/* --- what is no server --- */

static rc
run_up(const struct cfg *cfg, const char *value, bool is_forced)
{
	(void)value;
	(void)is_forced;
	return migrate_up(cfg_str(cfg, "database_url"),
	    cfg_str(cfg, "database_migrations_path"),
	    cfg_int(cfg, "database_code_grace"));
}

static rc
run_down(const struct cfg *cfg, const char *value, bool is_forced)
{
	int64_t n;
	rc ret;

	ret = enc_parse_i64(value, 1, 10000, &n);
	if (ret != RC_OK) {
		(void)fprintf(stderr, "--migrate-down=N: how many?\n");
		return ret;
	}
	return migrate_down(cfg_str(cfg, "database_url"),
	    cfg_str(cfg, "database_migrations_path"), (int)n, is_forced);
}

static rc
run_print_routes(const struct cfg *cfg, const char *value, bool is_forced)
{
	(void)value;
	(void)is_forced;
	return api_print_routes(cfg);
}

static const struct command {
	const char *option; /* with a value where it ends in "=" */
	bool may_be_forced;
	rc (*run)(const struct cfg *cfg, const char *value, bool is_forced);
} commands[] = {
    {"--migrate-only", false, run_up},
    {"--migrate-down=", true, run_down},
    {"--print-routes", false, run_print_routes},
};

static const struct command *
find_command(const char *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *option = commands[i].option;
		size_t len = strlen(option);

		if (strncmp(arg, option, len) == 0 &&
		    (arg[len] == '\0' || option[len - 1] == '='))
			return &commands[i];
	}
	return NULL;
}

/* Whether an option asks for something else than a server. */
static bool
run_command(int argc, char **argv, const struct cfg *cfg, int *out_exit)
{
	const struct command *c;
	bool is_forced;
	rc ret = RC_INVALID;

	if (argc < 2)
		return false;
	c = find_command(argv[1]);
	is_forced = c && c->may_be_forced && argc > 2 &&
		    strcmp(argv[2], "--force") == 0;
	if (c && argc == (is_forced ? 3 : 2))
		ret = c->run(cfg, argv[1] + strlen(c->option), is_forced);
	else
		(void)fprintf(stderr,
		    "certctl-apiserver: \"%s\" cannot stand here; see "
		    "--help\n",
		    argv[c ? (is_forced ? 3 : 2) : 1]);
	*out_exit = ret == RC_OK ? 0 : 1;
	return true;
}

/* --- start --- */

/* As many connections as were asked for, or as the system lets us have. */
static size_t
max_connections(const struct cfg *cfg)
{
	size_t wanted = (size_t)cfg_int(cfg, "server_max_connections");
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return wanted;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* then it stays as it was */
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur > wanted + 2 * FILES_KEPT)
		return wanted;
	log_warn("HTTP-LIMIT",
	    "only %llu open files are allowed; connections are limited to it",
	    (unsigned long long)limit.rlim_cur);
	return limit.rlim_cur > 2 * FILES_KEPT
		   ? (size_t)limit.rlim_cur - 2 * FILES_KEPT
		   : 16;
}

static rc
open_tls(struct server *s)
{
	const char *cert = cfg_str(s->d->cfg, "server_tls_cert_path");
	const char *key = cfg_str(s->d->cfg, "server_tls_key_path");
	rc ret;

	if (!*cert || !*key) {
		log_error("TLS-PATHS", "set CERTCTL_SERVER_TLS_CERT_PATH and "
				       "CERTCTL_SERVER_TLS_KEY_PATH");
		return RC_INVALID;
	}
	ret = tls_new(cert, key, &s->tls);
	if (ret == RC_OK)
		tls_watch(s->tls, s->d->loop, TLS_WATCH_MS);
	return ret;
}

static rc
read_proxies(struct server *s)
{
	const char *const *texts = cfg_list(s->d->cfg, "trusted_proxies");
	const char *bad = "";
	rc ret = peer_nets_new(texts, &s->trusted_proxies, &bad);

	if (ret != RC_OK)
		log_error("HTTP-PROXIES",
		    "CERTCTL_TRUSTED_PROXIES: \"%s\" is neither an address nor "
		    "a network such as 10.0.0.0/8",
		    bad);
	return ret;
}

static rc
prepare(void *self, struct daemon *d)
{
	struct server *s = self;
	rc ret;

	s->d = d;
	/* All of them: one start tells every mistake. */
	ret = open_tls(s);
	ret = rc_first(ret, read_proxies(s));
	ret = rc_first(ret,
	    http_server_check_address(cfg_str(d->cfg, "server_host"),
		(int)cfg_int(d->cfg, "server_port")));
	return rc_first(ret, api_new(d, &s->api));
}

static rc
start(void *self, struct daemon *d)
{
	struct server *s = self;
	const struct http_server_opts opts = {
	    .host = cfg_str(d->cfg, "server_host"),
	    .port = (int)cfg_int(d->cfg, "server_port"),
	    .max_conns = max_connections(d->cfg),
	    .max_per_address =
		(size_t)cfg_int(d->cfg, "server_max_connections_per_address"),
	    .max_body_memory = (size_t)cfg_int(d->cfg, "max_body_memory"),
	    .head_ms = cfg_int(d->cfg, "server_head_timeout"),
	    .body_ms = cfg_int(d->cfg, "server_body_timeout"),
	    .trusted_proxies = s->trusted_proxies,
	};
	rc ret;

	ret = http_server_new(s->api, s->tls, &opts, &s->http);
	if (ret == RC_OK)
		log_info("STARTED", "%s %s serves %s", d->name, CERTCTL_VERSION,
		    s->api->url);
	return ret;
}

static void
reload(void *self, struct daemon *d)
{
	struct server *s = self;

	tls_reload(s->tls);
	api_reload_keys(s->api);
}

/* --- the end --- */

static void
on_flushed(void *arg)
{
	struct server *s = arg;

	loop_stop(s->d->loop);
}

static void
on_refusals_flushed(void *arg)
{
	struct server *s = arg;

	if (s->api->apievents)
		apievents_flush(s->api->apievents, FLUSH_PATIENCE_MS,
		    on_flushed, s);
	else
		on_flushed(s);
}

static void
on_drained(void *arg)
{
	struct server *s = arg;

	refusals_flush(s->api->refusals, FLUSH_PATIENCE_MS, on_refusals_flushed,
	    s);
}

static void
stop(void *self, struct daemon *d)
{
	struct server *s = self;

	log_info("FINISHING", "what runs is waited for, %d s at most",
	    STOP_PATIENCE_MS / 1000);
	http_server_stop(s->http, STOP_PATIENCE_MS, on_drained, s);
	park_stop(s->api->park);
	eventlog_stop(s->api->events);
}

static void
finish(void *self, struct daemon *d)
{
	struct server *s = self;

	http_server_free(s->http);
	/* Ops that were cut still know what api owns. */
	loop_settle(d->loop);
	api_free(s->api);
	tls_free(s->tls);
	peer_nets_free(s->trusted_proxies);
}

int
main(int argc, char **argv)
{
	static const struct daemon_program program = {
	    .process = "apiserver",
	    .purpose = "the REST API of certctl, over HTTPS",
	    .keys = keys,
	    .nkeys = ARRAY_LEN(keys),
	    .extra_help = extra_help,
	    .name_key = "process_name",
	    .command = run_command,
	    .prepare = prepare,
	    .wait = part_wait_for_schema,
	    .open = start,
	    .reload = reload,
	    .stop = stop,
	    .close = finish,
	};
	struct server s = {0};

	return daemon_main(argc, argv, &program, &s);
}
