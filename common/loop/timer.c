#include "common/loop/loop.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/loop/loop_int.h"

struct timer {
	struct loop *loop;
	loop_fn *fn;
	void *arg;
	struct event event; /* assigned once; unused in a simulation */

	/* Simulation only. */
	TAILQ_ENTRY(timer) entry;
	bool sim_is_armed;
	int64_t sim_due_ms;
	uint64_t sim_seq;
};

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct timer *t = arg;

	t->fn(t->arg); /* may free t */
}

struct timer *
timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct timer *t = mem_zalloc(sizeof(*t));

	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	if (l->base)
		event_assign(&t->event, l->base, -1, 0, on_timeout, t);
	return t;
}

void
timer_free(struct timer *t)
{
	if (!t)
		return;
	timer_disarm(t);
	free(t);
}

static void
sim_arm(struct timer *t, int64_t after_ms)
{
	struct loop *l = t->loop;
	struct timer *before;

	timer_disarm(t);
	t->sim_due_ms = l->sim_now_ms + after_ms;
	t->sim_seq = ++l->sim_seq;
	t->sim_is_armed = true;
	TAILQ_FOREACH_REVERSE(before, &l->sim_timers, timer_list, entry)
	{
		if (before->sim_due_ms <= t->sim_due_ms)
			break;
	}
	if (before)
		TAILQ_INSERT_AFTER(&l->sim_timers, before, t, entry);
	else
		TAILQ_INSERT_HEAD(&l->sim_timers, t, entry);
}

void
timer_arm(struct timer *t, int64_t after_ms)
{
	struct timeval tv;

	if (after_ms < 0)
		after_ms = 0;
	if (!t->loop->base) {
		sim_arm(t, after_ms);
		return;
	}
	tv.tv_sec = (time_t)(after_ms / 1000);
	tv.tv_usec = (suseconds_t)(after_ms % 1000 * 1000);
	if (event_add(&t->event, &tv) < 0)
		log_fatal("LOOP-EVENT", "event_add failed");
}

void
timer_disarm(struct timer *t)
{
	if (t->loop->base) {
		event_del(&t->event);
	} else if (t->sim_is_armed) {
		TAILQ_REMOVE(&t->loop->sim_timers, t, entry);
		t->sim_is_armed = false;
	}
}

bool
timer_is_armed(const struct timer *t)
{
	if (t->loop->base)
		return event_pending(&t->event, EV_TIMEOUT, NULL) != 0;
	return t->sim_is_armed;
}

bool
timer_sim_fire(struct loop *l, int64_t until_ms)
{
	struct timer *t = TAILQ_FIRST(&l->sim_timers);

	if (!t || t->sim_due_ms > until_ms)
		return false;
	if (t->sim_due_ms > l->sim_now_ms)
		l->sim_now_ms = t->sim_due_ms;
	timer_disarm(t);
	t->fn(t->arg); /* may free t */
	return true;
}
