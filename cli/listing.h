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
