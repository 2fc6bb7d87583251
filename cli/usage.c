#include "cli/usage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/enc.h"

/* After an option stands its value, its bracket's end, or what is next. */
static bool
takes_value(const char *after)
{
	return after[0] == ' ' && after[1] != '[' && after[1] != '-';
}

enum usage_form
usage_option(const char *usage, const char *name, size_t n,
    const char **out_value)
{
	for (const char *p = usage; (p = strstr(p, "-")) != NULL;) {
		bool begins = p == usage || p[-1] == '[' || p[-1] == ' ';
		size_t len = strcspn(p, " ]");

		if (begins && len == n && memcmp(p, name, n) == 0) {
			*out_value = p + n + 1;
			return takes_value(p + n) ? USAGE_VALUE : USAGE_FLAG;
		}
		p += begins ? len : 1;
	}
	return USAGE_UNKNOWN;
}

void
usage_words(const char *usage, size_t *out_min, size_t *out_max)
{
	bool is_value = false;

	*out_min = *out_max = 0;
	for (const char *p = usage; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		bool is_optional = p[0] == '[';
		bool is_option = p[is_optional] == '-';
		bool is_many = memmem(p, n, "...", 3) != NULL;

		if (is_option) {
			is_value = p[n - 1] != ']' && takes_value(p + n);
		} else if (is_value) {
			is_value = false;
		} else {
			*out_min += !is_optional;
			*out_max = is_many ? SIZE_MAX : *out_max + 1;
		}
		p += n;
	}
}

/* One of the words between the bars, in any letter case, as it stands there;
 * NULL: none of them. */
static const char *
choose(struct arena *a, const char *words, const char *value)
{
	for (const char *p = words;; p++) {
		size_t n = strcspn(p, "|");

		if (strlen(value) == n && strncasecmp(value, p, n) == 0)
			return arena_strndup(a, p, n);
		p += n;
		if (*p == '\0')
			return NULL;
	}
}

/* range: "1..500" */
static bool
is_within(struct arena *a, const char *range, const char *value)
{
	const char *dots = strstr(range, "..");
	int64_t min = 0, max = 0, number;
	rc ret;

	ret = enc_parse_i64(arena_strndup(a, range, (size_t)(dots - range)), 0,
	    INT64_MAX, &min);
	if (ret == RC_OK)
		ret = enc_parse_i64(dots + 2, min, INT64_MAX, &max);
	if (ret != RC_OK)
		abort(); /* the usage is ours */
	ret = enc_parse_i64(value, min, max, &number);
	return ret == RC_OK;
}

const char *
usage_allowed(struct arena *a, const char *usage)
{
	return arena_strndup(a, usage, strcspn(usage, " ]"));
}

const char *
usage_value(struct arena *a, const char *allowed, const char *value)
{
	if (strchr(allowed, '|'))
		return choose(a, allowed, value);
	if (strstr(allowed, "..") && !is_within(a, allowed, value))
		return NULL;
	return value;
}
