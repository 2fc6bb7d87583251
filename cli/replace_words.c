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
#define EXCLUDED(word, says) {word, says},
#include "common/issuer/excluded.def"
#undef EXCLUDED
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

int64_t
replace_number(const struct cJSON *object, const char *name)
{
	int64_t n = 0;

	IGNORE_RESULT(json_int(object, name, 0, INT64_MAX, &n));
	return n;
}
