#include "apiserver/handlers/config/configkeys.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/handlers/config/check.h"
#include "apiserver/resources/secretkey.h"
#include "common/json/json.h"

/* The words never repeat what was sent. */
static const char *
secret_check(struct arena *a, const struct cJSON *config,
    const struct configkey *k)
{
	const struct cJSON *item = json_get(config, k->name);

	if (!check_has(config, k->name))
		return NULL;
	if (!cJSON_IsString(item))
		return arena_printf(a, "config.%s must be a string", k->name);
	if (strlen(item->valuestring) > (size_t)k->max)
		return arena_printf(a, "config.%s must be %lld bytes or fewer",
		    k->name, (long long)k->max);
	return NULL;
}

/* Whether a secret of that name is kept: sealed, see issuers.c. */
static bool
is_kept(const struct configkey *keys, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (keys[i].type == KEY_SECRET &&
		    strcmp(keys[i].name, name) == 0)
			return true;
	}
	return false;
}

static const char *
value_check(struct arena *a, const struct cJSON *config,
    const struct configkey *k)
{
	switch (k->type) {
	case KEY_INT:
		return check_int(a, config, k->name, k->min, k->max);
	case KEY_BOOL:
		return check_bool(a, config, k->name);
	case KEY_PATH:
		return check_path(a, config, k->name, k->is_required);
	case KEY_PATHS:
		return check_paths(a, config, k->name);
	case KEY_URLS:
		return check_urls(a, config, k->name);
	case KEY_COMMAND:
		return check_command(a, config, k->name);
	case KEY_ACCOUNT:
		return check_account(a, config, k->name);
	case KEY_HOST:
		return check_host(a, config, k->name);
	case KEY_SECRET:
		return secret_check(a, config, k);
	case KEY_TEXT:
	default:
		return check_text(a, config, k->name, k->max);
	}
}

const char *
configkeys_check(struct arena *a, const struct configkey *keys, size_t n,
    const struct cJSON *config)
{
	const char *known[CONFIGKEYS_MAX], *why = NULL;
	const struct cJSON *item;

	if (n > CONFIGKEYS_MAX)
		abort();
	for (size_t i = 0; why == NULL && i < n; i++) {
		known[i] = keys[i].name;
		if (keys[i].is_required && !check_has(config, keys[i].name))
			why = arena_printf(a, "config.%s is required",
			    keys[i].name);
		else
			why = value_check(a, config, &keys[i]);
	}
	cJSON_ArrayForEach(item, config)
	{
		if (why == NULL && !is_kept(keys, n, item->string))
			why = secretkey_refuse(a, item);
	}
	return why == NULL ? check_known(a, config, known, n) : why;
}
