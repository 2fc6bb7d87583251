/*
 * names: objects that were given by their names.
 *
 * An id is tried first, so a name costs calls only where no object has it as
 * its id, and an object can't take the place of another by its name.
 */
#ifndef CLI_NAMES_H
#define CLI_NAMES_H

#include "cli/cli.h"

/* Whether the answer may be so because an id is a name. */
bool names_may_help(const struct cli *c, const struct answer *a);
/* Puts ids in the place of words and values that are names; *out_changed:
 * there were such.  Another exit code than EXIT_DONE, told: several objects
 * have that name. */
int names_to_ids(struct cli *c, bool *out_changed);

#endif
