/* certctl-apiserver: configuration, wiring, run. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "apiserver/api.h"
#include "apiserver/edge/http_conn.h"
#include "apiserver/edge/tls.h"
#include "common/base/enc.h"
#include "common/cfg/cfg.h"
#include "common/log/log.h"
#include "common/loop/loop.h"
#include "common/migrate/migrate.h"

enum {
	STOP_PATIENCE_MS = 10000,
	TLS_WATCH_MS = 5000,
	DB_WAIT_MS = 30000,
	FILES_KEPT = 256, /* descriptors that are no clients */
};

#define KEY CFG_KEY_ROW
static const struct cfg_key keys[] = {
#include "apiserver/cfg_keys.def"
};
#undef KEY

static const char extra_help[] =
    "  --migrate-only  apply the migrations that are missing and end\n"
    "  --migrate-down=N\n"
    "                  revert the last N migrations and end\n";

struct server {
	struct loop *loop;
	struct cfg *cfg;
	struct api *api;
	struct tls *tls;
	struct http_server *http;
};

/* --- migrations --- */

/* Whether an option asks for migrations instead of a server. */
static bool
run_migrations(int argc, char **argv, const struct cfg *cfg, int *out_exit)
{
	static const char down[] = "--migrate-down";
	const char *url = cfg_str(cfg, "database_url");
	const char *dir = cfg_str(cfg, "database_migrations_path");
	int64_t n;
	rc ret;

	if (argc < 2)
		return false;
	if (strcmp(argv[1], "--migrate-only") == 0) {
		ret = migrate_up(url, dir);
	} else if (strncmp(argv[1], down, sizeof(down) - 1) == 0) {
		ret = argv[1][sizeof(down) - 1] != '='
			  ? RC_INVALID
			  : enc_parse_i64(argv[1] + sizeof(down), 1, 10000, &n);
		if (ret == RC_OK)
			ret = migrate_down(url, dir, (int)n);
		else
			(void)fprintf(stderr, "--migrate-down=N: how many?\n");
	} else {
		return false;
	}
	*out_exit = ret == RC_OK ? 0 : 1;
	return true;
}

/* --- signals --- */

static void
on_drained(void *arg)
{
	struct server *s = arg;

	loop_stop(s->loop);
}

static void
on_stop(void *arg)
{
	struct server *s = arg;

	log_info("STOP", "finishing what runs, for %d s at most",
	    STOP_PATIENCE_MS / 1000);
	http_server_stop(s->http, STOP_PATIENCE_MS, on_drained, s);
	api_stop(s->api);
}

static void
on_reload(void *arg)
{
	struct server *s = arg;

	tls_reload(s->tls);
}

static rc
hook_signals(struct server *s)
{
	rc ret;

	ret = loop_on_signal(s->loop, SIGTERM, on_stop, s);
	if (ret == RC_OK)
		ret = loop_on_signal(s->loop, SIGINT, on_stop, s);
	if (ret == RC_OK)
		ret = loop_on_signal(s->loop, SIGHUP, on_reload, s);
	return ret;
}

/* --- start --- */

static enum log_level
level_of(const char *name)
{
	if (strcmp(name, "debug") == 0)
		return LOG_DEBUG;
	if (strcmp(name, "warn") == 0)
		return LOG_WARN;
	if (strcmp(name, "error") == 0)
		return LOG_ERROR;
	return LOG_INFO;
}

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
	const char *cert = cfg_str(s->cfg, "server_tls_cert_path");
	const char *key = cfg_str(s->cfg, "server_tls_key_path");
	rc ret;

	if (!*cert || !*key) {
		log_error("TLS-PATHS", "set CERTCTL_SERVER_TLS_CERT_PATH and "
				       "CERTCTL_SERVER_TLS_KEY_PATH");
		return RC_INVALID;
	}
	ret = tls_new(cert, key, &s->tls);
	if (ret == RC_OK)
		tls_watch(s->tls, s->loop, TLS_WATCH_MS);
	return ret;
}

static rc
server_open(struct server *s)
{
	const struct http_server_opts opts = {
	    .host = cfg_str(s->cfg, "server_host"),
	    .port = (int)cfg_int(s->cfg, "server_port"),
	    .max_conns = max_connections(s->cfg),
	    .max_body = (size_t)cfg_int(s->cfg, "max_body_size"),
	};
	rc ret;

	ret = loop_new(&s->loop);
	if (ret == RC_OK)
		ret = open_tls(s);
	if (ret == RC_OK)
		ret = api_new(s->loop, s->cfg, &s->api);
	if (ret == RC_OK)
		ret =
		    migrate_check(cfg_str(s->cfg, "database_url"), DB_WAIT_MS);
	if (ret == RC_OK)
		ret = hook_signals(s);
	if (ret == RC_OK)
		ret = http_server_new(s->api, s->tls, &opts, &s->http);
	return ret;
}

static void
on_settled(void *arg)
{
	loop_stop(arg);
}

static void
server_close(struct server *s)
{
	rc ret = RC_OK;

	http_server_free(s->http);
	/* Ops that were cut are freed on the next turn, and still know what
	 * api owns. */
	if (s->loop) {
		loop_defer(s->loop, on_settled, s->loop);
		ret = loop_run(s->loop);
	}
	if (ret != RC_OK)
		log_error("LOOP", "the loop failed while stopping");
	api_free(s->api);
	tls_free(s->tls);
	if (s->loop)
		loop_free(s->loop);
	cfg_free(s->cfg);
}

int
main(int argc, char **argv)
{
	struct server s = {0};
	int status;
	rc ret;

	if (cfg_main(argc, argv, "certctl-apiserver",
		"the REST API of certctl, over HTTPS", keys, ARRAY_LEN(keys),
		extra_help, &s.cfg, &status))
		return status;
	log_init("apiserver", level_of(cfg_str(s.cfg, "log_level")),
	    strcmp(cfg_str(s.cfg, "log_format"), "json") == 0);
	if (run_migrations(argc, argv, s.cfg, &status)) {
		cfg_free(s.cfg);
		return status;
	}
	ret = server_open(&s);
	if (ret == RC_OK) {
		log_info("START", "%s %s serves %s", s.api->name,
		    CERTCTL_VERSION, s.api->url);
		ret = loop_run(s.loop);
		log_info("STOPPED", "%s", s.api->name);
	}
	server_close(&s);
	return ret == RC_OK ? 0 : 1;
}
