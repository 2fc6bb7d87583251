/*
 * exit_code: what an answer is to whoever runs the command; the one place that
 * knows.
 */
#ifndef CLI_EXIT_CODE_H
#define CLI_EXIT_CODE_H

#include "cli/cli.h"

/* Of a status of HTTP; 0, no answer at all: EXIT_UNREACHABLE. */
int exit_code_of_status(int status);

#endif
