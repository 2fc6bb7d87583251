/*
 * search_window: times that are searched one after another, at a CA whose
 * searches have no pages: a time of which it has too much is made shorter, and
 * what is behind one comes next.
 */
#ifndef WORKER_ISSUERS_SEARCH_WINDOW_H
#define WORKER_ISSUERS_SEARCH_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct search_window {
	int64_t from_unix;
	int64_t len_s; /* 0: it has no end, as the first and the last */
};

/* A search found more than it gave.  soon_unix: nothing much is behind that.
 * False: it is a second, and can't be shorter. */
bool search_window_halve(struct search_window *w, int64_t soon_unix);
/* All of it was found.  False: it was the last. */
bool search_window_next(struct search_window *w, int64_t soon_unix);

#endif
