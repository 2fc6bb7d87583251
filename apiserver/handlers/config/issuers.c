/*
 * The issuers.  Creating one also queues the task by which a worker makes or
 * loads the CA and says whether it works (test_status).
 */
#include "apiserver/handlers/config/nouns.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/config/check.h"
#include "apiserver/handlers/config/configkeys.h"
#include "common/base/attr.h"
#include "common/json/json.h"
#include "common/policy/policy.h"

static const struct configkey local_keys[] = {
    {"ca_common_name", KEY_TEXT, .max = 64},
    {"validity_days", KEY_INT, 1, 3650},
    {"validity_seconds", KEY_INT, POLICY_LIFE_LEAST, 315360000},
    {"ca_cert_path", KEY_PATH},
    {"ca_key_path", KEY_PATH},
    {"former_key_paths", KEY_PATHS},
    {"crl_distribution_point_urls", KEY_URLS},
    {"ocsp_responder_urls", KEY_URLS},
};

static const struct configkey openssl_keys[] = {
    {"sign_script", KEY_PATH, .is_required = true},
    {"revoke_script", KEY_PATH},
    {"crl_script", KEY_PATH},
    {"lookup_script", KEY_PATH},
    {"timeout_seconds", KEY_INT, 1, 600},
    {"poll_max_wait_seconds", KEY_INT, 0, 2592000},
};

/* The types that workers of this version run. */
static const struct issuer_kind {
	const char *type;
	const struct configkey *keys;
	size_t nkeys;
} issuer_kinds[] = {
    {"GenericCA", local_keys, ARRAY_LEN(local_keys)},
    {"OpenSSL", openssl_keys, ARRAY_LEN(openssl_keys)},
};

/* Every spelling that clients send; the types that no worker of this version
 * can run are known, so that the refusal can say so. */
static const struct issuer_word {
	const char *word, *type;
} issuer_words[] = {
    {"genericca", "GenericCA"},
    {"local", "GenericCA"},
    {"local_ca", "GenericCA"},
    {"local-ca", "GenericCA"},
    {"acme", "ACME"},
    {"stepca", "StepCA"},
    {"step-ca", "StepCA"},
    {"openssl", "OpenSSL"},
    {"vaultpki", "VaultPKI"},
    {"vault", "VaultPKI"},
    {"digicert", "DigiCert"},
    {"sectigo", "Sectigo"},
    {"googlecas", "GoogleCAS"},
    {"awsacmpca", "AWSACMPCA"},
    {"entrust", "Entrust"},
    {"globalsign", "GlobalSign"},
    {"ejbca", "EJBCA"},
};

static const struct issuer_kind *
issuer_kind(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(issuer_kinds); i++) {
		if (strcmp(issuer_kinds[i].type, type) == 0)
			return &issuer_kinds[i];
	}
	return NULL;
}

static const char *
issuer_type(struct arena *a, const char *text, const char **out_why)
{
	for (size_t i = 0; i < ARRAY_LEN(issuer_words); i++) {
		if (strcasecmp(text, issuer_words[i].word) != 0)
			continue;
		if (issuer_kind(issuer_words[i].type) != NULL)
			return issuer_words[i].type;
		*out_why = arena_printf(a,
		    "%s is not supported by this version; it issues with "
		    "GenericCA and OpenSSL only",
		    issuer_words[i].type);
		return NULL;
	}
	*out_why = "is an unsupported issuer type; use GenericCA or OpenSSL";
	return NULL;
}

/*
 * The stored type decides, for an update can't change it.  A worker's script
 * directory is not looked at here: whether a script may run, the workers
 * decide, see CERTCTL_SCRIPT_ISSUER_DIR.
 */
static const char *
issuer_check(struct arena *a, const struct cJSON *body, const char *stored_type)
{
	const struct cJSON *config = json_get(body, "config");
	const char *type = stored_type, *text = "", *why = NULL;
	const struct issuer_kind *kind;

	if (json_str(body, "type", 255, &text) == RC_OK && text[0] != '\0')
		type = issuer_type(a, text, &why);
	if (type == NULL)
		return NULL; /* told of by the field */
	if (stored_type != NULL && strcmp(type, stored_type) != 0)
		return arena_printf(a,
		    "type is %s and can't be changed: make another issuer",
		    stored_type);
	if (stored_type != NULL && !cJSON_IsObject(config))
		return NULL;
	kind = issuer_kind(type);
	if (kind == NULL) /* stored by another version */
		return arena_printf(a, "%s is not supported by this version",
		    type);
	why = configkeys_check(a, kind->keys, kind->nkeys, config);
	if (why == NULL && check_has(config, "ca_cert_path") !=
			       check_has(config, "ca_key_path"))
		why = "config.ca_cert_path and config.ca_key_path go together: "
		      "give both or neither";
	return why;
}

static const struct field issuer_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"type", FIELD_TEXT, FIELD_REQUIRED, .max = 255, .convert = issuer_type},
    {"config", FIELD_CONFIG, 0, .dflt = "{}"},
    {"enabled", FIELD_BOOL, 0},
    {"last_tested_at", FIELD_TIME, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"test_status", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"source", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"hierarchy_mode", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

/* The task of the CA waits; the scheduler looks by itself, but soon is nice. */
static void
issuer_changed(struct op *op, const char *id)
{
	const char *issuers[] = {id, NULL};

	req_hint(op, 1, issuers, NULL);
}

const struct resource resource_issuers = {
    .label = "Issuer",
    .fields = issuer_fields,
    .nfields = ARRAY_LEN(issuer_fields),
    .filters = {"q", "type"},
    .whole = RESOURCE_WHOLE,
    RESOURCE_STATEMENTS(ISSUER),
    .duplicate = "An issuer with this name already exists",
    .in_use = "Cannot delete issuer: certificates are still using this "
	      "issuer, or CAs below it; disable it instead",
    .check = issuer_check,
    .changed = issuer_changed,
};
