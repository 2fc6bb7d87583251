/*
 * term: whether standard output is a terminal, how wide, and in colour.
 *
 * What is piped or kept in a file is never cut and, unless it was asked for,
 * never coloured.
 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum term_color { TERM_COLOR_AUTO, TERM_COLOR_ALWAYS, TERM_COLOR_NEVER };

enum term_paint {
	TERM_PLAIN,
	TERM_HEAD, /* of a table */
	TERM_GOOD,
	TERM_BUSY, /* on its way, or soon not good */
	TERM_BAD
};

/* auto, always or never, of --color; auto until it is called. */
void term_set_color(enum term_color color);
/* Of auto: a terminal that is not "dumb", and no NO_COLOR
 * (https://no-color.org: set and not empty). */
bool term_has_color(FILE *to);
/* The sequence that begins the paint on that stream, TERM_PLAIN ends it; ""
 * where there is no colour. */
const char *term_sequence(FILE *to, enum term_paint paint);
/* The paint of a status; TERM_PLAIN for any other word. */
enum term_paint term_paint_of(const char *status);
/* What is folded is folded to: COLUMNS, what the terminal at standard output
 * says, or 80; least where that is less. */
size_t term_width(size_t least);
/* The same, for what is cut.  0: it is no terminal, and nothing is. */
size_t term_columns(void);
/* Somebody can be asked: standard input and standard error are terminals. */
bool term_can_ask(void);

#endif
