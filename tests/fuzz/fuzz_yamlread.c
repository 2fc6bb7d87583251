/*
 * fuzz_yamlread: YAML of anybody's; what is taken is JSON within its limits,
 * and what is refused is refused with a reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/yaml_read.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cJSON *again = NULL;
	struct arena *a = arena_new();
	struct cJSON *v = NULL;
	const char *why = NULL, *text;

	if (yaml_read(a, (const char *)data, size, &v, &why) == RC_OK) {
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
	} else {
		must(v == NULL && why != NULL && why[0] != '\0');
	}
	arena_free(a);
	return 0;
}
