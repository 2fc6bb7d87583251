/*
 * dark: a server that does not answer for a while, told once, and once more
 * when it answers again: what was printed last is not how it is now.
 */
#ifndef CLI_DARK_H
#define CLI_DARK_H

#include "cli/cli.h"

struct dark {
	bool is_told; /* false at first */
};

/* unknown: what nobody knows now.  a: why, a passing answer. */
void dark_begin(struct cli *c, struct dark *d, const char *unknown,
    const struct answer *a);
void dark_end(struct dark *d);

#endif
