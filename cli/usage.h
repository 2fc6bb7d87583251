/*
 * usage: a command's usage text, read as the grammar it is.
 *
 * "ID... --owner-id O [--page 1..9] [-o json|table] [--yes]" is one word or
 * more, and four options.  A value is anything plain, unless the text that
 * stands for it has bars between words or is a range of whole numbers.
 */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include <stddef.h>

#include "common/base/arena.h"

enum usage_form { USAGE_UNKNOWN, USAGE_FLAG, USAGE_VALUE };

/* How the usage names the option, the first n bytes of name; *out_value is
 * where the text that stands for its value begins. */
enum usage_form usage_option(const char *usage, const char *name, size_t n,
    const char **out_value);
/* How many words that are no options it asks for. */
void usage_words(const char *usage, size_t *out_min, size_t *out_max);
/* The text at *out_value of usage_option by itself. */
const char *usage_allowed(struct arena *a, const char *usage);
/* The value as that text spells it (words fit in any letter case), or NULL
 * when it is not allowed. */
const char *usage_value(struct arena *a, const char *allowed,
    const char *value);

#endif
