#include "apiserver/live/eventlog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <uthash.h>

#include "common/base/mem.h"
#include "common/log/log_peer.h"

enum {
	LOOK_MS = 250,
	GAP_MS = 100, /* between two looks, however many hints come */
	CONDITIONS_MS = 2000,
	LOOK_ROWS = 2000,
	KEPT_MAX = 1 << 16, /* events; a power of two */
	KEPT_MAX_BYTES = 32 * 1024 * 1024,
	SLOW_MS = 10000, /* a client takes nothing for so long */
};

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

struct eventlog {
	struct loop *loop;
	struct eventlog_opts opts;
	struct timer *tick;
	LIST_HEAD(, listener) listeners;
	size_t n, nconditions;
	struct holder *holders;
	bool is_stopping;

	/* Events by their numbers, first..end; what lies before has been let
	 * go up to the place low; all up to high has been read. */
	struct event *kept[KEPT_MAX];
	uint64_t first, end;
	size_t bytes;
	struct event_place low, high;
	bool has_place; /* low and high */

	struct db_req *look, *conditions;
	uint64_t nlooks, nlooked;       /* begun; done with success */
	int64_t look_ms, conditions_ms; /* when the last began */
	bool is_hinted;
	bool has_failed; /* said so */

	uint64_t nread, nsent, nslow, nrefused;
};

static void on_tick(void *arg);
static void begin_look(struct eventlog *g);

struct eventlog *
eventlog_new(struct loop *l, const struct eventlog_opts *opts)
{
	struct eventlog *g = mem_zalloc(sizeof(*g));

	g->loop = l;
	g->opts = *opts;
	g->tick = timer_new(l, on_tick, g);
	LIST_INIT(&g->listeners);
	return g;
}

static struct event **
slot(struct eventlog *g, uint64_t n)
{
	return &g->kept[n & (KEPT_MAX - 1)];
}

static void
let_go_first(struct eventlog *g)
{
	struct event *e = *slot(g, g->first);

	g->low = e->place;
	g->bytes -= e->size;
	g->first++;
	free(e);
}

static void
forget_all(struct eventlog *g)
{
	while (g->first < g->end)
		let_go_first(g);
	g->has_place = false;
}

void
eventlog_free(struct eventlog *g)
{
	if (!g)
		return;
	db_forget(g->look);
	db_forget(g->conditions);
	forget_all(g);
	timer_free(g->tick);
	free(g);
}

/* --- listeners --- */

static void
wake(struct listener *l)
{
	if (l->is_parked)
		op_wake(l->op);
	else
		l->is_signalled = true;
	l->is_parked = false;
}

static void
wake_all(struct eventlog *g)
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
	/* Nobody is read for.  Who comes next begins with what is then. */
	timer_disarm(g->tick);
	forget_all(g);
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
eventlog_join(struct eventlog *g, struct op *op, const char *who,
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
	l->next = g->end;
	g->n++;
	g->nconditions += wants_conditions;
	LIST_INSERT_HEAD(&g->listeners, l, entry);
	arena_defer(op_arena(op), leave, l);
	eventlog_hint(g);
	*out = l;
	return RC_OK;
}

bool
listener_is_ready(const struct listener *l)
{
	return l->log->has_place && l->log->nlooked >= l->look;
}

void
listener_begin(struct listener *l)
{
	l->next = l->log->end;
	l->after = l->log->high;
}

/* The number of the first event behind that place. */
static uint64_t
find(struct eventlog *g, const struct event_place *place)
{
	uint64_t low = g->first, high = g->end;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (event_place_compare(&(*slot(g, mid))->place, place) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

rc
listener_go_on(struct listener *l, const struct event_place *place)
{
	struct eventlog *g = l->log;

	if (!g->has_place || event_place_compare(place, &g->low) < 0)
		return RC_NOT_FOUND;
	l->next = find(g, place);
	l->after = *place;
	return RC_OK;
}

rc
listener_seek(struct listener *l, const struct event_place *place)
{
	struct eventlog *g = l->log;
	uint64_t n;

	if (!g->has_place || event_place_compare(place, &g->low) < 0)
		return RC_NOT_FOUND;
	if (place->batch == g->high.batch && place->mark == g->high.mark)
		return listener_go_on(l, place);
	/* Its mark is known by an event of its batch. */
	n = find(g, place);
	if (n > g->first && (*slot(g, n - 1))->place.batch == place->batch &&
	    (*slot(g, n - 1))->place.mark == place->mark)
		return listener_go_on(l, place);
	return RC_NOT_FOUND;
}

const struct event *
listener_next(struct listener *l)
{
	struct eventlog *g = l->log;
	struct event *e;

	if (l->next < g->first) { /* it was let go before it was sent */
		l->is_dropped = true;
		return NULL;
	}
	while (l->next < g->end) {
		e = *slot(g, l->next);
		if (event_place_compare(&e->place, &l->after) > 0)
			return e;
		l->next++; /* it read that itself */
	}
	return NULL;
}

void
listener_pass(struct listener *l)
{
	l->after = (*slot(l->log, l->next))->place;
	l->next++;
}

void
listener_place(const struct listener *l, struct event_place *out)
{
	const struct eventlog *g = l->log;
	bool is_all = l->next == g->end && g->has_place &&
		      event_place_compare(&g->high, &l->after) > 0;

	*out = is_all ? g->high : l->after;
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

/* --- looks --- */

static void
keep(struct eventlog *g, struct event *e)
{
	if (g->end - g->first == KEPT_MAX)
		let_go_first(g);
	*slot(g, g->end) = e;
	g->end++;
	g->bytes += e->size;
	while (g->bytes > KEPT_MAX_BYTES && g->end - g->first > 1)
		let_go_first(g);
}

static void
set_high(struct eventlog *g, const struct event_place *place)
{
	if (!g->has_place)
		g->low = *place;
	g->has_place = true;
	g->high = *place;
}

/* What came to nobody's ears: all begin anew. */
static void
lose_place(struct eventlog *g, const struct event_place *head)
{
	log_peer(LOG_WARN, "EVENTS-RESET", "",
	    "live events were not read for too long, or the database is "
	    "another copy: listeners are told to ask for lists anew");
	/* Their places are of what is no more. */
	for (struct listener *l = LIST_FIRST(&g->listeners); l;
	     l = LIST_NEXT(l, entry)) {
		l->after = (struct event_place){0};
		l->next = g->end;
	}
	forget_all(g);
	g->low = g->high = *head;
	g->has_place = true;
	keep(g, event_reset(head));
}

/* The last row is no event. */
static bool
learn(struct eventlog *g, const struct db_result *rows)
{
	size_t n = db_nrows(rows) - 1;
	struct event_place head = {db_i64(rows, n, db_col(rows, "batch")),
	    (uint32_t)db_i64(rows, n, db_col(rows, "mark")), EVENT_SEQ_ALL};
	bool is_access = false;

	if (strcmp(db_text(rows, n, db_col(rows, "outcome")), "ok") != 0) {
		lose_place(g, &head);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		struct event *e = event_of_row(rows, i);

		is_access = is_access || e->kind == EVENT_ACCESS;
		keep(g, e);
		set_high(g, &e->place);
	}
	g->nread += n;
	if (n < LOOK_ROWS)
		set_high(g, &head);
	if (is_access)
		g->opts.on_access(g->opts.arg);
	return n == LOOK_ROWS;
}

static void
on_looked(void *arg, struct db_outcome *o)
{
	struct eventlog *g = arg;
	bool is_more = false;

	g->look = NULL;
	if (o->code == RC_OK) {
		is_more = learn(g, o->results[0]);
		g->nlooked = g->nlooks;
	} else if (!g->has_failed) {
		log_peer(LOG_WARN, "EVENTS-LOOK", "",
		    "live events were not read (%s): %s", rc_name(o->code),
		    o->error.message);
	}
	g->has_failed = o->code != RC_OK;
	if (g->n == 0) {
		forget_all(g);
		return;
	}
	wake_all(g);
	if (is_more)
		begin_look(g);
	else
		timer_arm(g->tick, g->is_hinted ? GAP_MS : LOOK_MS);
}

static void
begin_look(struct eventlog *g)
{
	char batch[24], mark[24], seq[24], limit[24];
	const char *params[] = {NULL, NULL, NULL, limit};

	(void)snprintf(limit, sizeof(limit), "%d", LOOK_ROWS);
	if (g->has_place) {
		(void)snprintf(batch, sizeof(batch), "%" PRId64, g->high.batch);
		(void)snprintf(mark, sizeof(mark), "%" PRIu32, g->high.mark);
		(void)snprintf(seq, sizeof(seq), "%" PRId64, g->high.seq);
		params[0] = batch;
		params[1] = mark;
		params[2] = g->high.seq == EVENT_SEQ_ALL ? NULL : seq;
	}
	g->nlooks++;
	g->look_ms = loop_now_ms(g->loop);
	g->is_hinted = false;
	g->look = db_submit(g->opts.pool,
	    &(struct db_stmt){Q_EVENTS_LOOK, ARRAY_LEN(params), params}, 1,
	    on_looked, g);
}

static void
on_conditions(void *arg, struct db_outcome *o)
{
	struct eventlog *g = arg;

	g->conditions = NULL; /* the next look at them is two seconds away */
	(void)o;
}

static void
look_at_conditions(struct eventlog *g)
{
	int64_t now = loop_now_ms(g->loop);

	if (g->nconditions == 0 || g->conditions ||
	    now - g->conditions_ms < CONDITIONS_MS)
		return;
	g->conditions_ms = now;
	g->conditions = db_submit(g->opts.pool,
	    &(struct db_stmt){Q_EVENTS_CONDITIONS, 0, NULL}, 1, on_conditions,
	    g);
}

/* Whose clients take nothing. */
static void
drop_slow(struct eventlog *g)
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

static void
on_tick(void *arg)
{
	struct eventlog *g = arg;

	drop_slow(g);
	look_at_conditions(g);
	if (!g->look)
		begin_look(g);
}

void
eventlog_hint(struct eventlog *g)
{
	int64_t left;

	if (g->n == 0 || g->is_hinted)
		return;
	g->is_hinted = true;
	if (g->look) /* the next one follows it soon */
		return;
	left = GAP_MS - (loop_now_ms(g->loop) - g->look_ms);
	timer_arm(g->tick, left > 0 ? left : 0);
}

void
eventlog_access(struct eventlog *g)
{
	struct listener *l;

	LIST_FOREACH (l, &g->listeners, entry)
		l->must_check = true;
	wake_all(g);
}

void
eventlog_stop(struct eventlog *g)
{
	g->is_stopping = true;
	wake_all(g);
}

bool
eventlog_is_stopping(const struct eventlog *g)
{
	return g->is_stopping;
}

/* --- metrics --- */

static void
put(struct buf *b, const char *prefix, const char *name, const char *type,
    const char *help, uint64_t value)
{
	buf_printf(b, "# HELP %s%s %s\n# TYPE %s%s %s\n%s%s %" PRIu64 "\n",
	    prefix, name, help, prefix, name, type, prefix, name, value);
}

void
eventlog_write(const struct eventlog *g, const char *prefix, struct buf *b)
{
	put(b, prefix, "event_listeners", "gauge",
	    "Clients that listen to live events at this apiserver.", g->n);
	put(b, prefix, "event_looks_total", "counter",
	    "Statements by which this apiserver looked for new events.",
	    g->nlooks);
	put(b, prefix, "events_read_total", "counter",
	    "Live events that were read from the database.", g->nread);
	put(b, prefix, "events_sent_total", "counter",
	    "Live events that were sent, each listener counted.", g->nsent);
	put(b, prefix, "event_listeners_dropped_total", "counter",
	    "Listeners that were dropped for taking events too slowly.",
	    g->nslow);
	put(b, prefix, "event_listeners_refused_total", "counter",
	    "Clients that were answered 503 because too many listen.",
	    g->nrefused);
}
