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

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"

/* text in one line: what a terminal would obey or hide stands there as
 * \n, \x1b or \u202e, and so do bytes that are not UTF-8. */
const char *out_harmless(struct arena *a, const char *text);
/* How many columns a harmless text takes, as near as code points tell. */
size_t out_width(const char *text);

/* To standard output; line feeds stay, the rest becomes harmless. */
void out_print(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* To standard error, a line that begins with the program's name. */
void out_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* To standard error, a line without that name: what goes with the answer. */
void out_tell(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* JSON to standard output: still the same JSON, the strings' harmful
 * characters as \u202e; ends with a line feed. */
void out_json(const char *text);
/* Whether all of it was written; tells when not (a full disk). */
bool out_flush(void);

#endif
