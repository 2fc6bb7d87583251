/*
 * args: the words of the command line, checked before anything is done.
 *
 * A command's row is its grammar (command.h).  What it does not name is
 * refused, so a mistyped option can't become an id; so are words that hold
 * what nobody sees.  Behind -- all are words, whatever they begin with.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

/* Reads argv (without the program's name) by commands; the arguments live in
 * the arena of c, and c->args is set.  EXIT_USAGE with a message when
 * anything is not as the row says. */
int args_parse(struct cli *c, const struct command *all, size_t n, int argc,
    char **argv, const struct command **out);

/* As if nothing was given: no command, no option. */
void args_none(struct cli *c);
/* And then that option too, unchecked; value: NULL of a flag, else kept by
 * reference. */
void args_add(struct cli *c, const struct option *o, const char *value);

/* The value of an option that the row has, or NULL.  A name that it does
 * not hold is our bug and aborts. */
const char *args_value(const struct cli *c, const char *name);
/* Whether an option without a value was given; likewise. */
bool args_flag(const struct cli *c, const char *name);
/* Whether it was given, of whatever kind; one that the row does not have was
 * not. */
bool args_has(const struct cli *c, const char *name);
/* The values of an option that may be given again, one after the other; *at is
 * 0 before the first.  NULL behind the last. */
const char *args_next(const struct cli *c, const char *name, size_t *at);
/* The row of what was given. */
const struct command *args_command(const struct cli *c);
/* Another row of the table that it was read by; NULL: there is none. */
const struct command *args_sibling(const struct cli *c, const char *noun,
    const char *verb);
/* Calls change for each word and value that is an id of that noun, which may
 * put another there; up to the first that fails, whose exit code it is. */
typedef int args_change(struct cli *c, const char *noun, const char **value,
    void *arg);
int args_change_ids(struct cli *c, args_change *change, void *arg);
/* Tells the usage; EXIT_USAGE. */
int args_refuse(struct cli *c);
/* The words that are no options, without the command's own. */
size_t args_count(const struct cli *c);
const char *args_word(const struct cli *c, size_t i);
/* The word that is the body's member last_word of the row; NULL: the row has
 * none, or the member comes by --file or --set. */
const char *args_body_word(const struct cli *c);
/* EXIT_USAGE with a message when the option is given without that flag. */
int args_goes_with(struct cli *c, const char *option, const char *flag);
/* --timeout, which goes with --wait alone; *out is its default before.
 * EXIT_USAGE with a message. */
int args_timeout(struct cli *c, int64_t *out_seconds);

#endif
