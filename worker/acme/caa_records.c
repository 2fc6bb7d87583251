#include "worker/acme/caa_records.h"

#include <string.h>
#include <strings.h>

#include "common/base/attr.h"
#include "common/base/text.h"

#define SHOWN 64 /* bytes of a tag that a problem shows */
#define BLANKS " \t"

/* --- a record --- */

/* Without the blanks at its edges. */
static char *
trimmed(struct arena *a, const char *text, size_t len)
{
	while (len > 0 && strchr(BLANKS, text[0])) {
		text++;
		len--;
	}
	while (len > 0 && strchr(BLANKS, text[len - 1]))
		len--;
	return arena_strndup(a, text, len);
}

static bool
is_one_of(const char *const *list, const char *text)
{
	for (; *list; list++)
		if (strcasecmp(*list, text) == 0)
			return true;
	return false;
}

static bool
is_account(const char *uri, const struct caa_asked *q)
{
	if (strncmp(uri, "https://", 8) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(q->account_paths); i++)
		if (text_ends_with(uri, q->account_paths[i]))
			return true;
	return false;
}

/* RFC 8657, section 4: labels with commas between. */
static bool
has_method(struct arena *a, const char *list, const char *method)
{
	char *left = arena_strdup(a, list), *label;

	while ((label = strsep(&left, ",")))
		if (strcmp(label, method) == 0)
			return true;
	return false;
}

struct params {
	unsigned accounts, methods; /* how often each stands there */
};

/* One "tag=value" of an issue record.  What we do not know says nothing; what
 * is no parameter fits no request. */
static bool
fits_param(struct arena *a, char *param, const struct caa_asked *q,
    struct params *seen)
{
	char *value = strchr(param, '=');
	const char *tag;

	if (param[0] == '\0')
		return true; /* "ca.example;" */
	if (!value)
		return false;
	tag = trimmed(a, param, (size_t)(value - param));
	value = trimmed(a, value + 1, strlen(value + 1));
	/* Twice is as if it could not be met (RFC 8657, section 3). */
	if (strcasecmp(tag, "accounturi") == 0)
		return ++seen->accounts == 1 && is_account(value, q);
	if (strcasecmp(tag, "validationmethods") == 0)
		return ++seen->methods == 1 && has_method(a, value, q->method);
	return true;
}

enum fit { FITS, OTHER_CA, OTHER_PARAMS };

/* RFC 8659, section 4.2: a name, perhaps none, then parameters. */
static enum fit
fit_of(struct arena *a, const char *value, const struct caa_asked *q)
{
	char *left = arena_strdup(a, value), *part = strsep(&left, ";");
	const char *issuer = trimmed(a, part, strlen(part));
	struct params seen = {0};

	if (!is_one_of(q->identities, issuer))
		return OTHER_CA;
	while ((part = strsep(&left, ";")))
		if (!fits_param(a, trimmed(a, part, strlen(part)), q, &seen))
			return OTHER_PARAMS;
	return FITS;
}

/* --- all of a name --- */

/* The tag of those records that count: a wildcard's own, where it has some. */
static const char *
tag_of(const struct dns_caa *records, size_t n, bool is_wildcard)
{
	for (size_t i = 0; is_wildcard && i < n; i++)
		if (strcasecmp(records[i].tag, "issuewild") == 0)
			return "issuewild";
	return "issue";
}

static bool
is_known(const char *tag)
{
	static const char *const known[] = {"issue", "issuewild", "iodef",
	    NULL};

	return is_one_of(known, tag);
}

const char *
caa_forbids(struct arena *a, const struct dns_caa *records, size_t n,
    const struct caa_asked *asked)
{
	const char *tag = tag_of(records, n, asked->is_wildcard);
	bool is_meant = false, is_named = false;

	for (size_t i = 0; i < n; i++)
		if (records[i].is_critical && !is_known(records[i].tag))
			return arena_printf(a,
			    "the record \"%.*s\" is critical, and not known "
			    "here",
			    SHOWN, records[i].tag);
	for (size_t i = 0; i < n; i++) {
		enum fit fit;

		if (strcasecmp(records[i].tag, tag) != 0)
			continue;
		fit = fit_of(a, records[i].value, asked);
		if (fit == FITS)
			return NULL;
		is_meant = true;
		is_named |= fit == OTHER_PARAMS;
	}
	if (!is_meant)
		return NULL; /* they say nothing of who may issue */
	return arena_printf(a,
	    is_named ? "its %s record that names this CA allows another "
		       "account or method"
		     : "none of its %s records names this CA",
	    tag);
}
