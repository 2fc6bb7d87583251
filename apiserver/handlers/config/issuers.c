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

/* Every spelling that clients send; the types that no worker of this version
 * can run are known, so that the refusal can say so. */
static const struct issuer_word {
	const char *word, *type;
	bool is_supported;
} issuer_words[] = {
    {"genericca", "GenericCA", true},
    {"local", "GenericCA", true},
    {"local_ca", "GenericCA", true},
    {"local-ca", "GenericCA", true},
    {"acme", "ACME", false},
    {"stepca", "StepCA", false},
    {"step-ca", "StepCA", false},
    {"openssl", "OpenSSL", true},
    {"vaultpki", "VaultPKI", false},
    {"vault", "VaultPKI", false},
    {"digicert", "DigiCert", false},
    {"sectigo", "Sectigo", false},
    {"googlecas", "GoogleCAS", false},
    {"awsacmpca", "AWSACMPCA", false},
    {"entrust", "Entrust", false},
    {"globalsign", "GlobalSign", false},
    {"ejbca", "EJBCA", false},
};

static const char *
issuer_type(struct arena *a, const char *text, const char **out_why)
{
	for (size_t i = 0; i < ARRAY_LEN(issuer_words); i++) {
		if (strcasecmp(text, issuer_words[i].word) != 0)
			continue;
		if (issuer_words[i].is_supported)
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
	why = configkeys_check(a, type, config);
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
    .list = Q_ISSUER_LIST,
    .total = Q_ISSUER_TOTAL,
    .get = Q_ISSUER_GET,
    .create = Q_ISSUER_CREATE,
    .update = Q_ISSUER_UPDATE,
    .remove = Q_ISSUER_DELETE,
    .duplicate = "An issuer with this name already exists",
    .in_use = "Cannot delete issuer: certificates are still using this "
	      "issuer, or its CA key is kept; disable it instead",
    .check = issuer_check,
    .changed = issuer_changed,
};
