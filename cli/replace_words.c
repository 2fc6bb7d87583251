#include "cli/replace_words.h"

#include <string.h>

#include "common/base/attr.h"
#include "common/json/json.h"

/* What a word of the API means to people. */
struct meaning {
	const char *word, *says;
};

/* Of what a certificate waits for, or stays for. */
static const struct meaning reasons[] = {
    {"acme_client", "their ACME clients renew them when their renewal windows, "
		    "which move, say so"},
    {"agent_offline", "their agents are offline and make no key until they "
		      "come back"},
    {"approval", "their profile demands an approval"},
    {"archived", "archived"},
    {"csr", "their agents have sent no CSR"},
    {"expired", "expired; their ACME clients let them end"},
    {"gone", "removed"},
    {"held", "an open transaction holds them"},
    {"job_open", "an order at the old CA is followed to its end first"},
    {"key", "the new CA takes no key of their clients' kind (Ed25519)"},
    {"life", "their profile wants a shorter life than the new CA gives"},
    {"moved_on", "given another issuer by somebody"},
    {"name_constrained", "the name constraints of the new CA forbid a name"},
    {"name_email", "the new issuer has no certificates for mail addresses"},
    {"name_ip", "the new issuer can't be shown who has an IP address"},
    {"name_uri", "the new issuer has no certificates for URIs"},
    {"name_wildcard", "the new issuer proves names by http-01, and that proves "
		      "no wildcard; dns-01 does"},
    {"no_key_holder",
	"no agent and no ACME client has their key; map them to a target"},
    {"policy_forbids", "a policy of allowed issuers has the new one not"},
    {"profile_off", "their profile is disabled"},
    {"profile_pins", "their profile names another issuer; --move-profiles "
		     "changes those that name the old one"},
    {"revoked", "revoked"},
    {"short_lived", "the new issuer's certificates live less than an hour, "
		    "which their profile does not allow"},
    {"usage", "the new CA does not issue for what their profile's "
	      "allowed_ekus name"},
};

static const struct meaning stops[] = {
    {"ca_ended", "its CA has ended"},
    {"issuer_disabled", "it is disabled"},
    {"lane_closed", "its lane is closed (cap 0)"},
    {"lane_stopped", "its calls failed and its breaker is open"},
};

static const char *
say(const struct meaning *all, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].word, word) == 0)
			return all[i].says;
	}
	return word;
}

const char *
replace_say_reason(const char *word)
{
	return say(reasons, ARRAY_LEN(reasons), word);
}

const char *
replace_say_stop(const char *word)
{
	return say(stops, ARRAY_LEN(stops), word);
}

const char *
replace_say_seconds(struct cli *c, int64_t s)
{
	if (s >= 86400)
		return arena_printf(c->arena, "%lld d %lld h",
		    (long long)(s / 86400), (long long)(s % 86400 / 3600));
	if (s >= 3600)
		return arena_printf(c->arena, "%lld h %lld min",
		    (long long)(s / 3600), (long long)(s % 3600 / 60));
	if (s >= 60)
		return arena_printf(c->arena, "%lld min %lld s",
		    (long long)(s / 60), (long long)(s % 60));
	return arena_printf(c->arena, "%lld s", (long long)s);
}

int64_t
replace_number(const struct cJSON *object, const char *name)
{
	int64_t n = 0;

	IGNORE_RESULT(json_int(object, name, 0, INT64_MAX, &n));
	return n;
}
