/*
 * wait: what --wait does, a look again and again until it shows the end or
 * the time is over.
 *
 * With wait_listen a look follows a live event; where there are none, and for
 * what has no events, looks follow each other.  A server that restarts, fails
 * or asks for patience is no failure of what is waited for: such an answer is
 * passed over, and Retry-After is obeyed.
 */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "cli/wake.h"

struct wait {
	struct cli *cli;
	int64_t started_ms, deadline_ms;
	int64_t pause_ms;   /* between two looks; may be changed at any time */
	struct answer last; /* in held */
	struct arena *held;
	struct wake *wake; /* NULL: without events */
};

/* Until wait_fini every call of c ends a second behind the time at the latest,
 * however its connection hangs: in that second is said how it was last. */
void wait_init(struct wait *w, struct cli *c, int64_t seconds,
    int64_t pause_ms);
void wait_fini(struct wait *w);
/* From now on looks follow events of that filter ("kind=job").  Comes back once
 * they do, so that what happens behind the first look is heard; where they do
 * not, without. */
void wait_listen(struct wait *w, const char *filter);
/* From now on looks follow each other, for what is looked at has no events. */
void wait_listen_no_more(struct wait *w);
/* One look into w->last.  False: it says nothing now, wait_pause and look
 * again.  True: an answer, or a refusal to tell with client_check. */
bool wait_look(struct wait *w, const char *path) MUST_CHECK;
/* Pauses: pause_ms, after a passing answer as long as that one asked; and with
 * events until there is one.  False: the time is over. */
bool wait_pause(struct wait *w) MUST_CHECK;
/* Since wait_init. */
double wait_seconds(const struct wait *w);
/* A line of progress with the seconds since the beginning; on standard error
 * when standard output holds JSON. */
void wait_tell(const struct wait *w, const char *what);

#endif
