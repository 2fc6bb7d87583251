/*
 * The policy rules: what certificates should be.  The duty policy_scan holds
 * them against every certificate (migrations/code/23_policies.sql); where a
 * Critical one is broken, workers issue nothing.
 *
 * Each type has one key in its config, and another is refused by its name.
 */
#include "apiserver/handlers/config/nouns.h"

#include <cjson/cJSON.h>
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

/* --- the keys --- */

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

/* rule_types' own, for the field. */
static const char *const type_words[] = {"AllowedIssuers", "AllowedDomains",
    "RequiredMetadata", "AllowedEnvironments", "RenewalLeadTime",
    "CertificateLifetime", NULL};
static const char *const severity_words[] = {"Warning", "Error", "Critical",
    NULL};

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

static const char *
config_check(struct arena *a, const struct rule_type *t,
    const struct cJSON *config)
{
	const struct cJSON *item, *value = NULL;

	cJSON_ArrayForEach(item, config)
	{
		if (strcmp(item->string, t->key) != 0)
			return arena_printf(a,
			    "config.%s is not a key of %s: it has %s",
			    plain_is_line(item->string) ? item->string : "?",
			    t->type, t->key);
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

/* --- the whole --- */

/* Type and config belong together, of which an update may name one. */
static const char *
rule_check(struct op *op, const struct cJSON *body, bool is_create)
{
	const struct cJSON *config = json_get(body, "config");
	const char *type = is_create ? "" : op_text(op, 0, "type");
	const char *stored = is_create ? "{}" : op_text(op, 0, "config");
	const char *given = "", *why;
	const struct rule_type *t;
	rc ret;

	ret = json_str(body, "type", 64, &given);
	if (ret == RC_OK && given[0] != '\0')
		type = given;
	else if (!is_create && !cJSON_IsObject(config))
		return NULL;
	t = type_find(type);
	if (t == NULL)
		return NULL; /* told of by the field */
	if (!cJSON_IsObject(config)) {
		ret = json_parse(op_arena(op), stored, strlen(stored), &config,
		    &why);
		if (ret != RC_OK)
			return "config must be given with the type";
	}
	return config_check(op_arena(op), t, config);
}

static void
rule_warn(struct op *op, struct warnings *ws)
{
	bool is_critical = strcmp(op_text(op, 0, "severity"), "Critical") == 0;

	if (!op_bool(op, 0, "enabled"))
		warn_add(op, ws,
		    "enabled is false: no certificate is held against the "
		    "rule");
	else if (is_critical &&
		 strcmp(op_text(op, 0, "type"), "RenewalLeadTime") == 0)
		warn_add(op, ws,
		    "a late renewal is not stopped for being late: the rule is "
		    "told of and stops nothing");
	else if (is_critical)
		warn_add(op, ws,
		    "the rule is Critical: a certificate that breaks it is not "
		    "issued or renewed, and ends unless that is cured");
}

static const struct field rule_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"type", FIELD_TEXT, FIELD_REQUIRED, .max = 255, .words = type_words},
    {"config", FIELD_OBJECT, 0, .dflt = "{}"},
    {"enabled", FIELD_BOOL, 0, .dflt = "true"},
    /* Without one it is Warning, or what it was. */
    {"severity", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 50,
	.words = severity_words},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_rules = {
    .label = "Policy",
    .fields = rule_fields,
    .nfields = ARRAY_LEN(rule_fields),
    .filters = {"q", "type", "severity"},
    RESOURCE_STATEMENTS(POLICY_RULE),
    .duplicate = "A policy with this name already exists",
    .in_use = "Cannot delete policy: something still refers to it",
    .check_stored = rule_check,
    .warn = rule_warn,
};
