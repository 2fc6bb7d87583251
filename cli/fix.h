/*
 * fix: what helps when the server refused, for the third part of a failure.
 *
 * The server's words say what is wrong; here stands the command that helps.
 */
#ifndef CLI_FIX_H
#define CLI_FIX_H

#include "cli/cli.h"

/* why: the server's words, as client_why has them.  NULL: nothing is known that
 * helps.  It lives in the arena of c. */
const char *fix_of(const struct cli *c, const struct answer *a,
    const char *why);

#endif
