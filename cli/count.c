#include "cli/count.h"

#include <inttypes.h>
#include <string.h>

const char *
count_text(struct arena *a, const char *number, const char *one,
    const char *many)
{
	return arena_printf(a, "%s %s", number,
	    strcmp(number, "1") == 0 ? one : many);
}

const char *
count_of(struct arena *a, int64_t n, const char *one, const char *many)
{
	return arena_printf(a, "%" PRId64 " %s", n, n == 1 ? one : many);
}
