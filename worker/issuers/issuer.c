#include "worker/issuers/issuer.h"

#include <string.h>

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
