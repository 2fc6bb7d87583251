#include "common/json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "common/base/enc.h"
#include "common/json/json_scan.h"

static void
json_dispose(void *p)
{
	cJSON_Delete(p);
}

rc
json_parse(struct arena *a, const char *text, size_t len,
    const struct cJSON **out, const char **out_why)
{
	cJSON *value;
	rc ret;

	ret = json_scan(a, text, len, out_why);
	if (ret != RC_OK)
		return ret;
	value = cJSON_ParseWithLength(text, len);
	if (value == NULL) {
		/* cJSON must take whatever the scanner takes */
		*out_why = "not understood as JSON";
		return RC_INVALID;
	}
	arena_defer(a, json_dispose, value);
	*out = value;
	return RC_OK;
}

const struct cJSON *
json_get(const struct cJSON *object, const char *name)
{
	const cJSON *item;

	if (!cJSON_IsObject(object))
		return NULL;
	/* ASCII case only, the same rule by which the scanner finds twins */
	for (item = object->child; item != NULL; item = item->next) {
		if (strcasecmp(item->string, name) == 0)
			return item;
	}
	return NULL;
}

/* The member unless absent or null. */
static const cJSON *
member(const cJSON *object, const char *name)
{
	const cJSON *item = json_get(object, name);

	return item == NULL || cJSON_IsNull(item) ? NULL : item;
}

rc
json_str(const struct cJSON *object, const char *name, size_t max,
    const char **out)
{
	const cJSON *item = member(object, name);

	if (item == NULL)
		return RC_NOT_FOUND;
	if (!cJSON_IsString(item) || strlen(item->valuestring) > max)
		return RC_INVALID;
	*out = item->valuestring;
	return RC_OK;
}

const struct cJSON *
json_get_exact(const struct cJSON *object, const char *name)
{
	const cJSON *item = json_get(object, name);

	return item != NULL && strcmp(item->string, name) == 0 ? item : NULL;
}

rc
json_str_exact(const struct cJSON *object, const char *name, size_t max,
    const char **out)
{
	const cJSON *item = json_get_exact(object, name);

	if (item == NULL)
		return RC_NOT_FOUND;
	if (!cJSON_IsString(item) || strlen(item->valuestring) > max)
		return RC_INVALID;
	*out = item->valuestring;
	return RC_OK;
}

rc
json_int(const struct cJSON *object, const char *name, int64_t min, int64_t max,
    int64_t *out)
{
	const cJSON *item = member(object, name);
	int64_t value;

	if (item == NULL)
		return RC_NOT_FOUND;
	/* The scanner let only magnitudes below 2^53 pass. */
	if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) < 0x1p53) ||
	    trunc(item->valuedouble) != item->valuedouble)
		return RC_INVALID;
	value = (int64_t)item->valuedouble;
	if (value < min || value > max)
		return RC_INVALID;
	*out = value;
	return RC_OK;
}

rc
json_bool(const struct cJSON *object, const char *name, bool *out)
{
	const cJSON *item = member(object, name);

	if (item == NULL)
		return RC_NOT_FOUND;
	if (!cJSON_IsBool(item))
		return RC_INVALID;
	*out = cJSON_IsTrue(item) != 0;
	return RC_OK;
}

rc
json_str_list(struct arena *a, const struct cJSON *object, const char *name,
    size_t max_items, size_t max, const char ***out, size_t *out_n)
{
	const cJSON *list = member(object, name);
	const cJSON *item;
	const char **strings;
	size_t n = 0;

	if (list == NULL)
		return RC_NOT_FOUND;
	if (!cJSON_IsArray(list))
		return RC_INVALID;
	for (item = list->child; item != NULL; item = item->next) {
		if (++n > max_items || !cJSON_IsString(item) ||
		    strlen(item->valuestring) > max)
			return RC_INVALID;
	}
	strings = arena_alloc(a, (n + 1) * sizeof(strings[0]));
	n = 0;
	for (item = list->child; item != NULL; item = item->next)
		strings[n++] = item->valuestring;
	*out = strings;
	*out_n = n;
	return RC_OK;
}

const char *
json_text(struct arena *a, const struct cJSON *value)
{
	char *text;
	char *copy;

	if (value == NULL)
		return "null";
	text = cJSON_PrintUnformatted(value);
	if (text == NULL)
		abort(); /* out of memory, as in mem.c */
	copy = arena_strdup(a, text);
	cJSON_free(text);
	return copy;
}
