/*
 * test_eventring: which events are in memory, and what is let go.
 */
#include "apiserver/live/eventring.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/unit/check.h"

static struct eventring *ring;

static struct event_place
place(int64_t batch, int64_t seq)
{
	return (struct event_place){batch, 7, seq};
}

static void
keep(int64_t batch, int64_t seq, size_t size)
{
	struct event *e = mem_zalloc(sizeof(*e));

	e->place = place(batch, seq);
	e->size = size;
	eventring_keep(ring, e);
	eventring_set_high(ring, &e->place);
}

static uint64_t
find(int64_t batch, int64_t seq)
{
	struct event_place p = place(batch, seq);

	return eventring_find(ring, &p);
}

static bool
reaches(int64_t batch, int64_t seq)
{
	struct event_place p = place(batch, seq);

	return eventring_reaches(ring, &p);
}

static void
begin(void)
{
	ring = mem_zalloc(sizeof(*ring));
}

static void
end(void)
{
	eventring_clear(ring);
	free(ring);
}

static void
events_are_found_by_their_places(void)
{
	begin();
	CHECK(!reaches(1, 1));
	CHECK_INT(find(1, 1), 0);
	keep(1, 1, 10);
	keep(1, 5, 10);
	keep(3, 2, 10);
	CHECK_INT(find(0, EVENT_SEQ_ALL), 0);
	CHECK_INT(find(1, 1), 1);
	CHECK_INT(find(1, 4), 1);
	CHECK_INT(find(2, 0), 2);
	CHECK_INT(find(3, 2), ring->end);
	CHECK_INT(eventring_at(ring, find(1, 1))->place.seq, 5);
	/* What came with the first place is all that is known. */
	CHECK(!reaches(1, 0));
	CHECK(reaches(1, 1));
	end();
}

static void
the_oldest_go_first(void)
{
	begin();
	for (int64_t i = 1; i <= EVENTRING_MAX + 3; i++)
		keep(i, 1, 1);
	CHECK_INT(ring->end - ring->first, EVENTRING_MAX);
	CHECK_INT(ring->low.batch, 3);
	CHECK(!reaches(2, 1));
	CHECK(reaches(3, 1));
	CHECK_INT(find(3, 1), ring->first);
	/* One that is larger than all may be stays alone. */
	keep(EVENTRING_MAX + 4, 1, EVENTRING_BYTES_MAX + 1);
	CHECK_INT(ring->end - ring->first, 1);
	CHECK_INT(ring->bytes, EVENTRING_BYTES_MAX + 1);
	end();
}

static void
a_new_beginning_knows_nothing_of_before(void)
{
	struct event_place head = place(9, EVENT_SEQ_ALL);
	uint64_t before;

	begin();
	keep(1, 1, 10);
	before = ring->end;
	eventring_restart(ring, &head);
	CHECK_INT(ring->first, before);
	CHECK_INT(ring->end, before);
	CHECK_INT(ring->bytes, 0);
	CHECK(!reaches(1, 1));
	CHECK(reaches(9, EVENT_SEQ_ALL));
	eventring_clear(ring);
	CHECK(!reaches(9, EVENT_SEQ_ALL));
	end();
}

CHECK_MAIN(CHECK_ROW(events_are_found_by_their_places),
    CHECK_ROW(the_oldest_go_first),
    CHECK_ROW(a_new_beginning_knows_nothing_of_before))
