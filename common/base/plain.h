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
#include <stdint.h>

/*
 * Valid UTF-8 without control characters (C0, DEL, C1), line and paragraph
 * separators, marks and overrides of the writing direction, and characters
 * that take no room.
 */
bool plain_is_line(const char *text);
/* Of a text that is no such line the reason, which says what it holds: "a
 * control character", ...; NULL: it is one.  Never freed. */
const char *plain_why_no_line(const char *text);
/* The same, but that tabs and ends of lines are welcome. */
bool plain_is_text(const char *text);
/* Whether the character can't be seen, or turns what is shown; a control. */
bool plain_is_hidden(uint32_t c);
/*
 * For texts of others that are to be kept whatever they hold, such as what a
 * program wrote before it failed: shows each character that plain_is_text
 * would refuse, and each byte that is no UTF-8, as "?".  In place.
 */
void plain_clean(char *text);
/* Nothing but white space of any script, or nothing at all. */
bool plain_is_blank(const char *text);

#endif
