/*
 * listing_keys: by what a command's rows can be filtered and sorted, as its row
 * of the table says.
 */
#ifndef CLI_LISTING_KEYS_H
#define CLI_LISTING_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/command.h"

/* Of every list; up to one without a flag. */
extern const struct option listing_options[];
bool listing_is_filter(const struct option *o);
bool listing_is_sort(const struct option *o);

/* The row's option that a key of n bytes stands for: its flag's name or its
 * member's, with - or _.  NULL: none. */
const struct option *listing_option(const struct command *m, const char *key,
    size_t n);
/* The ith key of --filter or field of --sort, NULL behind the last: first what
 * the server is asked, then what is looked at here (*out_is_here). */
const char *listing_key(struct arena *a, const struct command *m, bool is_sort,
    size_t i, bool *out_is_here);

/* The column that shows a member, by its name in n bytes, with - or _; NULL:
 * none. */
const struct column *listing_column(const struct command *m, const char *key,
    size_t n);
/* A word of the API's sorts, as it stands there; NULL: none of them. */
const char *listing_sort_word(struct arena *a, const struct command *m,
    const char *key, size_t n);

#endif
