/*
 * The deployment targets.  The agent gets the configuration as it is stored;
 * what it can't use is refused here, with a reason.
 */
#include "apiserver/handlers/config/nouns.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/handlers/config/check.h"
#include "apiserver/handlers/config/configkeys.h"
#include "apiserver/resources/fieldtext.h"
#include "common/base/attr.h"
#include "common/json/json.h"

static const char *
target_type(struct arena *a, const char *text, const char **out_why)
{
	static const char *const known[] = {"NGINX", "Apache", "HAProxy", "F5",
	    "IIS", "Traefik", "Caddy", "Envoy", "Postfix", "Dovecot", "SSH",
	    "WinCertStore", "JavaKeystore", "KubernetesSecrets", "AWSACM",
	    "AzureKeyVault"};
	const char *type = fieldtext_canonical(known, ARRAY_LEN(known), text);

	if (type == known[0])
		return type;
	if (type != NULL)
		*out_why = arena_printf(a,
		    "%s is not supported by this version; it deploys to NGINX "
		    "only",
		    type);
	else
		*out_why = "is an unsupported target type; use NGINX";
	return NULL;
}

/* An agent makes each path a link of its own. */
static const char *
distinct_check(struct arena *a, const struct cJSON *config, const char *one,
    const char *other)
{
	const struct cJSON *x = json_get(config, one);
	const struct cJSON *y = json_get(config, other);

	if (cJSON_IsString(x) && cJSON_IsString(y) && *x->valuestring != '\0' &&
	    strcmp(x->valuestring, y->valuestring) == 0)
		return arena_printf(a,
		    "config.%s and config.%s must be two files", one, other);
	return NULL;
}

/* An agent obeys the first of them only. */
static const char *
one_host_check(struct arena *a, const struct cJSON *config)
{
	static const char *const hosts[] = {"host", "hostname", "target",
	    "address"};
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		if (!check_has(config, hosts[i]))
			continue;
		if (first != NULL)
			return arena_printf(a,
			    "config.%s and config.%s say the same: give one",
			    first, hosts[i]);
		first = hosts[i];
	}
	return NULL;
}

static const char *
nginx_check(struct arena *a, const struct cJSON *config)
{
	const char *why = configkeys_check(a, "NGINX", config);

	if (why == NULL)
		why = distinct_check(a, config, "cert_path", "key_path");
	if (why == NULL)
		why = distinct_check(a, config, "cert_path", "chain_path");
	if (why == NULL)
		why = distinct_check(a, config, "key_path", "chain_path");
	return why == NULL ? one_host_check(a, config) : why;
}

static const struct field target_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"type", FIELD_TEXT, FIELD_REQUIRED, .max = 255, .convert = target_type},
    {"agent_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = 128},
    {"config", FIELD_CONFIG, FIELD_REQUIRED, .check = nginx_check},
    {"enabled", FIELD_BOOL, 0},
    {"last_tested_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"test_status", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"source", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"retired_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"retired_reason", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_targets = {
    .label = "Target",
    .fields = target_fields,
    .nfields = ARRAY_LEN(target_fields),
    .filters = {"q", "type", "agent_id"},
    .list = Q_TARGET_LIST,
    .total = Q_TARGET_TOTAL,
    .get = Q_TARGET_GET,
    .create = Q_TARGET_CREATE,
    .update = Q_TARGET_UPDATE,
    .remove = Q_TARGET_DELETE,
    .duplicate = "The agent has a target with this name already",
    .in_use = "Cannot delete target: certificates are still mapped to "
	      "this target",
    .taken = Q_TARGET_FILES_TAKEN,
    .refused = "referenced agent does not exist or is retired, or "
	       "certificates keep the target with its agent",
};
