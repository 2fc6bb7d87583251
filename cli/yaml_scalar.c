#include "cli/yaml_scalar.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cjson/cJSON.h>

#include "common/base/attr.h"
#include "common/base/text.h"

/* Past what a double holds the last digits change (RFC 7493), and the strict
 * reader of JSON takes none; cJSON writes them anew from half of that on. */
#define WHOLE_MAX 4503599627370495.0

enum word { WORD_NONE, WORD_NULL, WORD_TRUE, WORD_FALSE, WORD_UNCLEAR };

static bool
is_evenly_spelt(const char *text)
{
	size_t lower = 0, upper = 0;

	for (const char *p = text; *p; p++) {
		lower += *p >= 'a' && *p <= 'z';
		upper += *p >= 'A' && *p <= 'Z';
	}
	return upper == 0 || lower == 0 ||
	       (upper == 1 && text[0] >= 'A' && text[0] <= 'Z');
}

static enum word
word_of(const char *text)
{
	static const struct {
		const char *text;
		enum word word;
	} all[] = {
	    {"", WORD_NULL},
	    {"~", WORD_NULL},
	    {"null", WORD_NULL},
	    {"true", WORD_TRUE},
	    {"false", WORD_FALSE},
	    /* Booleans of YAML 1.1, texts of 1.2 */
	    {"y", WORD_UNCLEAR},
	    {"yes", WORD_UNCLEAR},
	    {"on", WORD_UNCLEAR},
	    {"n", WORD_UNCLEAR},
	    {"no", WORD_UNCLEAR},
	    {"off", WORD_UNCLEAR},
	    /* Numbers that JSON has not */
	    {".inf", WORD_UNCLEAR},
	    {"+.inf", WORD_UNCLEAR},
	    {"-.inf", WORD_UNCLEAR},
	    {".nan", WORD_UNCLEAR},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (strcasecmp(text, all[i].text) != 0)
			continue;
		/* true, True and TRUE, but not tRUE */
		return is_evenly_spelt(text) ? all[i].word : WORD_UNCLEAR;
	}
	return WORD_NONE;
}

static const char *
skip_digits(const char *p)
{
	while (text_is_digit(*p))
		p++;
	return p;
}

/* A number of JSON (RFC 8259, section 6). */
static bool
is_number(const char *text)
{
	const char *p = text + (*text == '-'), *end;

	end = *p == '0' ? p + 1 : skip_digits(p);
	if (end == p)
		return false;
	if (*end == '.') {
		p = end + 1;
		end = skip_digits(p);
		if (end == p)
			return false;
	}
	if (*end == 'e' || *end == 'E') {
		p = end + 1 + (end[1] == '+' || end[1] == '-');
		end = skip_digits(p);
		if (end == p)
			return false;
	}
	return *end == '\0';
}

/* What some reader of YAML takes for a number and JSON does not: 010, 0x1f,
 * 1_000, +5, .5, 5. and the like. */
static bool
is_odd_number(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');

	if (p[0] == '.' && text_is_digit(p[1]))
		p++;
	if (!text_is_digit(*p))
		return false;
	if (p[0] == '0' && strchr("xXoObB", p[1]) && p[1] != '\0')
		return p[2] != '\0' &&
		       p[2 + strspn(p + 2, "0123456789abcdefABCDEF_")] == '\0';
	p += strspn(p, "0123456789_.");
	if (*p == 'e' || *p == 'E') {
		p += 1 + (p[1] == '+' || p[1] == '-');
		return text_is_digit(*p) && *skip_digits(p) == '\0';
	}
	return *p == '\0';
}

/* 1.2.3.4 and 1.2.3 are numbers to nobody. */
static bool
has_two_dots(const char *text)
{
	const char *dot = strchr(text, '.');

	return dot && strchr(dot + 1, '.');
}

static struct cJSON *
number(const char *text, const char **out_why)
{
	double value = strtod(text, NULL);

	if (isfinite(value) && fabs(value) <= WHOLE_MAX)
		return cJSON_CreateNumber(value);
	*out_why = "a number is too large to be kept exactly: quote it";
	return NULL;
}

struct cJSON *
yaml_scalar_read(struct arena *a, const char *text, const char **out_why)
{
	*out_why = NULL;
	switch (word_of(text)) {
	case WORD_NULL:
		return cJSON_CreateNull();
	case WORD_TRUE:
		return cJSON_CreateTrue();
	case WORD_FALSE:
		return cJSON_CreateFalse();
	case WORD_UNCLEAR:
		*out_why = arena_printf(a,
		    "\"%s\" means one thing to YAML 1.1 and another to 1.2: "
		    "write true or false, or quote it",
		    text);
		return NULL;
	case WORD_NONE:
	default:
		break;
	}
	if (is_number(text))
		return number(text, out_why);
	if (!is_odd_number(text) || has_two_dots(text))
		return cJSON_CreateString(text);
	*out_why = arena_printf(a,
	    "\"%.40s\" is a number to some readers only: write it as JSON "
	    "does, or quote it",
	    text);
	return NULL;
}
