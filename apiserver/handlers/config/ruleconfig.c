#include "apiserver/handlers/config/ruleconfig.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "apiserver/handlers/config/check.h"
#include "apiserver/resources/fieldtext.h"
#include "common/base/attr.h"
#include "common/base/hostname.h"
#include "common/base/plain.h"

enum { MAX_ITEMS = 200, MAX_ENVIRONMENT = 50, MAX_KEY = 255 };

/* NULL, or what each of a list must be. */
typedef const char *item_check(const char *text);

struct rule_type {
	const char *type, *key;
	item_check *item; /* NULL: a number of days */
	int64_t max_days;
	bool is_optional;
};

static const char *
issuer_check(const char *text)
{
	return fieldtext_is_id(text) ? NULL : "ids of issuers";
}

static const char *
domain_check(const char *text)
{
	if (hostname_is_valid(text, true) || hostname_is_address(text))
		return NULL;
	return "host names, as example.com or *.example.com for one label "
	       "below it, or addresses";
}

static const char *
key_check(const char *text)
{
	if (plain_is_line(text) && !plain_is_blank(text) &&
	    fieldtext_fits(text, MAX_KEY))
		return NULL;
	return "keys of tags, of 255 characters or fewer";
}

static const char *
environment_check(const char *text)
{
	if (plain_is_line(text) && !plain_is_blank(text) &&
	    fieldtext_fits(text, MAX_ENVIRONMENT))
		return NULL;
	return "environments, of 50 characters or fewer";
}

static const struct rule_type rule_types[] = {
    {"AllowedIssuers", "allowed_issuer_ids", issuer_check},
    {"AllowedDomains", "allowed_domains", domain_check},
    {"RequiredMetadata", "required_keys", key_check},
    {"AllowedEnvironments", "allowed", environment_check},
    {"RenewalLeadTime", "lead_time_days", NULL, 365, .is_optional = true},
    {"CertificateLifetime", "max_days", NULL, 3650},
};

static const struct rule_type *
type_find(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(rule_types); i++)
		if (strcasecmp(text, rule_types[i].type) == 0)
			return &rule_types[i];
	return NULL;
}

static const char *
list_check(struct arena *a, const struct rule_type *t, const struct cJSON *list)
{
	const struct cJSON *item;
	const char *must;
	int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;

	if (n < 1 || n > MAX_ITEMS)
		return arena_printf(a,
		    "config.%s must be an array of 1 to %d strings", t->key,
		    MAX_ITEMS);
	cJSON_ArrayForEach(item, list)
	{
		must = cJSON_IsString(item) ? t->item(item->valuestring)
					    : "strings";
		if (must != NULL)
			return arena_printf(a, "config.%s must hold %s", t->key,
			    must);
	}
	return NULL;
}

const char *
ruleconfig_check(struct arena *a, const char *type, const struct cJSON *config)
{
	const struct rule_type *t = type_find(type);
	const struct cJSON *item, *value = NULL;

	if (t == NULL)
		return NULL;
	cJSON_ArrayForEach(item, config)
	{
		if (strcmp(item->string, t->key) != 0)
			return arena_printf(a,
			    "config.%s is not a key of %s: it has %s",
			    fieldtext_shown(item->string), t->type, t->key);
		value = item;
	}
	if (value == NULL || cJSON_IsNull(value))
		return t->is_optional
			   ? NULL
			   : arena_printf(a, "config.%s is required by %s",
				 t->key, t->type);
	if (t->item == NULL)
		return check_int(a, config, t->key, 1, t->max_days);
	return list_check(a, t, value);
}
