#include "apiserver/edge/etag.h"

#include <string.h>

static const char *
skip_blanks(const char *s)
{
	return s + strspn(s, " \t");
}

/* Behind the tag that s begins with; NULL: it is none. */
static const char *
tag_end(const char *s)
{
	if (strncmp(s, "W/", 2) == 0)
		s += 2;
	if (*s != '"')
		return NULL;
	s = strchr(s + 1, '"'); /* a comma inside belongs to the tag */
	return s != NULL ? s + 1 : NULL;
}

bool
etag_list_has(const char *list, const char *tag)
{
	size_t len = strlen(tag);
	const char *s = skip_blanks(list), *end;

	if (*s == '*')
		return *skip_blanks(s + 1) == '\0';
	for (;;) {
		s += strspn(s, " \t,"); /* empty members are allowed */
		end = tag_end(s);
		if (end == NULL)
			return false;
		if ((size_t)(end - s) == len && memcmp(s, tag, len) == 0)
			return true;
		s = skip_blanks(end);
		if (*s != ',')
			return false;
	}
}
