/*
 * The policy rules: what certificates should be.  The duty policy_scan holds
 * them against every certificate (migrations/code/23_policies.sql); where a
 * Critical one is broken, workers issue nothing.
 */
#include "apiserver/handlers/config/nouns.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "apiserver/handlers/config/ruleconfig.h"
#include "common/base/attr.h"

/* ruleconfig's own, for the field. */
static const char *const type_words[] = {"AllowedIssuers", "AllowedDomains",
    "RequiredMetadata", "AllowedEnvironments", "RenewalLeadTime",
    "CertificateLifetime", NULL};
static const char *const severity_words[] = {"Warning", "Error", "Critical",
    NULL};

/* Type and config belong together, of which an update may name one. */
static const char *
rule_check(struct op *op, const struct cJSON *body, bool is_create)
{
	const struct cJSON *config = json_get(body, "config");
	const char *type = is_create ? "" : op_text(op, 0, "type");
	const char *stored = is_create ? "{}" : op_text(op, 0, "config");
	const char *given = "", *why;
	rc ret;

	ret = json_str(body, "type", 64, &given);
	if (ret == RC_OK && given[0] != '\0')
		type = given;
	else if (!is_create && !cJSON_IsObject(config))
		return NULL;
	if (!cJSON_IsObject(config)) {
		ret = json_parse(op_arena(op), stored, strlen(stored), &config,
		    &why);
		if (ret != RC_OK)
			return "config must be given with the type";
	}
	return ruleconfig_check(op_arena(op), type, config);
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
