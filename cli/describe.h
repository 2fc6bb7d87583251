/*
 * describe: the table of commands as JSON, for the tools that make pages of it
 * and the tests that compare it with the API.
 */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H

#include "common/base/arena.h"

/* To standard output. */
void describe_table(struct arena *a);

#endif
