/*
 * watch: what --watch does, an answer printed again whenever another comes.
 */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/cli.h"

/* One look: EXIT_DONE and *out, which may be a refusal; else told. */
typedef int watch_look(struct cli *c, const char *path, struct answer *out);
/* Checks and prints what a look gave. */
typedef int watch_show(struct cli *c, const struct answer *a);
/* What makes an answer another one. */
typedef const char *watch_sign(struct cli *c, const struct answer *a);

struct watched {
	const char *path;
	const char *filter; /* of the events; NULL: the row's kind and words */
	watch_look *look;
	watch_show *show;
	watch_sign *sign; /* NULL: its text */
};

/* Whether --watch was given, which the row may not have. */
bool watch_is_wanted(const struct cli *c);
/* EXIT_USAGE with a message for what does not go with it; before anything is
 * asked. */
int watch_check(struct cli *c);
/* Goes on behind a first answer that was shown, until the time of --timeout is
 * over (EXIT_DONE) or an answer is a failure.  A server that does not answer
 * for a while is none. */
int watch_go_on(struct cli *c, const struct watched *of,
    const struct answer *shown);

#endif
