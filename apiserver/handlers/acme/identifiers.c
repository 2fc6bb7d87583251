#include "apiserver/handlers/acme/identifiers.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "apiserver/handlers/acme/signed.h"
#include "common/base/hostname.h"
#include "common/json/json.h"
#include "common/pki/csr/csr.h"
#include "common/pki/profile/certprofile.h"

#define TEXT_MAX 1024

struct identifier {
	const char *type, *value;
};

/* --- one of them --- */

/* NULL, or why there is no certificate for this name. */
static const char *
dns_fault(const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '.')
		return "leave the dot at its end away";
	if (hostname_is_address(name))
		return "this is an address: its type is \"ip\"";
	if (strchr(name, '_') || !hostname_is_valid(name, true))
		return "this is no DNS name: labels of letters, digits and "
		       "hyphens, of which \"*\" may be the first alone, and "
		       "international names in their \"xn--\" form";
	return NULL;
}

/* RFC 8738 section 3: one text for an address (RFC 5952). */
static const char *
ip_fault(struct op *op, const char *text)
{
	char right[INET6_ADDRSTRLEN] = "";
	unsigned char raw[16];

	if (inet_pton(AF_INET, text, raw) == 1)
		return NULL; /* inet_pton takes one spelling only */
	if (inet_pton(AF_INET6, text, raw) != 1)
		return "this is no IP address";
	if (!inet_ntop(AF_INET6, raw, right, sizeof(right)) ||
	    strcmp(right, text) != 0)
		return op_printf(op, "write this address as %s (RFC 5952)",
		    right);
	return NULL;
}

/* A name as the profile sees it. */
static bool
is_allowed(const struct certprofile *profile, const struct identifier *id)
{
	struct san name = {.text = id->value,
	    .type = strcmp(id->type, "ip") == 0 ? SAN_IP : SAN_DNS};

	return !profile || certprofile_allows_name(profile, &name);
}

/* ACME_NERRORS, or what is wrong, which a subproblem tells. */
static enum acme_error
judge(struct op *op, const struct certprofile *profile,
    const struct identifier *id)
{
	const char *why;

	if (strcmp(id->type, "dns") != 0 && strcmp(id->type, "ip") != 0) {
		acme_subproblem(op, ACME_UNSUPPORTED_IDENTIFIER, id->type,
		    id->value, "the types of identifiers are dns and ip");
		return ACME_UNSUPPORTED_IDENTIFIER;
	}
	why = strcmp(id->type, "ip") == 0 ? ip_fault(op, id->value)
					  : dns_fault(id->value);
	if (!why && !is_allowed(profile, id))
		why = "the profile does not allow this name: ask whoever runs "
		      "this server for another profile";
	if (!why)
		return ACME_NERRORS;
	acme_subproblem(op, ACME_REJECTED_IDENTIFIER, id->type, id->value, why);
	return ACME_REJECTED_IDENTIFIER;
}

/* --- all of them --- */

static rc
read_one(struct op *op, const struct cJSON *item, struct identifier *out)
{
	const char *value = NULL;
	char *lower;
	rc ret;

	if (!cJSON_IsObject(item))
		return RC_INVALID;
	ret = json_str(item, "type", TEXT_MAX, &out->type);
	if (ret == RC_OK)
		ret = json_str(item, "value", TEXT_MAX, &value);
	if (ret != RC_OK || value[0] == '\0' || out->type[0] == '\0')
		return RC_INVALID;
	lower = arena_strdup(op_arena(op), value);
	for (char *c = lower; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	out->value = lower;
	return RC_OK;
}

static int
compare(const void *a, const void *b)
{
	const struct identifier *x = a, *y = b;
	int types = strcmp(x->type, y->type);

	return types != 0 ? types : strcmp(x->value, y->value);
}

static void
settle(struct op *op, struct identifier *all, size_t n,
    struct acme_identifiers *out)
{
	const char *key = "";

	qsort(all, n, sizeof(*all), compare);
	out->n = 0;
	out->types = arena_alloc(op_arena(op), n * sizeof(char *));
	out->values = arena_alloc(op_arena(op), n * sizeof(char *));
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && compare(&all[i - 1], &all[i]) == 0)
			continue;
		key = op_printf(op, "%s%s%s:%s", key, i > 0 ? " " : "",
		    all[i].type, all[i].value);
		out->types[out->n] = all[i].type;
		out->values[out->n++] = all[i].value;
	}
	out->key = key;
}

bool
acme_identifiers_read(struct op *op, const struct cJSON *payload,
    const struct certprofile *profile, struct acme_identifiers *out,
    enum op_next *out_next)
{
	const struct cJSON *list = json_get(payload, "identifiers"), *item;
	struct identifier *all;
	size_t n = 0;
	enum acme_error fault, worst = ACME_NERRORS;
	rc ret = RC_OK;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 ||
	    cJSON_GetArraySize(list) > CSR_SANS_MAX) {
		*out_next = acme_problem(op, ACME_MALFORMED,
		    "identifiers must be an array of 1 to %d objects",
		    CSR_SANS_MAX);
		return false;
	}
	all = arena_alloc(op_arena(op), CSR_SANS_MAX * sizeof(*all));
	cJSON_ArrayForEach(item, list)
	{
		if (ret == RC_OK)
			ret = read_one(op, item, &all[n++]);
	}
	if (ret != RC_OK) {
		*out_next = acme_problem(op, ACME_MALFORMED,
		    "each of identifiers must be an object with the texts "
		    "type and value");
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		fault = judge(op, profile, &all[i]);
		if (fault != ACME_NERRORS && worst != ACME_REJECTED_IDENTIFIER)
			worst = fault;
	}
	if (worst != ACME_NERRORS) {
		*out_next = acme_problem(op, worst,
		    "this server issues no certificate for these identifiers; "
		    "each that is wrong has a subproblem");
		return false;
	}
	settle(op, all, n, out);
	return true;
}

const char *
acme_identifiers_of(struct op *op, const struct csr *csr)
{
	static const char *const types[] = {[SAN_DNS] = "dns",
	    [SAN_IP] = "ip",
	    [SAN_EMAIL] = "email",
	    [SAN_URI] = "uri"};
	struct acme_identifiers found;
	struct identifier *all =
	    arena_alloc(op_arena(op), csr->nnames * sizeof(*all));

	for (size_t i = 0; i < csr->nnames; i++)
		all[i] = (struct identifier){types[csr->names[i].type],
		    csr->names[i].text};
	settle(op, all, csr->nnames, &found);
	return found.key;
}
