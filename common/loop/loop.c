#include "common/loop/loop.h"

#include <signal.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/loop/loop_int.h"

/* A simulated turn that defers for ever is our bug, not a long run. */
enum { SIM_MAX_TURNS = 1000000 };
/* Enough for ops to end and be freed. */
enum { SETTLE_MAX_TURNS = 64 };

static void loop_turn(evutil_socket_t fd, short what, void *arg);

static struct event_base *
base_new(void)
{
	struct event_config *cfg;
	struct event_base *base = NULL;
	/* The change list spares epoll_ctl calls; the precise timer avoids
	 * the coarse clock, whose tick is 4 ms. */
	int flags = EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST |
		    EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_IGNORE_ENV;

	cfg = event_config_new();
	if (!cfg)
		return NULL;
	if (event_config_set_flag(cfg, flags) == 0)
		base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

static struct loop *
loop_alloc(void)
{
	struct loop *l = mem_zalloc(sizeof(*l));

	LIST_INIT(&l->guests);
	TAILQ_INIT(&l->sim_timers);
	return l;
}

rc
loop_new(struct loop **out)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct event_base *base;
	struct loop *l;

	base = base_new();
	if (!base)
		return RC_IO;
	sigemptyset(&ignore.sa_mask);
	(void)sigaction(SIGPIPE, &ignore, NULL); /* cannot fail for SIGPIPE */
	l = loop_alloc();
	l->base = base;
	/* A timer of zero, not event_active: libevent runs what is activated
	 * in the same turn, and calls that defer calls would starve the rest.
	 */
	event_assign(&l->turn, base, -1, 0, loop_turn, l);
	*out = l;
	return RC_OK;
}

struct loop *
loop_new_sim(int64_t start_ms)
{
	struct loop *l = loop_alloc();

	l->sim_now_ms = start_ms;
	return l;
}

static void
run_calls(struct loop *l)
{
	struct loop_calls batch = l->calls;

	l->calls = l->spare; /* calls made from here on are the next turn's */
	l->spare = (struct loop_calls){0};
	for (size_t i = 0; i < batch.n; i++)
		batch.items[i].fn(batch.items[i].arg);
	batch.n = 0;
	l->spare = batch;
}

static void
loop_turn(evutil_socket_t fd, short what, void *arg)
{
	run_calls(arg);
}

void
loop_settle(struct loop *l)
{
	for (int i = 0; l->calls.n > 0 && i < SETTLE_MAX_TURNS; i++)
		run_calls(l);
}

void
loop_free(struct loop *l)
{
	struct loop_guest *g;

	if (!l)
		return;
	loop_settle(l);
	while ((g = LIST_FIRST(&l->guests))) {
		LIST_REMOVE(g, entry);
		g->leave(g);
	}
	for (int i = 0; i < LOOP_SIGNALS; i++) {
		if (l->signals[i] && l->signals[i]->event)
			event_free(l->signals[i]->event);
		free(l->signals[i]);
	}
	if (l->base) {
		event_del(&l->turn);
		event_base_free(l->base);
	}
	free(l->calls.items);
	free(l->spare.items);
	free(l);
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

rc
loop_run(struct loop *l)
{
	int ret = 0;

	if (!l->base)
		return RC_INVALID;
	/* libevent forgets a break that came before it runs; we do not. */
	if (!l->is_stopping)
		ret = event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
	l->is_stopping = false;
	return ret < 0 ? RC_IO : RC_OK;
}

void
loop_stop(struct loop *l)
{
	l->is_stopping = true;
	if (l->base)
		event_base_loopbreak(l->base);
}

int64_t
loop_now_ms(const struct loop *l)
{
	return l->base ? clock_boot_ms() : l->sim_now_ms;
}

void
loop_defer(struct loop *l, loop_fn *fn, void *arg)
{
	static const struct timeval at_once = {0, 0};
	struct loop_calls *c = &l->calls;

	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 64;
		c->items = mem_realloc(c->items, c->cap, sizeof(*c->items));
	}
	c->items[c->n++] = (struct loop_call){fn, arg};
	if (c->n == 1 && l->base && event_add(&l->turn, &at_once) < 0)
		log_fatal("LOOP-EVENT", "event_add failed");
}

static void
on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct loop_signal *s = arg;

	s->fn(s->arg);
}

rc
loop_on_signal(struct loop *l, int signo, loop_fn *fn, void *arg)
{
	struct loop_signal *s;

	if (signo < 1 || signo >= LOOP_SIGNALS)
		return RC_INVALID;
	if (l->signals[signo])
		return RC_CONFLICT;
	s = mem_zalloc(sizeof(*s));
	s->fn = fn;
	s->arg = arg;
	if (l->base) {
		s->event = evsignal_new(l->base, signo, on_signal, s);
		if (!s->event || event_add(s->event, NULL) < 0) {
			if (s->event)
				event_free(s->event);
			free(s);
			return RC_IO;
		}
	}
	l->signals[signo] = s;
	return RC_OK;
}

static void
sim_settle(struct loop *l)
{
	for (int i = 0; l->calls.n > 0; i++) {
		if (i == SIM_MAX_TURNS)
			log_fatal("LOOP-SIM", "calls defer calls for ever");
		run_calls(l);
	}
}

void
loop_sim_advance(struct loop *l, int64_t ms)
{
	int64_t until_ms = l->sim_now_ms + ms;

	do
		sim_settle(l);
	while (timer_sim_fire(l, until_ms));
	l->sim_now_ms = until_ms;
}
