#include "common/pki/cert/scepcaps.h"

#include <string.h>
#include <strings.h>

#include "common/base/attr.h"
#include "common/pki/cert/discovered.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_end_of_line(char c)
{
	return c == '\r' || c == '\n' || c == '\0';
}

void
scepcaps_read(struct arena *a, struct span answer, struct scepcaps *out)
{
	const char *at = (const char *)answer.p, *end = at + answer.len;

	out->n = 0;
	while (at < end && out->n < SCEPCAPS_MAX) {
		const char *line = at, *next;
		size_t len;

		while (at < end && !is_end_of_line(*at))
			at++;
		next = at < end ? at + 1 : end;
		while (line < at && is_blank(*line))
			line++;
		while (at > line && is_blank(at[-1]))
			at--;
		len = (size_t)(at - line);
		if (len > 0)
			out->words[out->n++] =
			    discovered_text(a, line, len, SCEPCAPS_WORD_MAX);
		at = next;
	}
}

static bool
says(const struct scepcaps *c, const char *word)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcasecmp(c->words[i], word) == 0)
			return true;
	return false;
}

bool
scepcaps_has(const struct scepcaps *c, const char *word)
{
	static const char *const standard[] = {"AES", "POSTPKIOperation",
	    "SHA-256"};

	if (says(c, word))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(standard); i++)
		if (strcasecmp(word, standard[i]) == 0)
			return says(c, "SCEPStandard");
	return false;
}
