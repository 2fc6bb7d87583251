/*
 * frame: one screen of facts as lines of text, by nothing but its arguments.
 */
#ifndef CLI_TOP_FRAME_H
#define CLI_TOP_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/top/facts.h"

enum frame_sort {
	FRAME_BY_QUEUE,
	FRAME_BY_AGE,
	FRAME_BY_FAILURES,
	FRAME_BY_NAME,
	FRAME_NSORTS
};

struct frame_view {
	size_t width, height; /* at least 40 and 8 */
	const char *server;
	enum frame_sort sort;
	const char *filter; /* "" for all; of lanes, CAs and workers */
	bool is_paused, is_typing;
	const char *fault; /* why the facts are old; NULL: they are not */
	bool has_keys;     /* whether there is a line that names them */
};

struct frame {
	const char **lines; /* height of them, each width columns at most */
	bool *is_head;      /* of the line: of a table */
	bool *is_alarm;     /* something is not as it should be */
	size_t n;
};

/* before: earlier facts, for what is a second, or NULL.  now: NULL when there
 * are none yet.  The frame lives in the arena. */
void frame_make(struct arena *a, const struct facts *before,
    const struct facts *now, const struct frame_view *v, struct frame *out);

#endif
