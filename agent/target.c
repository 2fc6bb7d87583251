#include "agent/target.h"

#include <string.h>

#include "common/base/attr.h"

static const struct target_kind *const kinds[] = {
#define TARGET(name) &target_##name,
#include "agent/targets.def"
#undef TARGET
};

const struct target_kind *
target_find(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i]->type, type) == 0)
			return kinds[i];
	}
	return NULL;
}
