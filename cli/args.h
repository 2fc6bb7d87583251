/*
 * args: the words of the command line, checked before anything is done.
 *
 * A command's usage text is its grammar (usage.h).  What it does not name is
 * refused, so a mistyped option can't become an id; so are words that hold
 * what nobody sees.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

/* Reads argv (without the program's name) by commands; the arguments live in
 * the arena of c, and c->args is set.  EXIT_USAGE with a message when
 * anything is not as the usage says. */
int args_parse(struct cli *c, const struct command *all, size_t n, int argc,
    char **argv, const struct command **out);

/* The value of an option that the usage names, or NULL.  A name that it does
 * not hold is our bug and aborts. */
const char *args_value(const struct cli *c, const char *name);
/* Whether an option without a value was given; likewise. */
bool args_flag(const struct cli *c, const char *name);
/* The words that are no options, without the command's own. */
size_t args_count(const struct cli *c);
const char *args_word(const struct cli *c, size_t i);
/* EXIT_USAGE with a message when the option is given without that flag. */
int args_goes_with(const struct cli *c, const char *option, const char *flag);
/* --timeout, which goes with --wait alone; *out is its default before.
 * EXIT_USAGE with a message. */
int args_timeout(const struct cli *c, int64_t *out_seconds);

#endif
