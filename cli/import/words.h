/*
 * words: texts of an import that are shown or become ids.
 */
#ifndef CLI_IMPORT_WORDS_H
#define CLI_IMPORT_WORDS_H

#include "common/base/arena.h"

/* The word as a shell takes it: in quotes where it must be. */
const char *words_shell(struct arena *a, const char *text);
/* prefix and text as an id: letters in lower case, digits, ".", "_" and "-";
 * other characters become "-", "*" becomes "wildcard".  The same text gives the
 * same id; one that is too long ends in a piece of its digest. */
const char *words_id(struct arena *a, const char *prefix, const char *text);

#endif
