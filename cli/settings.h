/*
 * settings: which server, by what key, and how to print.
 *
 * Of each setting the first that is given: the option, the variable of the
 * environment, the context (--context, CERTCTL_CONTEXT, or the one in use),
 * the default.  Where an option or a variable says the server, the context in
 * use is not looked at, so that its key goes to its own server only; one that
 * is named must be of that server.  Where the key of the environment may go is
 * for key_of.h to say.
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <stdbool.h>

struct cli;

/* After args_parse or args_none.  Of a server only where the row asks one.
 * False with a message. */
bool settings_take(struct cli *c);
/* Whether these words ask for JSON: before they are parsed, for what is told
 * when they can't be. */
bool settings_want_json(int argc, char **argv);

#endif
