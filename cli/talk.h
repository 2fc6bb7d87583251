/*
 * talk: failures in four parts, for people or as one JSON object.
 *
 * What failed, why (in the words of the server, the CA or the host), how to
 * fix it, and the request's id, by which the apiserver's log has more.  All
 * of it goes to standard error.
 *
 * After talk_as_json nothing of a failure is told before talk_end, which
 * writes one line:
 *   {"error":{"what":..,"why":..,"fix":..,"request_id":..,"status":..,
 *   "exit_code":..}}
 * out_error (out.h) is the why of one that has no more parts, and what
 * out_tell says behind it is its fix.
 */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

/* Whatever the terminal says. */
enum { TALK_WIDTH_MIN = 40 };

struct talk_failure {
	const char *what;       /* NULL: what talk_about said */
	const char *why;        /* one line, or it becomes one */
	const char *fix;        /* NULL: nobody knows */
	const char *request_id; /* NULL: none was made, or none is known */
	int status;             /* of HTTP; 0: no answer */
};

void talk_as_json(void);
/* Whether it was called: what is told then is no line for people. */
bool talk_is_json(void);
/* What the run is about, "certs get", for failures to come; kept by
 * reference. */
void talk_about(const char *what);
void talk_failure(const struct talk_failure *f);
/* As out_tell: folded to the width for people, its further lines indented. */
void talk_folded(struct arena *a, size_t indent, const char *text);
/* At the end of the run, once: what was kept, if anything failed. */
void talk_end(int exit_code);

#endif
