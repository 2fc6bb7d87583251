/*
 * conf_lines: configuration files whose directives are lines of words.
 */
#ifndef CLI_IMPORT_CONF_LINES_H
#define CLI_IMPORT_CONF_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

enum { CONF_WORDS_MAX = 64 };

struct conf_lines {
	struct arena *a;
	const char *p, *end;
	size_t line; /* of the directive: where it begins */
	size_t next;
	const char *words[CONF_WORDS_MAX];
	size_t nwords;
};

void conf_lines_begin(struct conf_lines *l, struct arena *a, const char *text,
    size_t len);
/* The next line that has words: blanks part them, quotes hold them together,
 * a backslash at the end of a line joins the next, "#" begins a comment.
 * false: there is none. */
bool conf_lines_next(struct conf_lines *l);
/* The port of "ADDRESS:PORT"; 0: there is none. */
int conf_lines_port(const char *word);

#endif
