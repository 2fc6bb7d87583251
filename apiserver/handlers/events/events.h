/*
 * events: the live events, as a stream of server-sent events (WHATWG HTML,
 * section 9.2).
 */
#ifndef APISERVER_HANDLERS_EVENTS_EVENTS_H
#define APISERVER_HANDLERS_EVENTS_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/live/event.h"
#include "apiserver/policy/path.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/op/op.h"

enum {
	EVENT_VALUES_MAX = 100, /* of one filter */
};

/* What one listener asked for; its texts live in the arena it was read in. */
struct event_filter {
	bool says_kinds;
	unsigned kinds; /* bits */
	size_t n[EVENT_NKEYS];
	const char **values[EVENT_NKEYS];
};

/* Of the query.  RC_INVALID: *out_why names what can't be used. */
rc event_filter_read(struct arena *a, const struct path *query,
    struct event_filter *out, const char **out_why) MUST_CHECK;
/* Whether it asks for that event; by the kinds that it is allowed. */
bool event_filter_has(const struct event_filter *f, unsigned allowed,
    const struct event *e);

op_step events_start;

#endif
