/*
 * The renewal policies: when a certificate is renewed and how often it is
 * tried.  An update replaces the whole, but for renewal_percent, which is ours:
 * percent of the lifetime after which renewal falls due, in place of the window
 * in days.  A client that does not know it takes nothing away.
 */
#include "apiserver/handlers/config/nouns.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "apiserver/resources/fieldtext.h"
#include "common/base/attr.h"
#include "common/base/enc.h"

enum { MAX_DAYS = 365 };

static const char *const tiers[] = {"informational", "warning", "critical"};

/* {tier: [channel, ...]} */
static const char *
channels_check(struct arena *a, const struct cJSON *object)
{
	static const char *const channels[] = {"Email", "Webhook", "Slack",
	    "Teams", "PagerDuty", "OpsGenie"};
	const struct cJSON *tier, *channel;

	cJSON_ArrayForEach(tier, object)
	{
		const char *known =
		    fieldtext_canonical(tiers, ARRAY_LEN(tiers), tier->string);

		if (known == NULL || strcmp(known, tier->string) != 0)
			return arena_printf(a,
			    "alert_channels.%s is no tier: use informational, "
			    "warning, critical",
			    tier->string);
		if (!cJSON_IsArray(tier))
			return "alert_channels must hold arrays of channels";
		cJSON_ArrayForEach(channel, tier)
		{
			if (!cJSON_IsString(channel) ||
			    fieldtext_canonical(channels, ARRAY_LEN(channels),
				channel->valuestring) == NULL)
				return "alert_channels must hold arrays of "
				       "channels: Email, Webhook, Slack, "
				       "Teams, PagerDuty, OpsGenie";
		}
	}
	return NULL;
}

/* {"<days>": tier} */
static const char *
severity_check(struct arena *a, const struct cJSON *object)
{
	const struct cJSON *tier;
	int64_t days;
	rc ret;

	cJSON_ArrayForEach(tier, object)
	{
		ret = enc_parse_i64(tier->string, 0, MAX_DAYS, &days);
		if (ret != RC_OK)
			return arena_printf(a,
			    "alert_severity_map.%s is no number of days from "
			    "0 to %d",
			    tier->string, MAX_DAYS);
		if (!cJSON_IsString(tier) ||
		    fieldtext_canonical(tiers, ARRAY_LEN(tiers),
			tier->valuestring) == NULL)
			return "alert_severity_map must hold names of tiers: "
			       "informational, warning, critical";
	}
	return NULL;
}

static const struct field policy_fields[] = {
    {"id", FIELD_TEXT, FIELD_ID | FIELD_CREATE_ONLY | FIELD_EMPTY_ABSENT,
	.max = 128},
    {"name", FIELD_TEXT, FIELD_REQUIRED, .max = 255},
    {"renewal_window_days", FIELD_INT, FIELD_ZERO_DEFAULT, 1, 365, "30"},
    {"auto_renew", FIELD_BOOL, 0, .dflt = "false"},
    {"max_retries", FIELD_INT, 0, 0, 10, "0"},
    {"retry_interval_seconds", FIELD_INT, FIELD_ZERO_DEFAULT, 60, 86400,
	"3600"},
    {"alert_thresholds_days", FIELD_INTS, FIELD_ZERO_DEFAULT, 0, 365,
	"[30,14,7,0]"},
    {"certificate_profile_id", FIELD_TEXT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"created_at", FIELD_TIME, FIELD_READ_ONLY},
    {"updated_at", FIELD_TIME, FIELD_READ_ONLY},
    {"alert_channels", FIELD_OBJECT, 0, .dflt = "{}", .check = channels_check},
    {"alert_severity_map", FIELD_OBJECT, 0, .dflt = "{}",
	.check = severity_check},
    {"renewal_percent", FIELD_INT, FIELD_CLEARABLE | FIELD_OMIT_EMPTY, 1, 99},
    /* Of the one that ACME clients' certificates have by default. */
    {"is_acme_default", FIELD_BOOL, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    /* While certificates follow a change; how many have to, once counted. */
    {"change_pending", FIELD_BOOL, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
    {"certificates_behind", FIELD_INT, FIELD_READ_ONLY | FIELD_OMIT_EMPTY},
};

static void
policy_warn(struct op *op, struct warnings *ws)
{
	if (!op_bool(op, 0, "auto_renew"))
		warn_add(op, ws,
		    "auto_renew is false: certificates of this policy end "
		    "unless somebody renews them by hand");
}

const struct resource resource_policies = {
    .label = "Renewal policy",
    .fields = policy_fields,
    .nfields = ARRAY_LEN(policy_fields),
    .filters = {"q"},
    RESOURCE_STATEMENTS(RENEWAL_POLICY),
    .duplicate = "A renewal policy with that name already exists",
    .replaces = true,
    .warn = policy_warn,
    .in_use = "Renewal policy is still referenced by managed certificates",
};
