#include "deploy/test/loadtest/fleet/homes.h"

#include <utlist.h>

bool
homes_are_full(const struct homes *h)
{
	return h->taken >= h->most;
}

void
homes_enter_now(struct homes *h)
{
	h->taken++;
}

bool
homes_enter(struct homes *h, struct home_wait *w)
{
	if (w->has_place) {
		w->has_place = false;
		return true;
	}
	if (w->is_queued)
		return false;
	if (!h->queue && !homes_are_full(h)) {
		h->taken++;
		return true;
	}
	h->waited++;
	w->is_queued = true;
	DL_APPEND(h->queue, w);
	return false;
}

void
homes_leave(struct homes *h)
{
	struct home_wait *w = h->queue;

	if (!w || h->taken > h->most) {
		h->taken--;
		return;
	}
	DL_DELETE(h->queue, w);
	w->is_queued = false;
	w->has_place = true;
	w->wake(w->arg);
}

void
homes_forget(struct homes *h, struct home_wait *w)
{
	if (w->is_queued)
		DL_DELETE(h->queue, w);
	w->is_queued = false;
	if (w->has_place)
		homes_leave(h);
	w->has_place = false;
}
