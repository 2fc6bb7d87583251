/*
 * Metrics as a server tells them: any bytes.  A sample has a name, and its
 * labels are found by theirs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/top/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_sample(void *arg, const struct sample *s)
{
	(void)arg;
	if (!s->name[0] || s->nlabels > SAMPLES_LABELS) {
		fprintf(stderr, "fuzz_samples: no sample\n");
		abort();
	}
	for (size_t i = 0; i < s->nlabels; i++) {
		if (!s->labels[i].name[0] || !s->labels[i].value) {
			fprintf(stderr, "fuzz_samples: no label\n");
			abort();
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();

	samples_read(a, arena_strndup(a, (const char *)data, size), on_sample,
	    NULL);
	arena_free(a);
	return 0;
}
