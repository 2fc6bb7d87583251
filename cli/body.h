/*
 * body: the body of a command's call, of its words, its options, --file and
 * --set.
 */
#ifndef CLI_BODY_H
#define CLI_BODY_H

#include "cli/cli.h"

/*
 * JSON in the arena, or NULL for a call that has none.  EXIT_USAGE with a
 * message: a value can't be read, or a change says nothing.  base: the object
 * as it is, whose objects --set changes in part; NULL: there is none.  ids: a
 * list in JSON, as certificate_ids; or NULL.
 */
int body_make(struct cli *c, const struct cJSON *base, const char *ids,
    const char **out);
/* Whether --set leads into an object, which must be known to be kept. */
bool body_needs_base(const struct cli *c);

#endif
