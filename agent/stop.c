#include "agent/stop.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/log/log.h"

#define CHECK_MS 50
#define LIMIT_MS 5000

struct stop {
	struct agent *agent;
	const struct stop_hooks *hooks;
	struct timer *check;
	int64_t deadline_ms;
};

static void
check_idle(void *arg)
{
	struct stop *s = arg;
	struct agent *a = s->agent;

	if (s->hooks->is_idle(a) || loop_now_ms(a->loop) > s->deadline_ms)
		s->hooks->end(a);
	else
		timer_arm(s->check, CHECK_MS);
}

struct stop *
stop_new(struct agent *a, const struct stop_hooks *hooks)
{
	struct stop *s = mem_zalloc(sizeof(*s));

	s->agent = a;
	s->hooks = hooks;
	s->check = timer_new(a->loop, check_idle, s);
	return s;
}

void
stop_free(struct stop *s)
{
	if (!s)
		return;
	timer_free(s->check);
	free(s);
}

void
stop_begin(struct agent *a, int exit_status)
{
	struct stop *s = a->stop;

	if (a->is_stopping)
		return;
	a->is_stopping = true;
	a->exit_status = exit_status;
	s->hooks->begin(a);
	s->deadline_ms = loop_now_ms(a->loop) + LIMIT_MS;
	timer_arm(s->check, 0);
}

static void
leave_retired(void *arg)
{
	stop_begin(arg, 0);
}

void
stop_retired(struct agent *a)
{
	if (a->is_retired)
		return;
	log_info("RETIRED", "the server says this agent was retired; leaving");
	a->is_retired = true;
	/* The stop ends requests, and the caller is the callback of one. */
	loop_defer(a->loop, leave_retired, a);
}
