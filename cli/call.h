/*
 * call: what runs a row of the table of commands: its question, its call, and
 * what is shown of the answer.
 */
#ifndef CLI_CALL_H
#define CLI_CALL_H

#include "cli/cli.h"

/* All that a row without code of its own does. */
int call_run(struct cli *c);

/*
 * The call alone: asks, looks up names, sends.  EXIT_DONE: *out is a 2xx, or
 * there is none, because --dry-run showed what would be sent (*out_is_over).
 * Else an exit code, told.
 */
int call_send(struct cli *c, struct answer *out, bool *out_is_over);

/* What would be sent, where --dry-run was given and before anything is: false
 * without it.  For commands with calls of their own. */
bool call_is_dry(struct cli *c, const char *method, const char *path,
    const char *body);

/* The members that the row names, or all as JSON. */
int call_show(struct cli *c, const struct answer *a);

/* --- call_path.c --- */

/* Each {} of path the next word, and what was given of the query behind it. */
const char *call_path(struct cli *c, const char *path);
/* The path with one more parameter. */
const char *call_query(struct cli *c, const char *path, const char *name,
    const char *value);

/* --- call_list.c --- */

/* A list of such a path, one page or as many as --limit and --all say; it is
 * filtered, sorted and shown as the row says. */
int call_list(struct cli *c, const char *path);
/* What is left of a list that was made here, filtered, sorted and shown. */
int call_list_show(struct cli *c, struct answer *a);

#endif
