/*
 * cmd_context: what the commands of the noun context share.
 */
#ifndef CLI_CMD_CONTEXT_H
#define CLI_CMD_CONTEXT_H

#include "cli/cli.h"

/* The answer to one that changes the file, or with --dry-run would: what, of
 * people. */
void context_tell_done(struct cli *c, const char *what);

#endif
