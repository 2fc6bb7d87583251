/*
 * plain: whether a text shows all that it holds.
 *
 * Names, ids and versions are read by people in lists, logs and terminals.  A
 * character that can't be seen, or that changes how its neighbours are shown,
 * makes one name look like another or a log line say something else.
 */
#ifndef COMMON_BASE_PLAIN_H
#define COMMON_BASE_PLAIN_H

#include <stdbool.h>

/*
 * Valid UTF-8 without control characters (C0, DEL, C1), line and paragraph
 * separators, marks and overrides of the writing direction, and characters
 * that take no room.
 */
bool plain_is_line(const char *text);
/* The same, but that tabs and ends of lines are welcome. */
bool plain_is_text(const char *text);
/* Nothing but white space of any script, or nothing at all. */
bool plain_is_blank(const char *text);

#endif
