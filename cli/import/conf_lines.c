#include "cli/import/conf_lines.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"

enum { WORD_MAX = 4096 };

void
conf_lines_begin(struct conf_lines *l, struct arena *a, const char *text,
    size_t len)
{
	*l = (struct conf_lines){.a = a,
	    .p = text,
	    .end = text + len,
	    .next = 1};
}

/* Whether a backslash joins the line at p with the next. */
static bool
is_joined(const struct conf_lines *l)
{
	return *l->p == '\\' && l->p + 1 < l->end && l->p[1] == '\n';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void
read_word(struct conf_lines *l)
{
	char quote = *l->p == '"' || *l->p == '\'' ? *l->p++ : '\0';
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, WORD_MAX);
	while (l->p < l->end && *l->p != '\n' && !is_joined(l) &&
	       (quote ? *l->p != quote : !is_blank(*l->p)))
		buf_putc(&b, *l->p++);
	if (quote && l->p < l->end && *l->p == quote)
		l->p++;
	if (l->nwords < CONF_WORDS_MAX && buf_ok(&b))
		l->words[l->nwords++] = arena_strdup(l->a, buf_cstr(&b));
}

static void
skip_comment(struct conf_lines *l)
{
	while (l->p < l->end && *l->p != '\n')
		l->p++;
}

bool
conf_lines_next(struct conf_lines *l)
{
	l->nwords = 0;
	l->line = l->next;
	while (l->p < l->end) {
		if (is_joined(l)) {
			l->p += 2;
			l->next++;
		} else if (*l->p == '\n') {
			l->p++;
			l->next++;
			if (l->nwords > 0)
				return true;
			l->line = l->next;
		} else if (*l->p == '#') {
			skip_comment(l);
		} else if (is_blank(*l->p)) {
			l->p++;
		} else {
			read_word(l);
		}
	}
	return l->nwords > 0;
}

int
conf_lines_port(const char *word)
{
	const char *colon = strrchr(word, ':');
	long port = colon ? strtol(colon + 1, NULL, 10) : 0;

	return port > 0 && port <= 65535 ? (int)port : 0;
}
