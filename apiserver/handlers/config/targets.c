/*
 * The deployment targets.  The agent gets the configuration as it is stored;
 * what it can't use is refused here, with a reason.
 */
#include "apiserver/handlers/config/nouns.h"

#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "apiserver/handlers/config/check.h"
#include "apiserver/handlers/config/configkeys.h"
#include "common/base/attr.h"
#include "common/json/json.h"

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
	const char *why = distinct_check(a, config, "cert_path", "key_path");

	if (why == NULL)
		why = distinct_check(a, config, "cert_path", "chain_path");
	if (why == NULL)
		why = distinct_check(a, config, "key_path", "chain_path");
	return why == NULL ? one_host_check(a, config) : why;
}

static const struct configkey nginx_keys[] = {
    {"cert_path", KEY_PATH, .is_required = true},
    {"key_path", KEY_PATH, .is_required = true},
    {"chain_path", KEY_PATH},
    {"cert_file_mode", KEY_INT, 0400, 0777},
    {"chain_file_mode", KEY_INT, 0400, 0777},
    {"key_file_mode", KEY_INT, 0400, 0777},
    {"cert_file_owner", KEY_ACCOUNT},
    {"chain_file_owner", KEY_ACCOUNT},
    {"key_file_owner", KEY_ACCOUNT},
    {"cert_file_group", KEY_ACCOUNT},
    {"chain_file_group", KEY_ACCOUNT},
    {"key_file_group", KEY_ACCOUNT},
    {"validate_command", KEY_COMMAND},
    {"reload_command", KEY_COMMAND},
    {"host", KEY_HOST},
    {"hostname", KEY_HOST},
    {"target", KEY_HOST},
    {"address", KEY_HOST},
    {"server_name", KEY_HOST},
    {"port", KEY_INT, 1, 65535},
};

/* Every type that clients send; those that no agent of this version deploys to
 * have no keys, and are known so that the refusal can say so. */
static const struct target_kind {
	const char *type;
	const struct configkey *keys;
	size_t nkeys;
	/* What the keys can't say of each other: NULL, or why not. */
	const char *(*check)(struct arena *a, const struct cJSON *config);
} target_kinds[] = {
    {"NGINX", nginx_keys, ARRAY_LEN(nginx_keys), nginx_check},
    {.type = "Apache"},
    {.type = "HAProxy"},
    {.type = "F5"},
    {.type = "IIS"},
    {.type = "Traefik"},
    {.type = "Caddy"},
    {.type = "Envoy"},
    {.type = "Postfix"},
    {.type = "Dovecot"},
    {.type = "SSH"},
    {.type = "WinCertStore"},
    {.type = "JavaKeystore"},
    {.type = "KubernetesSecrets"},
    {.type = "AWSACM"},
    {.type = "AzureKeyVault"},
};

static const struct target_kind *
target_kind(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(target_kinds); i++) {
		if (strcasecmp(text, target_kinds[i].type) == 0)
			return &target_kinds[i];
	}
	return NULL;
}

/* "NGINX, Apache", in the arena. */
static const char *
supported(struct arena *a)
{
	const char *list = NULL;

	for (size_t i = 0; i < ARRAY_LEN(target_kinds); i++) {
		if (target_kinds[i].keys == NULL)
			continue;
		list = list == NULL ? target_kinds[i].type
				    : arena_printf(a, "%s, %s", list,
					  target_kinds[i].type);
	}
	return list;
}

static const char *
target_type(struct arena *a, const char *text, const char **out_why)
{
	const struct target_kind *kind = target_kind(text);

	if (kind != NULL && kind->keys != NULL)
		return kind->type;
	if (kind != NULL)
		*out_why = arena_printf(a,
		    "%s is not supported by this version; it deploys to %s "
		    "only",
		    kind->type, supported(a));
	else
		*out_why = arena_printf(a,
		    "is an unsupported target type; use %s", supported(a));
	return NULL;
}

/* The stored type decides, for an update can't change it. */
static const char *
target_check(struct arena *a, const struct cJSON *body, const char *stored_type)
{
	const struct cJSON *config = json_get(body, "config");
	const char *type = stored_type, *text = "", *why = NULL;
	const struct target_kind *kind;

	if (json_str(body, "type", 255, &text) == RC_OK && text[0] != '\0')
		type = target_type(a, text, &why);
	if (type == NULL)
		return NULL; /* told of by the field */
	if (stored_type != NULL && strcmp(type, stored_type) != 0)
		return arena_printf(a,
		    "type is %s and can't be changed: make another target",
		    stored_type);
	if (stored_type != NULL && !cJSON_IsObject(config))
		return NULL;
	kind = target_kind(type);
	if (kind == NULL || kind->keys == NULL) /* stored by another version */
		return arena_printf(a, "%s is not supported by this version",
		    type);
	why = configkeys_check(a, kind->keys, kind->nkeys, config);
	return why == NULL ? kind->check(a, config) : why;
}

#define SEEN FIELD_READ_ONLY | FIELD_OMIT_EMPTY

static const struct field target_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"type", FIELD_TEXT, FIELD_REQUIRED, .max = 255, .convert = target_type},
    {"agent_id", FIELD_TEXT, FIELD_REQUIRED | FIELD_ID, .max = 128},
    {"config", FIELD_CONFIG, FIELD_REQUIRED},
    {"enabled", FIELD_BOOL, 0},
    {"last_tested_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"test_status", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"source", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"retired_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"retired_reason", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
    /* As its agent saw it last. */
    {"served_serial_number", FIELD_TEXT, SEEN},
    {"served_fingerprint_sha256", FIELD_TEXT, SEEN},
    {"served_issuer_dn", FIELD_TEXT, SEEN},
    {"served_not_after", FIELD_TIME, SEEN},
    {"served_since", FIELD_TIME, SEEN},
    {"served_by", FIELD_TEXT, SEEN},
    {"served_error", FIELD_TEXT, SEEN},
};

const struct resource resource_targets = {
    .label = "Target",
    .fields = target_fields,
    .nfields = ARRAY_LEN(target_fields),
    .filters = {"q", "type", "agent_id"},
    .whole = RESOURCE_WHOLE,
    RESOURCE_STATEMENTS(TARGET),
    .duplicate = "The agent has a target with this name already",
    .in_use = "Cannot delete target: certificates are still mapped to "
	      "this target",
    .taken = Q_TARGET_FILES_TAKEN,
    .refused = "referenced agent does not exist or is retired, or "
	       "certificates keep the target with its agent",
    .check = target_check,
};
