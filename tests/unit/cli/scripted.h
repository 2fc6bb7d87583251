/*
 * scripted: a server that says what the test wants, in the place of client.c.
 *
 * A call is answered by the first row whose beginning it has and that is not
 * used up; one without such a row ends the test program.
 */
#ifndef TESTS_UNIT_CLI_SCRIPTED_H
#define TESTS_UNIT_CLI_SCRIPTED_H

#include <stddef.h>

/* Forgets all rows and calls. */
void scripted_begin(void);
/* what: "GET /path", of which the call may have more.  text is kept by
 * reference.  Status 0: no answer. */
void scripted_answer(const char *what, int status, const char *text);
/* The same, so often. */
void scripted_answer_times(const char *what, int status, const char *text,
    size_t times);
/* The ith call, or NULL. */
const char *scripted_asked(size_t i);
/* How many calls began so. */
size_t scripted_count(const char *what);
/* The body of the last call that had one. */
const char *scripted_body(void);

/* Runs a line of words, split at blanks, as certctl does but for its settings;
 * what it says is captured (capture.h). */
int scripted_run(const char *line);
/* The same with -o json. */
int scripted_run_json(const char *line);

#endif
