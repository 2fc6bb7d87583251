#include "cli/import/pairs.h"

#include <string.h>

#include "cli/import/files.h"
#include "cli/import/import.h"

/* The text of n bytes without blanks around it, nor one pair of quotes. */
static const char *
trim(struct arena *a, const char *text, size_t n)
{
	while (n > 0 && strchr(" \t\r", text[n - 1]))
		n--;
	while (n > 0 && strchr(" \t", *text)) {
		text++;
		n--;
	}
	if (n > 1 && (text[0] == '\'' || text[0] == '"') &&
	    text[n - 1] == text[0]) {
		text++;
		n -= 2;
	}
	return arena_strndup(a, text, n);
}

static const char *
read_section(struct arena *a, const char *line, size_t n)
{
	while (n > 0 && *line == '[') {
		line++;
		n--;
	}
	return arena_strndup(a, line,
	    strcspn(line, "]\n") < n ? strcspn(line, "]\n") : n);
}

/* At most PAIRS_MAX. */
static size_t
count_lines(const char *text, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len && n < PAIRS_MAX; i++)
		n += text[i] == '\n';
	return n;
}

void
pairs_read(struct arena *a, const char *text, size_t len, struct pairs *out)
{
	const char *end = text + len, *section = "", *next, *equals;
	size_t most = count_lines(text, len);

	out->all = arena_alloc(a, most * sizeof(*out->all));
	out->n = 0;
	for (const char *line = text; line < end && out->n < most;
	     line = next) {
		size_t n = (size_t)(end - line);
		const char *feed = memchr(line, '\n', n);

		next = feed ? feed + 1 : end;
		n = (size_t)((feed ? feed : end) - line);
		while (n > 0 && (*line == ' ' || *line == '\t')) {
			line++;
			n--;
		}
		if (n > 0 && *line == '[')
			section = read_section(a, line, n);
		equals = n > 0 && !strchr("#;[", *line) ? memchr(line, '=', n)
							: NULL;
		if (equals)
			out->all[out->n++] = (struct pair){section,
			    trim(a, line, (size_t)(equals - line)),
			    trim(a, equals + 1,
				n - (size_t)(equals + 1 - line))};
	}
}

bool
pairs_read_file(struct import *im, const char *path, struct pairs *out)
{
	size_t len;
	const char *text = files_read(im, path, IMPORT_FILE_MAX, &len);

	if (text)
		pairs_read(im->arena, text, len, out);
	return text != NULL;
}

const char *
pairs_value(const struct pairs *p, const char *key)
{
	for (size_t i = p->n; i > 0; i--) {
		if (strcmp(p->all[i - 1].key, key) == 0)
			return p->all[i - 1].value;
	}
	return NULL;
}
