#include "worker/issuers/issuer.h"

#include <string.h>

const struct issuer_ops *const issuers_outside[] = {
#define ISSUER(name) &issuer_##name,
#include "worker/issuers/issuers.def"
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
