#include "apiserver/handlers/certificates/certs.h"

#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/handlers/jobs/jobs.h"
#include "apiserver/resources/fieldtext.h"
#include "common/base/attr.h"
#include "common/base/hostname.h"
#include "common/pki/csr/csr.h"
#include "common/pki/profile/namepattern.h"

/* --- names --- */

enum { MAX_LOCAL_PART = 64 };

static bool
is_email(const char *text)
{
	const char *at = strchr(text, '@');
	size_t local = (size_t)(at - text);

	if (local < 1 || local > MAX_LOCAL_PART || strchr(at + 1, '@') != NULL)
		return false;
	for (const char *p = text; p < at; p++) {
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7F ||
		    strchr("\"(),:;<>[\\]", *p) != NULL)
			return false;
	}
	return hostname_is_valid(at + 1, false);
}

/* A host name (a wildcard as its first label is fine), an IP address or an
 * e-mail address: gives it back, or NULL and why. */
static const char *
name_check(struct arena *a, const char *text, const char **out_why)
{
	if (strchr(text, '@') != NULL
		? is_email(text)
		: hostname_is_address(text) || hostname_is_valid(text, true))
		return text;
	*out_why = "must be a host name, an IP address or an e-mail address";
	return NULL;
}

/* The same, or the SPIFFE ID of a workload, which is a pattern that says all.
 */
static const char *
san_check(struct arena *a, const char *text, const char **out_why)
{
	const struct namepattern *read;

	if (strncmp(text, "spiffe://", 9) != 0)
		return name_check(a, text, out_why);
	if (namepattern_read_spiffe(a, text, &read, out_why) != RC_OK)
		return NULL;
	if (strchr(text, '*') == NULL)
		return text;
	*out_why = "must hold no * in a SPIFFE ID";
	return NULL;
}

/* --- status --- */

const char *
cert_status_canonical(const char *text)
{
	static const char *const all[] = {"Pending", "Active", "Expiring",
	    "Expired", "RenewalInProgress", "Failed", "Revoked", "Archived"};

	return fieldtext_canonical(all, ARRAY_LEN(all), text);
}

static const char *
status_convert(struct arena *a, const char *text, const char **out_why)
{
	const char *status = cert_status_canonical(text);

	if (status == NULL)
		*out_why = "is not a certificate status";
	return status;
}

static const char *const sources[] = {"EST", "SCEP", "API", "Agent", "ACME",
    NULL};

/* --- the object --- */

const struct field cert_fields[] = {
    {"id", FIELD_TEXT},
    {"name", FIELD_TEXT},
    {"common_name", FIELD_TEXT},
    {"sans", FIELD_TEXTS},
    {"environment", FIELD_TEXT},
    {"owner_id", FIELD_TEXT},
    {"team_id", FIELD_TEXT},
    {"issuer_id", FIELD_TEXT},
    {"renewal_policy_id", FIELD_TEXT},
    {"target_ids", FIELD_TEXTS},
    {"certificate_profile_id", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"status", FIELD_TEXT},
    {"expires_at", FIELD_TIME},
    {"tags", FIELD_TAGS},
    {"last_renewal_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"last_deployment_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"revoked_at", FIELD_TIME, FIELD_OMIT_EMPTY},
    {"revocation_reason", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME},
    {"updated_at", FIELD_TIME},
    {"source", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"needs_renewal", FIELD_BOOL, FIELD_OMIT_EMPTY},
    {"deployment_status", FIELD_TEXT, FIELD_OMIT_EMPTY},
    {"reason", FIELD_TEXT, FIELD_OMIT_EMPTY, .say = cert_reason_say},
    {"reason_since", FIELD_TIME, FIELD_OMIT_EMPTY, .say = job_reason_since,
	.column = "reason"},
    {"reason_until", FIELD_TIME, FIELD_OMIT_EMPTY, .say = job_reason_until,
	.column = "reason"},
};
const size_t cert_nfields = ARRAY_LEN(cert_fields);

#define REFERENCE FIELD_REQUIRED | FIELD_EMPTY_ABSENT | FIELD_ID
#define ON_CREATE FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT
/* What has happened: clients may say so, as an import does. */
#define CLAIM ON_CREATE | FIELD_CLAIM

const struct field cert_body[] = {
    {"common_name", FIELD_TEXT, FIELD_REQUIRED | FIELD_EMPTY_ABSENT,
	.max = HOSTNAME_MAX, .convert = name_check},
    {"owner_id", FIELD_TEXT, REFERENCE, .max = 255},
    {"team_id", FIELD_TEXT, REFERENCE, .max = 255},
    {"issuer_id", FIELD_TEXT, REFERENCE, .max = 255},
    {"name", FIELD_TEXT, FIELD_REQUIRED | FIELD_EMPTY_ABSENT, .max = 255},
    {"renewal_policy_id", FIELD_TEXT, REFERENCE, .max = 255},
    {"id", FIELD_TEXT, ON_CREATE | FIELD_ID, .max = 128},
    {"sans", FIELD_TEXTS, FIELD_ZERO_ABSENT, .max = HOSTNAME_MAX,
	.max_items = CSR_SANS_MAX, .convert = san_check},
    {"environment", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 50},
    {"certificate_profile_id", FIELD_TEXT, FIELD_EMPTY_ABSENT | FIELD_ID,
	.max = 255},
    {"tags", FIELD_TAGS, FIELD_ZERO_ABSENT, .max = 255},
    {"status", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 50,
	.convert = status_convert},
    {"target_ids", FIELD_TEXTS, FIELD_ID, .max = 128},
    {"source", FIELD_TEXT, ON_CREATE, .max = 50, .words = sources},
    {"expires_at", FIELD_TIME, CLAIM},
    {"created_at", FIELD_TIME, CLAIM},
    {"updated_at", FIELD_TIME, CLAIM},
    {"last_renewal_at", FIELD_TIME, CLAIM},
    {"last_deployment_at", FIELD_TIME, CLAIM},
};
const size_t cert_nbody = ARRAY_LEN(cert_body);

/* --- how writes fail --- */

enum op_next
cert_not_found(struct op *op)
{
	return op_fail(op, RC_NOT_FOUND, "Certificate not found");
}

enum op_next
cert_write_failed(struct op *op)
{
	/* Constraint to the field it speaks for. */
	static const char *const references[][2] = {{"owner_id", "owner_id"},
	    {"team_id", "team_id"}, {"issuer_id", "issuer_id"},
	    {"renewal_policy_id", "renewal_policy_id"},
	    {"certificate_profile_id", "certificate_profile_id"},
	    {"target_id", "target_ids"}};
	const struct db_error *error;
	rc ret;

	ret = op_caught(op, &error);
	if (ret == RC_CONFLICT)
		return op_fail(op, RC_CONFLICT,
		    strstr(error->constraint, "_pkey") != NULL
			? "A certificate with this id already exists"
			: "A certificate with this name already exists");
	if (strcmp(error->sqlstate, "23503") != 0)
		return reply_db_error(op, "The certificate already exists");
	for (size_t i = 0; i < ARRAY_LEN(references); i++) {
		if (strstr(error->constraint, references[i][0]) != NULL)
			return op_fail(op, RC_INVALID,
			    "%s: what it refers to does not exist",
			    references[i][1]);
	}
	return op_fail(op, RC_INVALID, "A reference does not exist");
}
