#include "apiserver/live/eventlog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/live/eventlog_int.h"
#include "common/base/mem.h"
#include "common/log/log_peer.h"

enum {
	LOOK_MS = 250,
	GAP_MS = 100, /* between two looks, however many hints come */
	CONDITIONS_MS = 2000,
	LOOK_ROWS = 2000,
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

void
eventlog_free(struct eventlog *g)
{
	if (!g)
		return;
	db_forget(g->look);
	db_forget(g->conditions);
	eventring_clear(&g->ring);
	timer_free(g->tick);
	free(g);
}

rc
eventlog_join(struct eventlog *g, struct op *op, const char *who,
    bool wants_conditions, struct listener **out, const char **out_why)
{
	rc ret = listener_new(g, op, who, wants_conditions, out, out_why);

	if (ret == RC_OK)
		eventlog_hint(g);
	return ret;
}

/* --- looks --- */

/* What came to nobody's ears: all begin anew. */
static void
lose_place(struct eventlog *g, const struct event_place *head)
{
	log_peer(LOG_WARN, "EVENTS-RESET", "",
	    "live events were not read for too long, or the database is "
	    "another copy: listeners are told to ask for lists anew");
	listeners_lose_place(g);
	eventring_restart(&g->ring, head);
	eventring_keep(&g->ring, event_reset(head));
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
		eventring_keep(&g->ring, e);
		eventring_set_high(&g->ring, &e->place);
	}
	g->nread += n;
	if (n < LOOK_ROWS)
		eventring_set_high(&g->ring, &head);
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
		eventring_clear(&g->ring);
		return;
	}
	listeners_wake(g);
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
	const struct event_place *high = &g->ring.high;

	(void)snprintf(limit, sizeof(limit), "%d", LOOK_ROWS);
	if (g->ring.has_place) {
		(void)snprintf(batch, sizeof(batch), "%" PRId64, high->batch);
		(void)snprintf(mark, sizeof(mark), "%" PRIu32, high->mark);
		(void)snprintf(seq, sizeof(seq), "%" PRId64, high->seq);
		params[0] = batch;
		params[1] = mark;
		params[2] = high->seq == EVENT_SEQ_ALL ? NULL : seq;
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

static void
on_tick(void *arg)
{
	struct eventlog *g = arg;

	listeners_drop_slow(g);
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
	listeners_check(g);
}

void
eventlog_stop(struct eventlog *g)
{
	g->is_stopping = true;
	listeners_wake(g);
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
