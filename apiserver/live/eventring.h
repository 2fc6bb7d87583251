/*
 * eventring: the latest events in memory, each by its number, and between which
 * places of the stream they are all there is.
 *
 * It holds a bounded number of events and of bytes: the oldest go first, and
 * low tells up to where.  All up to high has been read.  Event loop only.
 */
#ifndef APISERVER_LIVE_EVENTRING_H
#define APISERVER_LIVE_EVENTRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apiserver/live/event.h"

enum {
	EVENTRING_MAX = 1 << 16, /* events; a power of two */
	EVENTRING_BYTES_MAX = 32 * 1024 * 1024,
};

/* Zeroed it is empty and knows no place.  Read its members freely; the
 * functions change them. */
struct eventring {
	struct event *events[EVENTRING_MAX];
	uint64_t first, end; /* the numbers of those kept: first..end - 1 */
	size_t bytes;
	struct event_place low, high;
	bool has_place; /* low and high */
};

/* All are let go, and it knows no place. */
void eventring_clear(struct eventring *r);
/* The same, but it goes on from that place: what was before is not known. */
void eventring_restart(struct eventring *r, const struct event_place *place);
/* The next event; it is the ring's then. */
void eventring_keep(struct eventring *r, struct event *e);
/* All up to there has been read. */
void eventring_set_high(struct eventring *r, const struct event_place *place);
/* n: first..end - 1. */
const struct event *eventring_at(const struct eventring *r, uint64_t n);
/* Whether all behind that place is in memory. */
bool eventring_reaches(const struct eventring *r,
    const struct event_place *place);
/* The number of the first event behind that place; end: there is none. */
uint64_t eventring_find(const struct eventring *r,
    const struct event_place *place);

#endif
