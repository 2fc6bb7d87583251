/*
 * fuzz_json: the strict reader and the writer, each judged by the other.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/base/enc.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool claim)
{
	if (!claim)
		abort();
}

/* What the writer makes of a string, the reader gives back unchanged. */
static void
check_string(struct arena *a, const char *text)
{
	const struct cJSON *again;
	const char *why;
	struct json_w w;
	struct buf b;

	must(enc_is_utf8(text, strlen(text)));
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_str(&w, text);
	must(json_parse(a, b.data, b.len, &again, &why) == RC_OK);
	must(strcmp(cJSON_GetStringValue(again), text) == 0);
	buf_fini(&b);
}

static void
check_value(struct arena *a, const struct cJSON *v, unsigned depth)
{
	const struct cJSON *item;

	must(depth <= 32);
	if (cJSON_IsString(v))
		check_string(a, v->valuestring);
	for (item = v->child; item != NULL; item = item->next) {
		/* without twins every member is found by its own name */
		if (cJSON_IsObject(v)) {
			must(json_get(v, item->string) == item);
			check_string(a, item->string);
		}
		check_value(a, item, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cJSON *v = NULL, *again = NULL;
	struct arena *a = arena_new();
	const char *why = NULL, *text;

	if (json_parse(a, (const char *)data, size, &v, &why) == RC_OK) {
		check_value(a, v, 0);
		text = json_text(a, v);
		must(json_parse(a, text, strlen(text), &again, &why) == RC_OK);
		must(strcmp(json_text(a, again), text) == 0);
	} else {
		must(v == NULL && why != NULL);
		must(strstr(why, " at byte ") != NULL);
	}
	arena_free(a);
	return 0;
}
