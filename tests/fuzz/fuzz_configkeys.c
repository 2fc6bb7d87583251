/*
 * Configurations of issuers and targets, against a table with every type of
 * value: refused in a line of text, or nothing of it is unknown to the table,
 * or of another type than it says.
 *
 * Input: JSON.
 */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/handlers/config/configkeys.h"
#include "common/base/attr.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct configkey keys[] = {
    {"text", KEY_TEXT, .max = 8},
    {"int", KEY_INT, 1, 60},
    {"bool", KEY_BOOL},
    {"path", KEY_PATH},
    {"paths", KEY_PATHS},
    {"urls", KEY_URLS},
    {"command", KEY_COMMAND},
    {"account", KEY_ACCOUNT},
    {"host", KEY_HOST},
};

static void
must(bool claim)
{
	if (!claim)
		abort();
}

static bool
is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return true;
	return false;
}

static void
check_taken(const struct cJSON *config)
{
	const struct cJSON *item, *path = json_get(config, "path"),
				  *number = json_get(config, "int");

	cJSON_ArrayForEach(item, config)
	{
		must(is_known(item->string) || cJSON_IsNull(item) ||
		     (cJSON_IsString(item) && item->valuestring[0] == '\0'));
	}
	if (cJSON_IsString(path) && path->valuestring[0] != '\0')
		must(path->valuestring[0] == '/' &&
		     !strstr(path->valuestring, "/../"));
	if (cJSON_IsNumber(number))
		must(number->valuedouble >= 1 && number->valuedouble <= 60);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const struct cJSON *config;
	const char *why;
	rc ret;

	ret = json_parse(a, (const char *)data, size, &config, &why);
	if (ret == RC_OK && cJSON_IsObject(config)) {
		why = configkeys_check(a, keys, ARRAY_LEN(keys), config);
		if (why)
			must(enc_is_utf8(why, strlen(why)) &&
			     plain_is_line(why));
		else
			check_taken(config);
	}
	arena_free(a);
	return 0;
}
