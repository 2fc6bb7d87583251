#include "worker/issuers/issuer.h"

#include <string.h>

#include "common/base/attr.h"
#include "common/cfg/cfg.h"
#include "common/issuer/issuer_type.h"
#include "common/json/json.h"

#define LOCAL_ISSUER(name, type, words, keys)

const struct issuer_ops *const issuers_outside[] = {
#define ISSUER(name, type, words, keys) &issuer_##name,
#include "common/issuer/issuers.def"
#undef ISSUER
    NULL,
};

static const char *const max_wait_keys[] = {
#define ISSUER(name, type, words, keys) #name "_poll_max_wait_seconds",
#include "common/issuer/issuers.def"
#undef ISSUER
};
_Static_assert(ARRAY_LEN(max_wait_keys) <= ISSUER_TYPES_MAX,
    "a place for every type");
#undef LOCAL_ISSUER

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

/* Others issue at once, and an order of theirs is never waited for. */
static bool
has_max_wait(const char *type)
{
	const struct issuer_type *t = issuer_type_find(type);

	for (size_t i = 0; t && i < t->nkeys; i++)
		if (strcmp(t->keys[i].name, "poll_max_wait_seconds") == 0)
			return true;
	return false;
}

void
issuer_max_waits_read(const struct cfg *cfg, struct issuer_max_waits *out)
{
	*out = (struct issuer_max_waits){
	    .any_s = cfg_int(cfg, "async_poll_max_wait_seconds"),
	};
	for (size_t i = 0; i < ARRAY_LEN(max_wait_keys); i++)
		if (has_max_wait(issuers_outside[i]->type))
			out->by_type_s[i] = cfg_int(cfg, max_wait_keys[i]);
}

int64_t
issuer_poll_max_wait_s(const struct issuer_env *env, struct arena *a,
    const char *type, const char *config)
{
	const struct issuer_max_waits *waits = &env->max_waits;
	const struct cJSON *object;
	const char *why;
	int64_t own;

	/* What cannot be read is the connector's to complain of. */
	if (json_parse(a, config, strlen(config), &object, &why) == RC_OK &&
	    json_int(object, "poll_max_wait_seconds", 1, INT32_MAX, &own) ==
		RC_OK)
		return own;
	for (size_t i = 0; issuers_outside[i]; i++)
		if (strcmp(issuers_outside[i]->type, type) == 0 &&
		    waits->by_type_s[i] > 0)
			return waits->by_type_s[i];
	return waits->any_s;
}
