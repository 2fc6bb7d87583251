/*
 * complete: what may stand next on a command line, for the shells.
 *
 * Ids are asked of the server, with a short limit of time: a server that does
 * not answer completes nothing and says nothing.
 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli/cli.h"

/* words: those before the cursor, the last one begun ("" where none is).
 * Prints a candidate a line, a blank and what it is behind some.  settings
 * reads the server's place.  EXIT_DONE, whatever happens. */
int complete_run(struct cli *c, int argc, char **argv,
    bool (*settings)(struct cli *c));

#endif
