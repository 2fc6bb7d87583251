/*
 * help: what there is, at each level, as the table of commands has it.
 *
 * Lines are folded to a width, so that nothing but a word is ever cut.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdbool.h>

#include "common/base/arena.h"

/* Whether the words ask for help of what there is; then it is printed. */
bool help_wanted(struct arena *a, int argc, char **argv);

#endif
