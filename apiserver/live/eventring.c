#include "apiserver/live/eventring.h"

#include <stdlib.h>

static size_t
slot(uint64_t n)
{
	return n & (EVENTRING_MAX - 1);
}

static void
let_go_first(struct eventring *r)
{
	struct event *e = r->events[slot(r->first)];

	r->low = e->place;
	r->bytes -= e->size;
	r->first++;
	free(e);
}

void
eventring_clear(struct eventring *r)
{
	while (r->first < r->end)
		let_go_first(r);
	r->has_place = false;
}

void
eventring_restart(struct eventring *r, const struct event_place *place)
{
	eventring_clear(r);
	r->low = r->high = *place;
	r->has_place = true;
}

void
eventring_keep(struct eventring *r, struct event *e)
{
	if (r->end - r->first == EVENTRING_MAX)
		let_go_first(r);
	r->events[slot(r->end)] = e;
	r->end++;
	r->bytes += e->size;
	while (r->bytes > EVENTRING_BYTES_MAX && r->end - r->first > 1)
		let_go_first(r);
}

void
eventring_set_high(struct eventring *r, const struct event_place *place)
{
	if (!r->has_place)
		r->low = *place;
	r->has_place = true;
	r->high = *place;
}

const struct event *
eventring_at(const struct eventring *r, uint64_t n)
{
	return r->events[slot(n)];
}

bool
eventring_reaches(const struct eventring *r, const struct event_place *place)
{
	return r->has_place && event_place_compare(place, &r->low) >= 0;
}

uint64_t
eventring_find(const struct eventring *r, const struct event_place *place)
{
	uint64_t low = r->first, high = r->end;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (event_place_compare(&eventring_at(r, mid)->place, place) <=
		    0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
