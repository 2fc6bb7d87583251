#include "worker/issuers/issuer_pair.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/secret.h"
#include "worker/issuers/issuer_http.h"

#define CERT_MAX 65536

/* Directly in the directory. */
static bool
lies_in(const char *dir, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(dir);

	while (len > 0 && dir[len - 1] == '/')
		len--;
	return slash && slash[1] != '\0' && slash[1] != '.' &&
	       (size_t)(slash - path) == len && strncmp(dir, path, len) == 0;
}

static rc
check_path(const struct issuer_env *env, struct arena *a, const char *path,
    const char **out_why)
{
	if (!env->client_dir || env->client_dir[0] == '\0') {
		*out_why = "this worker has no client certificates: set "
			   "CERTCTL_ISSUER_CLIENT_DIR to their directory";
		return RC_IO;
	}
	if (lies_in(env->client_dir, path))
		return RC_OK;
	*out_why = arena_printf(a,
	    "%s does not lie directly in CERTCTL_ISSUER_CLIENT_DIR (%s)", path,
	    env->client_dir);
	return RC_INVALID;
}

static void
end_client(void *arg)
{
	http_out_free(arg);
}

static rc
read_key(struct arena *a, const char *path, struct secret **out,
    const char **out_why)
{
	rc ret = secret_new_from_file(path, out);

	if (ret == RC_OK)
		return RC_OK;
	*out_why = arena_printf(a, "%s %s", path,
	    ret == RC_INVALID ? "can be read by others (chmod 600)"
			      : "can't be read, or is longer than 64 KiB");
	return RC_IO;
}

static rc
open_files(const struct issuer_env *env, struct arena *a, const char *cert_path,
    const char *key_path, struct http_out **out, const char **out_why)
{
	struct secret *key;
	char *cert;
	rc ret;

	ret = file_read(a, cert_path, CERT_MAX, &cert, NULL);
	if (ret != RC_OK) {
		*out_why =
		    arena_printf(a, "%s: %s", cert_path, strerror(errno));
		return RC_IO;
	}
	ret = read_key(a, key_path, &key, out_why);
	if (ret != RC_OK)
		return ret;
	ret = issuer_http_new_as(env->loop, env->cfg, cert, key, out);
	secret_free(key);
	if (ret == RC_OK)
		return RC_OK;
	*out_why =
	    arena_printf(a, "%s and %s are no certificate (PEM) and its key",
		cert_path, key_path);
	return RC_IO;
}

rc
issuer_pair_open(const struct issuer_env *env, struct arena *a,
    const char *cert_path, const char *key_path, const struct issuer_env **out,
    const char **out_why)
{
	struct issuer_env *own = arena_alloc(a, sizeof(*own));
	rc ret;

	ret = check_path(env, a, cert_path, out_why);
	if (ret == RC_OK)
		ret = check_path(env, a, key_path, out_why);
	if (ret != RC_OK)
		return ret;
	*own = *env;
	ret = open_files(env, a, cert_path, key_path, &own->http, out_why);
	if (ret != RC_OK)
		return ret;
	arena_defer(a, end_client, own->http);
	*out = own;
	return RC_OK;
}

/* --- other files --- */

rc
issuer_pair_read_key(const struct issuer_env *env, struct arena *a,
    const char *path, const char **out, const char **out_why)
{
	struct secret *key;
	rc ret;

	ret = check_path(env, a, path, out_why);
	if (ret == RC_OK)
		ret = read_key(a, path, &key, out_why);
	if (ret != RC_OK)
		return ret;
	*out =
	    arena_strndup(a, (const char *)secret_bytes(key), secret_len(key));
	secret_free(key);
	return RC_OK;
}

static rc
open_with(const struct issuer_env *env, struct arena *a,
    const struct http_out_opts *opts, const struct issuer_env **out,
    const char **out_why)
{
	struct issuer_env *own = arena_alloc(a, sizeof(*own));
	rc ret;

	*own = *env;
	ret = issuer_http_new_with(env->loop, env->cfg, opts, &own->http);
	if (ret != RC_OK) {
		*out_why = "its root is no certificate (PEM)";
		return RC_IO;
	}
	arena_defer(a, end_client, own->http);
	*out = own;
	return RC_OK;
}

rc
issuer_pair_trust_pem(const struct issuer_env *env, struct arena *a,
    const char *pem, const struct issuer_env **out, const char **out_why)
{
	return open_with(env, a, &(struct http_out_opts){.ca_pem = pem}, out,
	    out_why);
}

rc
issuer_pair_trust_anybody(const struct issuer_env *env, struct arena *a,
    const struct issuer_env **out, const char **out_why)
{
	return open_with(env, a, &(struct http_out_opts){.insecure = true}, out,
	    out_why);
}

rc
issuer_pair_trust_file(const struct issuer_env *env, struct arena *a,
    const char *path, const struct issuer_env **out, const char **out_why)
{
	char *pem;
	rc ret;

	ret = check_path(env, a, path, out_why);
	if (ret != RC_OK)
		return ret;
	ret = file_read(a, path, CERT_MAX, &pem, NULL);
	if (ret != RC_OK) {
		*out_why = arena_printf(a, "%s: %s", path, strerror(errno));
		return RC_IO;
	}
	ret = issuer_pair_trust_pem(env, a, pem, out, out_why);
	if (ret != RC_OK)
		*out_why = arena_printf(a, "%s has no certificate (PEM)", path);
	return ret;
}
