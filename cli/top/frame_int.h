/*
 * frame_int: what the files of frame share.
 */
#ifndef CLI_TOP_FRAME_INT_H
#define CLI_TOP_FRAME_INT_H

#include "cli/top/frame.h"
#include "common/base/attr.h"

struct making {
	struct arena *a;
	const struct facts *before, *now;
	const struct frame_view *v;
	struct frame *to;
};

/* --- frame_lines.c --- */
/* A line, cut to the width; none past the height. */
void frame_add(struct making *m, bool is_head, bool is_alarm, const char *fmt,
    ...) PRINTF_LIKE(4, 5);

/* --- frame_tables.c: with their heads; nothing where there are no rows --- */
void frame_add_conditions(struct making *m);
/* At most room rows. */
void frame_add_lanes(struct making *m, size_t room);
void frame_add_cas(struct making *m);
void frame_add_workers(struct making *m);
void frame_add_agents(struct making *m);

#endif
