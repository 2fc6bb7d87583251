#include "worker/issuers/issuer.h"

#include <string.h>

#include "common/json/json.h"

const struct issuer_ops *const issuers_outside[] = {
#define ISSUER(name, type, words, keys) &issuer_##name,
#define LOCAL_ISSUER(name, type, words, keys)
#define FUTURE_ISSUER(type, words)
#include "common/issuer/issuers.def"
#undef ISSUER
    NULL,
};

const struct issuer_ops *
issuer_find(const struct issuer_ops *const *all, const char *type)
{
	for (; all && *all; all++)
		if (strcmp((*all)->type, type) == 0)
			return *all;
	return NULL;
}

rc
issuer_check(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const char **out_why)
{
	void *unused;

	if (ops->check)
		return ops->check(env, a, config, out_why);
	return ops->open(ops, env, a, config, NULL, &unused, out_why);
}

int64_t
issuer_poll_max_wait_s(const struct issuer_env *env, struct arena *a,
    const char *config)
{
	const struct cJSON *object;
	const char *why;
	int64_t own;

	/* What cannot be read is the connector's to complain of. */
	if (json_parse(a, config, strlen(config), &object, &why) == RC_OK &&
	    json_int(object, "poll_max_wait_seconds", 1, INT32_MAX, &own) ==
		RC_OK)
		return own;
	return env->poll_max_wait_s;
}
