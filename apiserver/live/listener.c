#include "apiserver/live/listener.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "apiserver/live/eventlog_int.h"
#include "common/base/mem.h"
#include "common/log/log_peer.h"

enum { SLOW_MS = 10000 }; /* a client takes nothing for so long */

/* How many listen by one key. */
struct holder {
	UT_hash_handle hh;
	size_t n;
	char who[];
};

struct listener {
	LIST_ENTRY(listener) entry;
	struct eventlog *log;
	struct holder *holder;
	struct op *op;
	uint64_t next; /* the number of the event it is to see */
	uint64_t look; /* the first that knows all from before it joined */
	struct event_place after; /* events up to there are known to it */
	int64_t sending_ms;       /* since when its client is sent some */
	bool is_sending;
	bool wants_conditions;
	bool is_dropped;
	bool must_check; /* whether its key is good still */
	bool is_parked;
	bool is_signalled; /* woken while it was not parked */
};

static void
wake(struct listener *l)
{
	if (l->is_parked)
		op_wake(l->op);
	else
		l->is_signalled = true;
	l->is_parked = false;
}

void
listeners_wake(struct eventlog *g)
{
	struct listener *l;

	/* Waking only marks the op: none leaves inside this loop. */
	LIST_FOREACH (l, &g->listeners, entry)
		wake(l);
}

/* Runs when the op's arena ends. */
static void
leave(void *arg)
{
	struct listener *l = arg;
	struct eventlog *g = l->log;

	LIST_REMOVE(l, entry);
	g->n--;
	g->nconditions -= l->wants_conditions;
	if (--l->holder->n == 0) {
		HASH_DEL(g->holders, l->holder);
		free(l->holder);
	}
	free(l);
	if (g->n > 0)
		return;
	/*
	 * Nobody is read for.  Who comes next begins with what is then, by a
	 * hint of its own, which one that waits for the tick would swallow.
	 */
	timer_disarm(g->tick);
	g->is_hinted = false;
	eventring_clear(&g->ring);
}

static struct holder *
hold(struct eventlog *g, const char *who)
{
	struct holder *h;

	HASH_FIND_STR(g->holders, who, h);
	if (!h) {
		h = mem_zalloc(sizeof(*h) + strlen(who) + 1);
		memcpy(h->who, who, strlen(who) + 1);
		HASH_ADD_STR(g->holders, who, h);
	}
	return h;
}

static rc
may_join(struct eventlog *g, const char *who, const char **out_why)
{
	struct holder *h;

	HASH_FIND_STR(g->holders, who, h);
	if (g->is_stopping)
		*out_why = "this server is stopping; try again";
	else if (g->n >= g->opts.max)
		*out_why = "too many listen to events here "
			   "(CERTCTL_EVENTS_MAX_LISTENERS); try again";
	else if (h && h->n >= g->opts.max_per_key)
		*out_why = "too many listen to events by this key "
			   "(CERTCTL_EVENTS_MAX_LISTENERS_PER_KEY); try again";
	else
		return RC_OK;
	g->nrefused++;
	return RC_UNAVAILABLE;
}

rc
listener_new(struct eventlog *g, struct op *op, const char *who,
    bool wants_conditions, struct listener **out, const char **out_why)
{
	rc ret = may_join(g, who, out_why);
	struct listener *l;

	if (ret != RC_OK)
		return ret;
	l = mem_zalloc(sizeof(*l));
	l->log = g;
	l->op = op;
	l->holder = hold(g, who);
	l->holder->n++;
	l->wants_conditions = wants_conditions;
	l->look = g->nlooks + 1; /* one under way may have begun too early */
	l->next = g->ring.end;
	g->n++;
	g->nconditions += wants_conditions;
	LIST_INSERT_HEAD(&g->listeners, l, entry);
	arena_defer(op_arena(op), leave, l);
	*out = l;
	return RC_OK;
}

bool
listener_is_ready(const struct listener *l)
{
	return l->log->ring.has_place && l->log->nlooked >= l->look;
}

void
listener_begin(struct listener *l)
{
	l->next = l->log->ring.end;
	l->after = l->log->ring.high;
}

rc
listener_go_on(struct listener *l, const struct event_place *place)
{
	struct eventlog *g = l->log;

	if (!eventring_reaches(&g->ring, place))
		return RC_NOT_FOUND;
	l->next = eventring_find(&g->ring, place);
	l->after = *place;
	return RC_OK;
}

rc
listener_seek(struct listener *l, const struct event_place *place)
{
	struct eventlog *g = l->log;
	const struct event_place *before;
	uint64_t n;

	if (!eventring_reaches(&g->ring, place))
		return RC_NOT_FOUND;
	if (place->batch == g->ring.high.batch &&
	    place->mark == g->ring.high.mark)
		return listener_go_on(l, place);
	/* Its mark is known by an event of its batch. */
	n = eventring_find(&g->ring, place);
	if (n == g->ring.first)
		return RC_NOT_FOUND;
	before = &eventring_at(&g->ring, n - 1)->place;
	if (before->batch == place->batch && before->mark == place->mark)
		return listener_go_on(l, place);
	return RC_NOT_FOUND;
}

const struct event *
listener_next(struct listener *l)
{
	struct eventlog *g = l->log;
	const struct event *e;

	if (l->next < g->ring.first) { /* it was let go before it was sent */
		l->is_dropped = true;
		return NULL;
	}
	while (l->next < g->ring.end) {
		e = eventring_at(&g->ring, l->next);
		if (event_place_compare(&e->place, &l->after) > 0)
			return e;
		l->next++; /* it read that itself */
	}
	return NULL;
}

void
listener_pass(struct listener *l)
{
	l->after = eventring_at(&l->log->ring, l->next)->place;
	l->next++;
}

void
listener_place(const struct listener *l, struct event_place *out)
{
	const struct eventlog *g = l->log;
	bool is_all = l->next == g->ring.end && g->ring.has_place &&
		      event_place_compare(&g->ring.high, &l->after) > 0;

	*out = is_all ? g->ring.high : l->after;
}

void
listener_sends(struct listener *l, size_t nevents)
{
	l->log->nsent += nevents;
	l->sending_ms = loop_now_ms(l->log->loop);
	l->is_sending = true;
}

void
listener_sent(struct listener *l)
{
	l->is_sending = false;
}

bool
listener_is_dropped(struct listener *l)
{
	if (!l->is_dropped)
		return false;
	l->log->nslow++;
	log_peer(LOG_WARN, "EVENTS-SLOW", l->holder->who,
	    "a listener of %s was dropped: its client takes events too slowly",
	    l->holder->who);
	return true;
}

bool
listener_must_check(struct listener *l)
{
	bool must = l->must_check;

	l->must_check = false;
	return must;
}

enum op_next
listener_wait(struct listener *l, int64_t max_ms, op_step *next)
{
	if (l->is_signalled) {
		l->is_signalled = false;
		return op_goto(l->op, next);
	}
	l->is_parked = true;
	return op_park(l->op, max_ms, next);
}

void
listeners_drop_slow(struct eventlog *g)
{
	int64_t now = loop_now_ms(g->loop);
	struct listener *l;

	LIST_FOREACH (l, &g->listeners, entry) {
		if (!l->is_sending || now - l->sending_ms < SLOW_MS)
			continue;
		l->is_dropped = true;
		op_wake(l->op);
	}
}

void
listeners_check(struct eventlog *g)
{
	struct listener *l;

	LIST_FOREACH (l, &g->listeners, entry)
		l->must_check = true;
	listeners_wake(g);
}

void
listeners_lose_place(struct eventlog *g)
{
	struct listener *l;

	LIST_FOREACH (l, &g->listeners, entry) {
		l->after = (struct event_place){0};
		l->next = g->ring.end;
	}
}
