/*
 * capture: what a function printed, standard output and standard error apart.
 */
#ifndef TESTS_UNIT_CLI_CAPTURE_H
#define TESTS_UNIT_CLI_CAPTURE_H

/* From here to capture_end both streams are kept. */
void capture_begin(void);
void capture_end(void);
/* What was kept last; never NULL. */
const char *captured_out(void);
const char *captured_err(void);

#endif
