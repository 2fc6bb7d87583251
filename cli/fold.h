/*
 * fold: text of words, broken into lines that fit a width.
 */
#ifndef CLI_FOLD_H
#define CLI_FOLD_H

#include <stddef.h>

#include "common/base/arena.h"

/* Text that begins at column at, its further lines indented to column indent;
 * no line feed at the end.  A bracket is not broken where it fits a line, nor
 * is a word, however long.  In the arena. */
const char *fold_text(struct arena *a, size_t width, size_t at, size_t indent,
    const char *text);

#endif
