/*
 * The certificate profiles: what may be issued.  common/pki/profile obeys
 * them; what it could not obey is refused here.
 *
 * required_san_patterns: every name of a certificate must be matched by one of
 * them.  An edit of a profile whose issuances wait for an approval waits for
 * one too (profile_edit_request).
 */
#include "apiserver/handlers/config/nouns.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "apiserver/edge/request.h"
#include "apiserver/resources/fieldtext.h"
#include "common/base/attr.h"
#include "common/pki/cert/leaf_ext.h"
#include "common/pki/key/alg.h"
#include "common/pki/profile/certprofile.h"
#include "common/policy/policy.h"

/* --- keys --- */

static const struct key_rule {
	const char *algorithm;
	int64_t min, max; /* bits of min_size */
} key_rules[] = {
    {ALG_RSA, ALG_RSA_BITS_MIN, ALG_RSA_BITS_MAX},
    {ALG_ECDSA, 256, 521},
    {ALG_ED25519, 0, 256},
};

static const struct key_rule *
key_rule_of(const struct cJSON *key)
{
	const char *name = "";
	rc ret;

	ret = json_str(key, "algorithm", 16, &name);
	for (size_t i = 0; ret == RC_OK && i < ARRAY_LEN(key_rules); i++)
		if (strcmp(name, key_rules[i].algorithm) == 0)
			return &key_rules[i];
	return NULL;
}

static const char *
key_check(struct arena *a, const struct cJSON *key, const struct key_rule **out)
{
	const struct key_rule *rule;
	const struct cJSON *member;
	int64_t size;
	rc ret;

	cJSON_ArrayForEach(member, key)
	{
		if (strcmp(member->string, "algorithm") != 0 &&
		    strcmp(member->string, "min_size") != 0)
			return arena_printf(a,
			    "allowed_key_algorithms: %s is unknown, use "
			    "algorithm and min_size",
			    member->string);
	}
	rule = key_rule_of(key);
	if (rule == NULL)
		return "allowed_key_algorithms: algorithm must be RSA, ECDSA "
		       "or Ed25519";
	size = rule->min;
	ret = json_int(key, "min_size", rule->min, rule->max, &size);
	if (ret == RC_INVALID || (ret == RC_NOT_FOUND && rule->min > 0))
		return arena_printf(a,
		    "allowed_key_algorithms: min_size of %s must be a whole "
		    "number from %lld to %lld",
		    rule->algorithm, (long long)rule->min,
		    (long long)rule->max);
	*out = rule;
	return NULL;
}

static const char *
keys_check(struct arena *a, const struct cJSON *keys)
{
	const struct key_rule *seen[ARRAY_LEN(key_rules)] = {NULL};
	const struct key_rule *rule = key_rules;
	const struct cJSON *key;
	const char *why;

	cJSON_ArrayForEach(key, keys)
	{
		why = key_check(a, key, &rule);
		if (why != NULL)
			return why;
		if (seen[rule - key_rules] != NULL)
			return arena_printf(a,
			    "allowed_key_algorithms names %s twice",
			    rule->algorithm);
		seen[rule - key_rules] = rule;
	}
	return NULL;
}

/* --- texts --- */

static const char *
eku(struct arena *a, const char *text, const char **out_why)
{
	(void)a;
	if (leaf_ext_is_eku(text))
		return text;
	*out_why = "must be of serverAuth, clientAuth, codeSigning, "
		   "emailProtection, timeStamping";
	return NULL;
}

static const char *
pattern(struct arena *a, const char *text, const char **out_why)
{
	const struct namepattern *read;

	return namepattern_read(a, text, &read, out_why) == RC_OK ? text : NULL;
}

static const char *
spiffe(struct arena *a, const char *text, const char **out_why)
{
	const struct namepattern *read;

	if (text[0] == '\0') /* none */
		return text;
	return namepattern_read_spiffe(a, text, &read, out_why) == RC_OK ? text
									 : NULL;
}

static const char *
attribute(struct arena *a, const char *text, const char **out_why)
{
	struct span oid;

	if (certprofile_attribute(a, text, &oid) == RC_OK)
		return text;
	*out_why = "must be names or dotted numbers of attributes, as "
		   "challengePassword or 1.2.840.113549.1.9.7";
	return NULL;
}

/* --- ACME --- */

static const char *const acme_modes[] = {"trust_authenticated", "challenge",
    NULL};

/* 0: no limit.  What is left out is as the apiserver's settings say
 * (CERTCTL_ACME_SERVER_RATE_LIMIT_...), whose range this is. */
#define ACME_LIMIT FIELD_INT, 0, 0, 1000000000

static const struct field acme_limits[] = {
    {"orders_per_hour", ACME_LIMIT},
    {"concurrent_orders", ACME_LIMIT},
    {"key_changes_per_hour", ACME_LIMIT},
    {"challenge_responses_per_hour", ACME_LIMIT},
};

#define ACME_MEMBERS \
	"issuer_id", "acme_owner_id", "acme_renewal_policy_id", \
	    "acme_eab_required", "acme_limits"

/* What keeps a profile from serving ACME, of one that is meant to. */
static void
acme_warn(struct op *op, struct warnings *ws)
{
	static const char *const members[] = {ACME_MEMBERS};
	bool has_issuer = op_text(op, 0, "issuer_id")[0] != '\0';
	bool has_owner = op_text(op, 0, "acme_owner_id")[0] != '\0';
	bool is_meant = false;

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		is_meant = is_meant || op_text(op, 0, members[i])[0] != '\0';
	if (is_meant && !has_issuer)
		warn_add(op, ws,
		    "ACME clients get nothing by this profile: issuer_id says "
		    "not who signs");
	if (is_meant && !has_owner)
		warn_add(op, ws,
		    "ACME clients get nothing by this profile: acme_owner_id "
		    "says not whose the certificates are");
}

/* --- the whole --- */

static bool
is_short(int64_t ttl_s)
{
	return ttl_s < POLICY_SHORT_LIVED;
}

/* Against what is stored (row 0) where an update leaves it out. */
static const char *
profile_check(struct op *op, const struct cJSON *body, bool is_create)
{
	bool may_be_short = !is_create && op_bool(op, 0, "allow_short_lived");
	int64_t ttl_s = is_create ? 0 : op_i64(op, 0, "max_ttl_seconds");
	rc ret;

	/* Good by themselves: the fields were read. */
	ret = json_bool(body, "allow_short_lived", &may_be_short);
	if (ret != RC_INVALID)
		ret = json_int(body, "max_ttl_seconds", 0, INT32_MAX, &ttl_s);
	if (ret == RC_INVALID)
		return "max_ttl_seconds must be a whole number";
	if (ttl_s > 0 && ttl_s < POLICY_LIFE_LEAST)
		return op_printf(op,
		    "max_ttl_seconds must be 0 (the issuer's validity) or at "
		    "least %d",
		    POLICY_LIFE_LEAST);
	if (may_be_short && !is_short(ttl_s))
		return op_printf(op,
		    "allow_short_lived needs max_ttl_seconds under %d",
		    POLICY_SHORT_LIVED);
	return NULL;
}

static void
profile_warn(struct op *op, struct warnings *ws)
{
	int64_t ttl_s = op_i64(op, 0, "max_ttl_seconds");

	if (!op_bool(op, 0, "enabled"))
		warn_add(op, ws,
		    "enabled is false: nothing is issued by this profile");
	if (ttl_s > 0 && is_short(ttl_s) &&
	    !op_bool(op, 0, "allow_short_lived"))
		warn_add(op, ws,
		    "certificates of this profile live under an hour, and "
		    "without allow_short_lived they are revoked and listed as "
		    "long-lived ones are");
	acme_warn(op, ws);
}

/* Of what another noun is, by its id; null in a body: no more. */
#define REFERENCE FIELD_TEXT, FIELD_ID | FIELD_CLEARABLE | FIELD_OMIT_EMPTY

static const struct field profile_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"description", FIELD_TEXT, FIELD_MULTILINE, .max = 4000, .dflt = "\"\""},
    {"allowed_key_algorithms", FIELD_OBJECTS, FIELD_ZERO_DEFAULT,
	.dflt = "[{\"algorithm\":\"ECDSA\",\"min_size\":256},"
		"{\"algorithm\":\"RSA\",\"min_size\":2048}]",
	.check = keys_check, .max_items = CERTPROFILE_KEYS_MAX},
    {"max_ttl_seconds", FIELD_INT, 0, 0, INT32_MAX, "0"},
    {"allowed_ekus", FIELD_TEXTS, FIELD_ZERO_DEFAULT, .max = 32,
	.dflt = "[\"serverAuth\"]", .convert = eku,
	.max_items = CERTPROFILE_EKUS_MAX},
    {"required_san_patterns", FIELD_TEXTS, 0, .max = NAMEPATTERN_MAX,
	.dflt = "[]", .convert = pattern,
	.max_items = CERTPROFILE_PATTERNS_MAX},
    {"spiffe_uri_pattern", FIELD_TEXT, 0, .max = NAMEPATTERN_SPIFFE_MAX,
	.dflt = "\"\"", .convert = spiffe},
    {"allow_short_lived", FIELD_BOOL, 0, .dflt = "false"},
    {"must_staple", FIELD_BOOL, 0, .dflt = "false"},
    {"required_csr_attributes", FIELD_TEXTS, 0,
	.max = CERTPROFILE_ATTRIBUTE_MAX, .dflt = "[]", .convert = attribute,
	.max_items = CERTPROFILE_ATTRIBUTES_MAX},
    {"acme_auth_mode", FIELD_TEXT, FIELD_EMPTY_ABSENT, .max = 32,
	.dflt = "\"trust_authenticated\"", .words = acme_modes},
    {"issuer_id", REFERENCE, .max = 128},
    {"acme_owner_id", REFERENCE, .max = 128},
    {"acme_renewal_policy_id", REFERENCE, .max = 128},
    {"acme_eab_required", FIELD_BOOL, FIELD_CLEARABLE | FIELD_OMIT_EMPTY},
    {"acme_limits", FIELD_OBJECT, FIELD_OMIT_EMPTY, .dflt = "{}",
	.members = acme_limits, .nmembers = ARRAY_LEN(acme_limits)},
    {"requires_approval", FIELD_BOOL, 0, .dflt = "false"},
    {"enabled", FIELD_BOOL, 0, .dflt = "true"},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
};

const struct resource resource_profiles = {
    .label = "Profile",
    .fields = profile_fields,
    .nfields = ARRAY_LEN(profile_fields),
    .whole = RESOURCE_WHOLE,
    .filters = {"q"},
    RESOURCE_STATEMENTS(PROFILE),
    .duplicate = "A profile with this name already exists",
    .in_use = "Cannot delete profile: certificates, renewal policies, "
	      "ACME accounts, keys for them or requests for approval still "
	      "refer to it",
    .check_stored = profile_check,
    .asks_approval = true,
    .ask = Q_PROFILE_EDIT_REQUEST,
    .warn = profile_warn,
};
