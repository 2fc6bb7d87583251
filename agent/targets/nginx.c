/*
 * nginx: certificate and key as files, `nginx -t`, `nginx -s reload`.
 */
#include <stddef.h>

#include "agent/target.h"
#include "common/json/json.h"

#define PATH_BYTES 3500

static rc
want_path(struct arena *a, const struct cJSON *config, const char *field,
    const char **out, const char **out_why)
{
	rc ret = json_str(config, field, PATH_BYTES, out);

	if (ret == RC_OK && (*out)[0] == '/')
		return RC_OK;
	*out_why = arena_printf(a, "the target's %s is %s", field,
	    ret == RC_NOT_FOUND ? "missing" : "not an absolute path");
	return RC_INVALID;
}

static rc
want_name(struct arena *a, const struct cJSON *config, const char *field,
    const char **out, const char **out_why)
{
	rc ret = json_str(config, field, 64, out);

	if (ret == RC_OK && (*out)[0] != '\0')
		return RC_OK;
	*out = NULL;
	if (ret == RC_OK || ret == RC_NOT_FOUND)
		return RC_OK;
	*out_why = arena_printf(a,
	    "the target's %s is not the name of a user or group", field);
	return RC_INVALID;
}

/* <which>_file_mode, _owner, _group. */
static rc
want_file(struct arena *a, const struct cJSON *config, const char *which,
    struct target_file *out, const char **out_why)
{
	const char *field = arena_printf(a, "%s_file_mode", which);
	int64_t mode = -1;
	rc ret = json_int(config, field, 0400, 0777, &mode);

	if (ret == RC_INVALID) {
		*out_why = arena_printf(a,
		    "the target's %s is not a file "
		    "mode (a number such as 416 for 0640)",
		    field);
		return ret;
	}
	out->mode = (int)mode;
	ret = want_name(a, config, arena_printf(a, "%s_file_owner", which),
	    &out->owner, out_why);
	if (ret == RC_OK)
		ret = want_name(a, config,
		    arena_printf(a, "%s_file_group", which), &out->group,
		    out_why);
	return ret;
}

static rc
want_command(struct arena *a, const struct cJSON *config, const char *field,
    const char *verb, const char **argv, const char **out_why)
{
	rc ret = target_command(a, config, field, argv, out_why);

	if (ret != RC_NOT_FOUND)
		return ret;
	argv[0] = "nginx";
	argv[1] = verb[0] == 't' ? "-t" : "-s";
	argv[2] = verb[0] == 't' ? NULL : verb;
	argv[3] = NULL;
	return RC_OK;
}

static rc
nginx_plan(struct arena *a, const struct cJSON *config, struct target_plan *out,
    const char **out_why)
{
	struct target_plan p = {0};
	int64_t port = 443;
	rc ret;

	ret = want_path(a, config, "cert_path", &p.cert_path, out_why);
	if (ret == RC_OK)
		ret = want_path(a, config, "key_path", &p.key_path, out_why);
	if (ret == RC_OK)
		ret = want_file(a, config, "cert", &p.cert, out_why);
	if (ret == RC_OK)
		ret = want_file(a, config, "key", &p.key, out_why);
	if (ret == RC_OK)
		ret = want_file(a, config, "chain", &p.chain, out_why);
	if (ret == RC_OK)
		ret = want_command(a, config, "validate_command", "test",
		    p.test_argv, out_why);
	if (ret == RC_OK)
		ret = want_command(a, config, "reload_command", "reload",
		    p.reload_argv, out_why);
	if (ret != RC_OK)
		return ret;
	/* The rest is optional; a wrong type counts as absent, for the server
	 * checked the configuration when it was stored. */
	if (json_str(config, "chain_path", PATH_BYTES, &p.chain_path) != RC_OK)
		p.chain_path = NULL;
	if (json_str(config, "host", 253, &p.host) != RC_OK &&
	    json_str(config, "hostname", 253, &p.host) != RC_OK &&
	    json_str(config, "target", 253, &p.host) != RC_OK &&
	    json_str(config, "address", 253, &p.host) != RC_OK)
		p.host = NULL;
	if (p.host && p.host[0] == '\0')
		p.host = NULL;
	if (json_str(config, "server_name", 253, &p.server_name) != RC_OK)
		p.server_name = NULL;
	if (json_int(config, "port", 1, 65535, &port) != RC_OK)
		port = 443;
	p.port = (int)port;
	*out = p;
	return RC_OK;
}

static const char *const usual_dirs[] = {"/etc/certctl", "/etc/nginx",
    "/etc/pki/tls", "/etc/ssl", NULL};

/* With exact arguments: `nginx -c FILE` loads whatever FILE says. */
static const char *const usual_commands[] = {"/usr/sbin/nginx -t",
    "/usr/sbin/nginx -s reload", "/usr/bin/systemctl reload nginx",
    "/bin/systemctl reload nginx", "/usr/local/sbin/nginx -t",
    "/usr/local/sbin/nginx -s reload", NULL};

const struct target_kind target_nginx = {
    .type = "NGINX",
    .dirs = usual_dirs,
    .commands = usual_commands,
    .plan = nginx_plan,
};
