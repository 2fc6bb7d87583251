/*
 * Queries of live events: any bytes behind "/events?".  A filter that is read
 * has kinds that there are, and values within bounds; one that is not says why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/handlers/events/events.h"
#include "common/base/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "fuzz_eventfilter: %s\n", what);
	abort();
}

static void
check_filter(const struct event_filter *f)
{
	check(f->kinds != 0 && f->kinds < 1U << EVENT_NKINDS, "kinds");
	for (size_t k = 0; k < EVENT_NKEYS; k++) {
		check(!f->values[k] == (f->n[k] == 0), "values");
		check(f->n[k] <= EVENT_VALUES_MAX, "too many");
		for (size_t i = 0; i < f->n[k]; i++)
			check(path_id_is_valid(f->values[k][i]), "no value");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const char *why = NULL;
	struct event_filter f;
	struct path p;
	rc ret;

	ret = path_parse(arena_printf(a, "/events?%.*s", (int)size,
			     (const char *)data),
	    &p);
	if (ret == RC_OK) {
		ret = event_filter_read(a, &p, &f, &why);
		if (ret == RC_OK)
			check_filter(&f);
		else
			check(ret == RC_INVALID && why && plain_is_line(why),
			    "no reason");
	}
	arena_free(a);
	return 0;
}
