/*
 * out: the only way to standard output and standard error.
 *
 * Names, notes and error texts come from strangers by way of the server: no
 * control character, escape sequence, bidirectional override or invisible
 * character of theirs reaches the terminal.  Everything printed goes through
 * here, and texts from elsewhere become one line by out_harmless first, so
 * that they cannot make up lines of their own.
 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/term.h"
#include "common/base/arena.h"
#include "common/base/attr.h"

/* text in one line: what a terminal would obey or hide stands there as
 * \n, \x1b or \u202e, and so do bytes that are not UTF-8. */
const char *out_harmless(struct arena *a, const char *text);
/* How many columns of a terminal a harmless text takes. */
size_t out_width(const char *text);
/* The text when it fits into so many columns, else its beginning and an
 * ellipsis; 0: any number. */
const char *out_shorten(struct arena *a, const char *text, size_t columns);
/* Its beginning, as much as fits into so many columns. */
const char *out_cut(struct arena *a, const char *text, size_t columns);

/* To standard output; line feeds stay, the rest becomes harmless. */
void out_print(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* The same, in colour where there is colour (term.h). */
void out_print_painted(enum term_paint paint, const char *text);
/* The same to any stream, for talk.c. */
void out_write(FILE *to, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* talk.c: to standard error, a line that begins with the program's name. */
void out_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* To standard error, a line without that name: what goes with the answer. */
void out_tell(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* JSON to standard output: still the same JSON, the strings' harmful
 * characters as \u202e; ends with a line feed. */
void out_json(const char *text);
void out_write_json(FILE *to, const char *text);
/* YAML in which what is harmful stands in double quotes only (render_yaml.c):
 * still the same YAML. */
void out_yaml(const char *text);
/* Lines of CSV, whose cells are harmless (render_csv.c). */
void out_csv(const char *text);
/* Why not all of it could be written (a full disk, a closed pipe); NULL: it
 * was. */
const char *out_fault(void);
/* What is called, and does not return, when something can't be written: as a
 * signal would end the run, for nobody sees the rest. */
void out_on_loss(void (*fn)(void));
/* talk.c: whether all of it was written; tells when not. */
bool out_flush(void);

#endif
