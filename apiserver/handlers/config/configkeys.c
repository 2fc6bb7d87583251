#include "apiserver/handlers/config/configkeys.h"

#include <stdlib.h>

#include "apiserver/handlers/config/check.h"
#include "apiserver/resources/secretkey.h"

static const char *
value_check(struct arena *a, const struct cJSON *config,
    const struct configkey *k)
{
	switch (k->type) {
	case KEY_INT:
		return check_int(a, config, k->name, k->min, k->max);
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
	if (why == NULL)
		why = secretkey_refuse(a, config);
	return why == NULL ? check_known(a, config, known, n) : why;
}
