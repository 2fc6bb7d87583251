/*
 * listing: --filter and --sort of the commands that answer rows.
 *
 * What a list can be asked for is an option of its row, and --filter KEY=VALUE
 * is that option; its sorts are the row's too.  Members of its columns are
 * looked at here besides, but only where all rows are: of a list in pages with
 * --all, or with --limit for the first so many that pass.  Anything else is
 * refused before a call is made.
 */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

struct cJSON;

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

/* EXIT_USAGE with a message when this list has no such key or field, or not
 * with the pages that were asked for. */
int listing_check(struct cli *c);

/* The path with the sort that the server is asked for; path where it is not.
 * Such a sort goes by ?page=, for a cursor's order is the list's own. */
const char *listing_path(struct cli *c, const char *path);
/* Whether rows are to be filtered or sorted here. */
bool listing_is_here(const struct cli *c);
bool listing_takes(struct cli *c, const struct cJSON *row);
/* What the order does not tell apart stays as it was; what a row lacks counts
 * as behind all else. */
void listing_sort(struct cli *c, struct cJSON *rows);

#endif
