#include "apiserver/resources/fieldtext.h"

#include <string.h>
#include <strings.h>

#include "common/base/plain.h"

enum { SHOWN_MAX = 64 };

bool
fieldtext_fits(const char *text, int64_t max)
{
	int64_t n = 0;

	for (; *text != '\0'; text++) {
		/* Continuation bytes belong to the character before. */
		if (((unsigned char)*text & 0xC0) != 0x80)
			n++;
	}
	return n <= max;
}

const char *
fieldtext_shown(const char *name)
{
	return plain_is_line(name) && fieldtext_fits(name, SHOWN_MAX) ? name
								      : "?";
}

bool
fieldtext_is_id(const char *text)
{
	size_t len = strlen(text);

	if (len < 1 || len > 128 || text[0] == '-' || strcmp(text, ".") == 0 ||
	    strcmp(text, "..") == 0)
		return false;
	return strspn(text,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		   "0123456789._-") == len;
}

bool
fieldtext_names(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p = list;

	while (*p != '\0') {
		size_t n = strcspn(p, ",");

		if (n == len && strncmp(p, word, n) == 0)
			return true;
		p += n;
		if (*p == ',')
			p++;
	}
	return false;
}

const char *
fieldtext_canonical(const char *const *spellings, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(spellings[i], text) == 0)
			return spellings[i];
	}
	return NULL;
}

const char *
fieldtext_filter(const char *const *spellings, size_t n, const char *text)
{
	const char *known;

	if (text == NULL)
		return NULL;
	known = fieldtext_canonical(spellings, n, text);
	return known != NULL ? known : text;
}
