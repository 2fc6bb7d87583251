/*
 * fuzz_yamlread: YAML of anybody's.  As a body, what is taken is JSON within
 * its limits, and what is refused is refused with a reason; as an export of
 * cert-manager, what is found in it is whole, or it is said why there is
 * nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/import/cert_manager.h"
#include "cli/yaml_read.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

static void
as_body(struct arena *a, const char *data, size_t size)
{
	const struct cJSON *again = NULL;
	struct cJSON *v = NULL;
	const char *why = NULL, *text;

	if (yaml_read(a, data, size, &v, &why) != RC_OK) {
		must(v == NULL && why != NULL && why[0] != '\0');
		return;
	}
	must(v != NULL && why == NULL);
	text = json_text(a, v);
	/* The strict reader finds no fault with it. */
	must(json_parse(a, text, strlen(text), &again, &why) == RC_OK);
	must(strcmp(json_text(a, again), text) == 0);
	/* JSON is YAML, to this reader too. */
	v = NULL;
	if (strlen(text) <= YAML_BYTES_MAX &&
	    yaml_read(a, text, strlen(text), &v, &why) == RC_OK)
		must(strcmp(json_text(a, v), text) == 0);
}

static void
as_export(struct arena *a, const char *data, size_t size)
{
	struct import *im = arena_alloc(a, sizeof(*im));

	import_init(im, a);
	cert_manager_read(im, "export.yaml", data, size);
	for (const struct import_found *f = im->found; f; f = f->next)
		must(f->name[0] && f->stop && (f->nnames == 0 || f->names));
	must(im->nfound > 0 || im->nnotes > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const char *text = arena_strndup(a, (const char *)data, size);

	as_body(a, text, size);
	as_export(a, text, size);
	arena_free(a);
	return 0;
}
