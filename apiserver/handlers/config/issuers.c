/*
 * The issuers.  Creating one also queues the task by which a worker makes or
 * loads the CA and says whether it works (test_status).
 */
#include "apiserver/handlers/config/nouns.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/config/check.h"
#include "apiserver/handlers/config/configkeys.h"
#include "apiserver/handlers/config/issuer_secrets.h"
#include "common/base/attr.h"
#include "common/issuer/issuer_type.h"
#include "common/json/json.h"

static bool
is_supported(const struct issuer_type *t)
{
	return t->nkeys > 0;
}

/* "GenericCA, OpenSSL or ...": those that workers of this version run. */
static const char *
supported(struct arena *a, const char *last)
{
	const char *text = "", *next = NULL;

	for (const struct issuer_type *t = issuer_types; t->type; t++) {
		if (!is_supported(t))
			continue;
		if (next != NULL)
			text = arena_printf(a, "%s%s%s", text,
			    text[0] != '\0' ? ", " : "", next);
		next = t->type;
	}
	return arena_printf(a, "%s %s %s", text, last, next);
}

static const char *
issuer_type(struct arena *a, const char *text, const char **out_why)
{
	const struct issuer_type *t = issuer_type_of_word(text);

	if (t != NULL && is_supported(t))
		return t->type;
	if (t != NULL)
		*out_why = arena_printf(a,
		    "%s is not supported by this version; it issues with %s "
		    "only",
		    t->type, supported(a, "and"));
	else
		*out_why =
		    arena_printf(a, "is an unsupported issuer type; use %s",
			supported(a, "or"));
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
	const struct issuer_type *kind;

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
	kind = issuer_type_find(type);
	if (kind == NULL || !is_supported(kind)) /* of another version */
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
    .seal = issuer_secrets_seal,
    .changed = issuer_changed,
};
