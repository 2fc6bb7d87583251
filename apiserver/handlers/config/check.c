#include "apiserver/handlers/config/check.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/secretkey.h"
#include "common/base/hostname.h"
#include "common/base/plain.h"
#include "common/cfg/secretname.h"
#include "common/json/json.h"
#include "common/pki/cert/leaf_ext.h"

enum {
	MAX_PATH_BYTES = 1024,
	MAX_PATHS = 8,
	MAX_COMMAND_BYTES = 1024,
	MAX_ARGUMENTS = 31,
	MAX_ACCOUNT = 64
};

bool
check_has(const struct cJSON *config, const char *key)
{
	const struct cJSON *item = json_get(config, key);

	return item != NULL && !cJSON_IsNull(item) &&
	       !(cJSON_IsString(item) && item->valuestring[0] == '\0');
}

const char *
check_text(struct arena *a, const struct cJSON *config, const char *key,
    int64_t max)
{
	const struct cJSON *item = json_get(config, key);

	if (!check_has(config, key))
		return NULL;
	if (!cJSON_IsString(item) || !plain_is_line(item->valuestring))
		return arena_printf(a, "config.%s must be a string", key);
	if (!fieldtext_fits(item->valuestring, max))
		return arena_printf(a,
		    "config.%s must be %lld characters or fewer", key,
		    (long long)max);
	return NULL;
}

const char *
check_account(struct arena *a, const struct cJSON *config, const char *key)
{
	const char *why = check_text(a, config, key, MAX_ACCOUNT), *text;

	if (why != NULL || !check_has(config, key))
		return why;
	text = json_get(config, key)->valuestring;
	/* What no passwd(5) can hold, and what only looks like an option. */
	if (text[0] == '-' || strpbrk(text, " :/,") != NULL)
		return arena_printf(a,
		    "config.%s must be the name or number of one user or "
		    "group",
		    key);
	return NULL;
}

const char *
check_int(struct arena *a, const struct cJSON *config, const char *key,
    int64_t min, int64_t max)
{
	int64_t value;
	rc ret;

	ret = json_int(config, key, min, max, &value);
	if (ret == RC_INVALID)
		return arena_printf(a,
		    "config.%s must be a whole number from %lld to %lld", key,
		    (long long)min, (long long)max);
	return NULL;
}

const char *
check_bool(struct arena *a, const struct cJSON *config, const char *key)
{
	bool value;

	if (json_bool(config, key, &value) == RC_INVALID)
		return arena_printf(a, "config.%s must be true or false", key);
	return NULL;
}

const char *
check_host(struct arena *a, const struct cJSON *config, const char *key)
{
	const struct cJSON *item = json_get(config, key);

	if (!check_has(config, key))
		return NULL;
	if (!cJSON_IsString(item) ||
	    (!hostname_is_address(item->valuestring) &&
		!hostname_is_valid(item->valuestring, false)))
		return arena_printf(a,
		    "config.%s must be a host name or an IP address", key);
	return NULL;
}

/* The mask of a secret that was stored before: an update keeps it. */
static bool
is_kept_secret(const struct cJSON *item)
{
	return cJSON_IsString(item) && secretname_is(item->string) &&
	       strcmp(item->valuestring, SECRETKEY_MASK) == 0;
}

const char *
check_known(struct arena *a, const struct cJSON *config,
    const char *const *known, size_t n)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, config)
	{
		size_t i = 0;

		if (!check_has(config, item->string) || is_kept_secret(item))
			continue;
		while (i < n && strcmp(known[i], item->string) != 0)
			i++;
		if (i == n)
			return arena_printf(a,
			    "config.%s is not supported by this version",
			    fieldtext_shown(item->string));
	}
	return NULL;
}

/* One spelling a path, as agents and workers ask for it. */
static bool
is_spelt_oddly(const char *path)
{
	size_t len = strlen(path);

	return strstr(path, "//") != NULL || strstr(path, "/./") != NULL ||
	       strstr(path, "/../") != NULL ||
	       (len >= 2 && strcmp(path + len - 2, "/.") == 0) ||
	       (len >= 3 && strcmp(path + len - 3, "/..") == 0);
}

static bool
is_path(const struct cJSON *item)
{
	const char *path = cJSON_IsString(item) ? item->valuestring : "";

	return path[0] == '/' && path[strlen(path) - 1] != '/' &&
	       !is_spelt_oddly(path) && strlen(path) <= MAX_PATH_BYTES &&
	       plain_is_line(path);
}

const char *
check_paths(struct arena *a, const struct cJSON *config, const char *key)
{
	const struct cJSON *list = json_get(config, key), *item;

	if (!check_has(config, key))
		return NULL;
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > MAX_PATHS)
		return arena_printf(a,
		    "config.%s must be an array of at most %d paths", key,
		    MAX_PATHS);
	cJSON_ArrayForEach(item, list)
	{
		if (!is_path(item))
			return arena_printf(a,
			    "config.%s must hold absolute paths of files, "
			    "without //, . or ..",
			    key);
	}
	return NULL;
}

const char *
check_path(struct arena *a, const struct cJSON *config, const char *key,
    bool is_required)
{
	if (!check_has(config, key))
		return is_required
			   ? arena_printf(a, "config.%s is required", key)
			   : NULL;
	if (!is_path(json_get(config, key)))
		return arena_printf(a,
		    "config.%s must be the absolute path of a file, without "
		    "//, . or ..",
		    key);
	return NULL;
}

static const char *
check_arguments(struct arena *a, const struct cJSON *list, const char *key)
{
	const struct cJSON *item;
	size_t bytes = 0;
	int n = cJSON_GetArraySize(list);

	if (n < 1 || n > MAX_ARGUMENTS)
		return arena_printf(a, "config.%s must have 1 to %d arguments",
		    key, MAX_ARGUMENTS);
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsString(item) || item->valuestring[0] == '\0' ||
		    !plain_is_line(item->valuestring))
			return arena_printf(a,
			    "config.%s must be an array of arguments", key);
		bytes += strlen(item->valuestring) + 1;
	}
	if (bytes > MAX_COMMAND_BYTES)
		return arena_printf(a, "config.%s is too long", key);
	return NULL;
}

const char *
check_command(struct arena *a, const struct cJSON *config, const char *key)
{
	const struct cJSON *item = json_get(config, key);
	const char *text;

	if (!check_has(config, key))
		return NULL;
	if (cJSON_IsArray(item))
		return check_arguments(a, item, key);
	if (!cJSON_IsString(item))
		return arena_printf(a,
		    "config.%s must be a string or an array of arguments", key);
	text = item->valuestring;
	if (strlen(text) > MAX_COMMAND_BYTES)
		return arena_printf(a, "config.%s is too long", key);
	if (strpbrk(text, ";|&$(){}<>\\\"'`") != NULL || !plain_is_line(text))
		return arena_printf(a,
		    "config.%s must not contain shell characters: no shell "
		    "runs it; give an array of arguments instead",
		    key);
	if (strspn(text, " ") == strlen(text))
		return arena_printf(a, "config.%s is empty", key);
	return NULL;
}

static bool
is_url(const char *text)
{
	const char *rest;

	if (strncasecmp(text, "http://", 7) == 0)
		rest = text + 7;
	else if (strncasecmp(text, "https://", 8) == 0)
		rest = text + 8;
	else
		return false;
	if (rest[0] == '\0' || rest[0] == '/' ||
	    strlen(text) > LEAF_CRL_URL_MAX)
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7F ||
		    strchr("\"<>\\^`{|}", *p) != NULL)
			return false;
	}
	return true;
}

const char *
check_urls(struct arena *a, const struct cJSON *config, const char *key)
{
	const struct cJSON *item = json_get(config, key);
	const struct cJSON *url;

	if (!check_has(config, key))
		return NULL;
	if (!cJSON_IsArray(item) ||
	    cJSON_GetArraySize(item) > LEAF_CRL_URLS_MAX)
		return arena_printf(a,
		    "config.%s must be an array of at most %d addresses", key,
		    LEAF_CRL_URLS_MAX);
	cJSON_ArrayForEach(url, item)
	{
		if (!cJSON_IsString(url) || !is_url(url->valuestring))
			return arena_printf(a,
			    "config.%s must hold http:// or https:// addresses "
			    "of %d bytes or fewer",
			    key, LEAF_CRL_URL_MAX);
	}
	return NULL;
}
