/*
 * POST /issuers/{id}/intermediates: registers the root of an issuer's
 * hierarchy, or has a worker make a CA below one that is there.
 *
 * What can be said of the body alone is said here; the rest (the key of a
 * root, path lengths and name constraints beside those above) by the worker,
 * whose word is waited for.  The same request again while that is so is the
 * same request.
 */
#include <openssl/x509v3.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "apiserver/edge/outcome.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/pki/intermediates.h"
#include "apiserver/resources/fieldtext.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"
#include "common/base/attr.h"
#include "common/base/clock.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/subca.h"
#include "common/policy/policy.h"

#define FIRST_LOOK_MS 25
#define LOOK_MS 400
/* One that is started again is back by then. */
#define NO_WORKER_MS 1000
#define TTL_DAYS_MAX 36500
#define PEM_MAX 16384
#define DRIVER_MAX 1024
#define URL_MAX 1024

struct create {
	const char *id;
	int64_t asked_ms, pause_ms;
	bool is_late; /* of the last look: nothing came of it, wait no longer */
};

static op_step create_asked;
static op_step create_look;
static op_step create_found;
static op_step create_refused;

/* --- the body --- */

static const char *
check_subject(struct arena *a, const struct cJSON *subject)
{
	return subca_refuse_subject(a, subject);
}

static const char *
check_constraints(struct arena *a, const struct cJSON *list)
{
	struct constraints nc;
	const char *why = NULL;
	rc ret;

	ret = constraints_read(a, list, &nc, &why);
	return ret == RC_OK ? NULL : why;
}

static const char *
check_url(struct arena *a, const char *text, const char **out_why)
{
	(void)a;
	if (strncmp(text, "http://", 7) == 0 && text[7] != '\0' &&
	    !strpbrk(text, " \"<>\\^`{|}")) {
		size_t i = 0;

		while (text[i] > 0x20 && text[i] < 0x7f)
			i++;
		if (text[i] == '\0')
			return text;
	}
	*out_why = "must be an http:// address: clients ask it in the clear, "
		   "for what comes back is signed";
	return NULL;
}

static const struct field create_body[] = {
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"parent_ca_id", FIELD_TEXT, FIELD_ID | FIELD_EMPTY_ABSENT, .max = 128},
    {"root_cert_pem", FIELD_TEXT, FIELD_MULTILINE | FIELD_EMPTY_ABSENT,
	.max = PEM_MAX},
    {"key_driver_id", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = DRIVER_MAX},
    {"subject", FIELD_OBJECT, 0, .check = check_subject},
    {"algorithm", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 32,
	.words = subca_algorithms},
    {"ttl_days", FIELD_INT, FIELD_ZERO_DEFAULT, 1, TTL_DAYS_MAX},
    {"path_len_constraint", FIELD_INT, 0, 0, SUBCA_PATH_MAX},
    {"name_constraints", FIELD_OBJECTS, 0, .max_items = CONSTRAINTS_MAX,
	.check = check_constraints},
    {"ocsp_responder_url", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = URL_MAX,
	.convert = check_url},
    {"metadata", FIELD_TAGS, 0, .max = 1000},
};

/* The first of names that the body has and a CA of that kind has not. */
static const char *
find_surplus(struct arena *a, const struct cJSON *body,
    const char *const *names, const char *why)
{
	for (; *names; names++) {
		if (json_get(body, *names))
			return arena_printf(a, "%s %s", *names, why);
	}
	return NULL;
}

/* NULL, or why not; *key_id is of the certificate. */
static const char *
check_root(struct arena *a, const struct cJSON *body, char key_id[65])
{
	static const char *const of_others[] = {"subject", "algorithm",
	    "ttl_days", "path_len_constraint", "name_constraints",
	    "ocsp_responder_url", NULL};
	const char *pem = "", *driver = "", *why;
	X509 *x;
	rc ret;

	if (json_str(body, "root_cert_pem", PEM_MAX, &pem) != RC_OK)
		return "root_cert_pem is required, or parent_ca_id for a CA "
		       "below another";
	if (json_str(body, "key_driver_id", DRIVER_MAX, &driver) != RC_OK)
		return "key_driver_id is required: where the workers find the "
		       "root's key";
	if (strcmp(driver, "issuer") != 0 && driver[0] != '/')
		return "key_driver_id must be \"issuer\", for the key of this "
		       "issuer's own root, or the absolute path of a file on "
		       "the workers' hosts";
	why = find_surplus(a, body, of_others,
	    "is not taken for a root: its certificate says what it is");
	if (why)
		return why;
	ret = cert_from_pem(pem, strlen(pem), &x);
	if (ret != RC_OK)
		return "root_cert_pem is not a certificate in PEM";
	ret = cert_key_id(x, key_id);
	if (ret == RC_OK && X509_check_ca(x) != 1)
		ret = RC_INVALID;
	X509_free(x);
	return ret == RC_OK ? NULL : "root_cert_pem is not a CA certificate";
}

static const char *
check_child(struct arena *a, const struct cJSON *body)
{
	static const char *const of_roots[] = {"root_cert_pem", "key_driver_id",
	    NULL};

	if (!json_get(body, "subject"))
		return "subject is required, with a common_name";
	return find_surplus(a, body, of_roots,
	    "is not taken for a CA below another: the workers make it");
}

/* What is asked for, as it is kept. */
static rc
read_body(struct op *op, const char **out, const char **out_why)
{
	struct arena *a = op_arena(op);
	const struct cJSON *body, *checked;
	const char *text, *why;
	char key_id[65] = "";
	rc ret;

	ret = req_json(op, false, &body, out_why);
	if (ret == RC_OK)
		ret = field_read(a, create_body, ARRAY_LEN(create_body), body,
		    true, &text, out_why);
	if (ret == RC_OK)
		ret = json_parse(a, text, strlen(text), &checked, out_why);
	if (ret != RC_OK)
		return ret;
	why = json_get(checked, "parent_ca_id")
		  ? check_child(a, checked)
		  : check_root(a, checked, key_id);
	if (why) {
		*out_why = why;
		return RC_INVALID;
	}
	*out = *key_id ? arena_printf(a, "%.*s,\"root_key_id\":\"%s\"}",
			     (int)strlen(text) - 1, text, key_id)
		       : text;
	return RC_OK;
}

/* --- the steps --- */

enum op_next
intermediate_create_start(struct op *op)
{
	const char *body, *why;
	rc ret;

	ret = read_body(op, &body, &why);
	if (ret != RC_OK)
		return op_fail(op, ret, "%s", why);
	return OP_QUERY(op, Q_INTERMEDIATE_CA_ASK, create_asked,
	    req_param(op, "id"), body, page_actor(op), req_actor_type(op));
}

static enum op_next
create_asked(struct op *op)
{
	static const struct outcome refusals[] = {
	    {"unknown", RC_NOT_FOUND, "Issuer not found"},
	    {"outside", RC_CONFLICT,
		"only issuers of type GenericCA have a hierarchy"},
	    {"taken", RC_CONFLICT, "the issuer has a CA of this name already"},
	    {"other", RC_CONFLICT,
		"a CA of this name is being made, and differs"},
	    {"no_parent", RC_NOT_FOUND, "Parent CA not found"},
	    {"inactive", RC_CONFLICT, "the parent CA is not active"},
	    {"root_taken", RC_CONFLICT,
		"the issuer has an active root already; retire it first"},
	    {"full", RC_CONFLICT,
		"the issuer's hierarchy has as many CAs as it can have"},
	};
	struct create *c = op_state(op, sizeof(*c));
	const char *issuers[] = {req_param(op, "id"), NULL};
	enum op_next no;

	if (outcome_refuses(op, refusals, ARRAY_LEN(refusals), &no))
		return no;
	c->id = arena_strdup(op_arena(op), op_text(op, 0, "id"));
	c->asked_ms = clock_boot_ms();
	c->pause_ms = FIRST_LOOK_MS;
	req_hint(op, 1, issuers, NULL);
	return op_sleep(op, c->pause_ms, create_look);
}

static enum op_next
create_look(struct op *op)
{
	const struct create *c = op_state(op, sizeof(*c));

	return OP_QUERY(op, Q_INTERMEDIATE_CA_GET, create_found, c->id);
}

static enum op_next
create_found(struct op *op)
{
	const struct create *c = op_state(op, sizeof(*c));

	if (op_rows(op) > 0)
		return page_reply_one(op, 201, intermediate_fields,
		    intermediate_nfields);
	if (c->is_late)
		return op_fail(op, RC_UNAVAILABLE,
		    "the CA is not made yet; the request is kept, and the same "
		    "again waits for it");
	return OP_QUERY(op, Q_INTERMEDIATE_CA_REFUSAL, create_refused, c->id);
}

/* It may have been made between the looks, or is asked for anew. */
static enum op_next
create_refused(struct op *op)
{
	struct create *c = op_state(op, sizeof(*c));
	int64_t waited_ms = clock_boot_ms() - c->asked_ms;

	if (!op_is_null(op, 0, "refusal"))
		return op_fail(op, RC_INVALID, "%s", op_text(op, 0, "refusal"));
	c->is_late =
	    waited_ms >= (int64_t)POLICY_TEST_WAIT * 1000 ||
	    !op_bool(op, 0, "is_asked") ||
	    (waited_ms >= NO_WORKER_MS && !op_bool(op, 0, "has_worker"));
	if (c->is_late)
		return op_goto(op, create_look);
	c->pause_ms = c->pause_ms * 2 < LOOK_MS ? c->pause_ms * 2 : LOOK_MS;
	return op_sleep(op, c->pause_ms, create_look);
}

/* --- what the document says of it --- */

const struct shape shape_intermediate_create_start = {
    .does = "Register the root of an issuer's hierarchy, or have a CA made "
	    "below one",
    .has_body = true,
    .body = {SHAPE_TABLE(create_body)},
    .status = 201,
    .fields = SHAPE_TABLE_OF(intermediate_fields, intermediate_nfields),
};
