/*
 * Configurations of policy rules: refused in a line of text, or the one key of
 * the type, and in it what its rule goes by.
 *
 * Input: JSON, {"type", "config"}.
 */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/handlers/config/ruleconfig.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Longer would repeat what was sent. */
#define WHY_MAX 500

static void
must(bool claim)
{
	if (!claim)
		abort();
}

/* A list of one type, or a number; null where nothing need be said. */
static void
check_taken(const struct cJSON *config)
{
	const struct cJSON *value = config->child, *item;

	if (!value || cJSON_IsNull(value))
		return;
	must(value->next == NULL);
	if (cJSON_IsNumber(value)) {
		must(value->valuedouble >= 1 && value->valuedouble <= 3650 &&
		     value->valuedouble == (int)value->valuedouble);
		return;
	}
	must(cJSON_IsArray(value) && value->child);
	cJSON_ArrayForEach(item, value)
	{
		must(cJSON_IsString(item) && *item->valuestring != '\0' &&
		     plain_is_line(item->valuestring));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	const struct cJSON *body, *config;
	const char *type = "", *why;
	rc ret;

	ret = json_parse(a, (const char *)data, size, &body, &why);
	if (ret == RC_OK)
		ret = json_str(body, "type", 64, &type);
	config = ret == RC_OK ? json_get(body, "config") : NULL;
	if (cJSON_IsObject(config)) {
		why = ruleconfig_check(a, type, config);
		if (why)
			must(enc_is_utf8(why, strlen(why)) &&
			     plain_is_line(why) && strlen(why) <= WHY_MAX);
		else if (strcmp(type, "AllowedDomains") == 0 ||
			 strcmp(type, "CertificateLifetime") == 0)
			check_taken(config);
	}
	arena_free(a);
	return 0;
}
