/*
 * Exports of cert-manager: any bytes as YAML, and what is found in them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/import/cert_manager.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct import *im = arena_alloc(a, sizeof(*im));

	import_init(im, a);
	cert_manager_read(im, "export.yaml",
	    arena_strndup(a, (const char *)data, size), size);
	for (const struct import_found *f = im->found; f; f = f->next) {
		if (!f->name[0] || !f->stop || (f->nnames > 0 && !f->names)) {
			fprintf(stderr, "fuzz_importyaml: not whole\n");
			abort();
		}
	}
	if (im->nfound == 0 && im->nnotes == 0) {
		fprintf(stderr, "fuzz_importyaml: nothing is said\n");
		abort();
	}
	arena_free(a);
	return 0;
}
