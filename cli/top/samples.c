#include "cli/top/samples.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

static size_t
name_length(const char *p)
{
	return strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789_:");
}

/* "..." with \\, \" and \n in it; NULL: it has no end. */
static const char *
read_quoted(struct arena *a, const char *p, const char **out)
{
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 4096);
	for (p++; *p && *p != '"' && *p != '\n'; p++) {
		if (*p == '\\' && p[1] && p[1] != '\n')
			p++;
		buf_putc(&b, *p);
	}
	if (*p != '"' || !buf_ok(&b))
		return NULL;
	*out = arena_strdup(a, buf_cstr(&b));
	return p + 1;
}

/* {name="value",...} */
static const char *
read_labels(struct arena *a, const char *p, struct sample *s)
{
	while (*p == '{' || *p == ',') {
		const char *value;
		size_t n = name_length(++p);

		if (*p == '}')
			break;
		if (n == 0 || p[n] != '=' || p[n + 1] != '"')
			return NULL;
		const char *name = arena_strndup(a, p, n);

		p = read_quoted(a, p + n + 1, &value);
		if (!p)
			return NULL;
		if (s->nlabels < SAMPLES_LABELS) {
			s->labels[s->nlabels].name = name;
			s->labels[s->nlabels++].value = value;
		}
	}
	return *p == '}' ? p + 1 : NULL;
}

static bool
read_line(struct arena *a, const char *line, struct sample *out)
{
	size_t n = name_length(line);
	const char *p = line + n;
	char *end;

	*out = (struct sample){.name = ""};
	if (n == 0)
		return false;
	out->name = arena_strndup(a, line, n);
	if (*p == '{')
		p = read_labels(a, p, out);
	if (!p || *p != ' ')
		return false;
	out->value = strtod(p + 1, &end);
	return end != p + 1;
}

void
samples_read(struct arena *a, const char *text,
    void (*fn)(void *arg, const struct sample *s), void *arg)
{
	struct sample s;
	size_t n = 0;

	for (const char *line = text; *line && n < SAMPLES_MAX; n++) {
		const char *feed = strchr(line, '\n');

		if (read_line(a, line, &s))
			fn(arg, &s);
		if (!feed)
			break;
		line = feed + 1;
	}
}

const char *
samples_label(const struct sample *s, const char *name)
{
	for (size_t i = 0; i < s->nlabels; i++) {
		if (strcmp(s->labels[i].name, name) == 0)
			return s->labels[i].value;
	}
	return "";
}
