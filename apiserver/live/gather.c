#include "apiserver/live/gather.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/log/log.h"

enum {
	IN_FLIGHT_MAX = 2,
	BATCH_MAX = 100, /* what one statement takes stays below a few ms */
	NO_ROW = -1,
	PAUSE_MOST_MS = 8, /* and no longer than the last one took */
};

/* What one request asks for; in its op's arena. */
struct gathered {
	STAILQ_ENTRY(gathered) entry;
	struct gather *owner;
	struct op *op;
	const char *id;
	struct batch *batch; /* NULL: it waits to be sent */
	int64_t row;         /* the first */
	size_t nrows;
	op_step *next; /* of gather_query */
};

/* It ends when its answer is in and all ops that read it have ended. */
struct batch {
	struct gather *owner;
	struct arena *arena;
	int64_t sent_ms;
	size_t n, nusers;
	struct gathered **asked; /* NULL: that op has ended */
	struct db_req *req;      /* NULL: the answer is in */
	const struct db_result *rows;
	rc code;
};

struct gather {
	struct loop *loop;
	struct db_pool *pool;
	enum query q;
	const char *with;    /* NULL: q has one parameter */
	size_t most;         /* statements at a time */
	struct timer *pause; /* armed: it lets more come first; NULL: never */
	STAILQ_HEAD(, gathered) queue;
	bool is_pumping; /* pump runs on the next turn */
	struct batch *in_flight[IN_FLIGHT_MAX];
};

static void pump_later(struct gather *g);

static void
pause_over(void *arg)
{
	struct gather *g = arg;

	if (!STAILQ_EMPTY(&g->queue))
		pump_later(g);
}

/* Those whom one statement answered come again at about the same time, with
 * what they ask next; sent at once, the first of them would go alone and the
 * others after it.  Who asks alone never waits. */
static void
pause_after(struct gather *g, size_t n, int64_t took_ms)
{
	if (g->pause == NULL || n < 2)
		return;
	timer_arm(g->pause, took_ms < PAUSE_MOST_MS ? took_ms : PAUSE_MOST_MS);
}

struct gather *
gather_new(struct loop *l, struct db_pool *pool, enum query q, const char *with)
{
	struct gather *g = mem_zalloc(sizeof(*g));

	g->loop = l;
	g->pool = pool;
	g->q = q;
	g->with = with;
	g->most = IN_FLIGHT_MAX;
	STAILQ_INIT(&g->queue);
	return g;
}

void
gather_serialize(struct gather *g)
{
	g->most = 1;
	g->pause = timer_new(g->loop, pause_over, g);
}

void
gather_free(struct gather *g)
{
	if (!g)
		return;
	timer_free(g->pause);
	for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
		if (g->in_flight[i] == NULL)
			continue;
		db_forget(g->in_flight[i]->req);
		arena_free(g->in_flight[i]->arena);
	}
	free(g);
}

/* --- a batch --- */

static void pump_later(struct gather *g);

static void
free_if_unused(struct batch *b)
{
	if (b->nusers == 0 && b->req == NULL)
		arena_free(b->arena);
}

static void
read_rows(struct batch *b)
{
	int at = db_col(b->rows, "at");

	for (size_t i = 0; i < db_nrows(b->rows); i++) {
		int64_t n = db_i64(b->rows, i, at);

		struct gathered *one;

		if (n < 1 || (size_t)n > b->n || b->asked[n - 1] == NULL)
			continue;
		one = b->asked[n - 1];
		if (one->nrows++ == 0)
			one->row = (int64_t)i;
	}
}

static void
on_rows(void *arg, struct db_outcome *o)
{
	struct batch *b = arg;
	struct gather *g = b->owner;

	b->req = NULL;
	b->code = o->code;
	for (size_t i = 0; i < IN_FLIGHT_MAX; i++) {
		if (g->in_flight[i] == b)
			g->in_flight[i] = NULL;
	}
	if (o->code == RC_OK) {
		db_results_keep(o, b->arena);
		b->rows = o->results[0];
		read_rows(b);
	} else if (o->code == RC_INTERNAL || o->code == RC_DATA) {
		log_error("GATHER-DB", "%s: %s %s", sql_statements[g->q].name,
		    o->error.sqlstate, o->error.message);
	}
	for (size_t i = 0; i < b->n; i++) {
		if (b->asked[i] != NULL)
			op_wake(b->asked[i]->op);
	}
	pause_after(g, b->n, loop_now_ms(g->loop) - b->sent_ms);
	free_if_unused(b);
	if (!STAILQ_EMPTY(&g->queue))
		pump_later(g);
}

static struct batch *
send_batch(struct gather *g)
{
	struct arena *a = arena_new();
	struct batch *b = arena_alloc(a, sizeof(*b));
	const char *ids[BATCH_MAX], *params[2] = {NULL, g->with};
	struct db_stmt stmt = {g->q, g->with ? 2 : 1, params};
	struct gathered *one;

	b->owner = g;
	b->arena = a;
	b->asked = arena_alloc(a, BATCH_MAX * sizeof(struct gathered *));
	b->sent_ms = loop_now_ms(g->loop);
	while (b->n < BATCH_MAX && (one = STAILQ_FIRST(&g->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&g->queue, entry);
		one->batch = b;
		ids[b->n] = one->id;
		b->asked[b->n++] = one;
	}
	b->nusers = b->n;
	params[0] = db_text_array(a, ids, b->n);
	b->req = db_submit(g->pool, &stmt, 1, on_rows, b);
	return b;
}

static void
pump(void *arg)
{
	struct gather *g = arg;

	g->is_pumping = false;
	if (g->pause != NULL && timer_is_armed(g->pause))
		return;
	for (size_t i = 0; i < g->most; i++) {
		if (g->in_flight[i] == NULL && !STAILQ_EMPTY(&g->queue))
			g->in_flight[i] = send_batch(g);
	}
}

/* On the next turn, so that all that this turn reads goes together. */
static void
pump_later(struct gather *g)
{
	if (g->is_pumping)
		return;
	g->is_pumping = true;
	loop_defer(g->loop, pump, g);
}

/* --- the request's side --- */

static void
end_asked(void *arg)
{
	struct gathered *one = arg;
	struct batch *b = one->batch;

	if (b == NULL) {
		STAILQ_REMOVE(&one->owner->queue, one, gathered, entry);
		return;
	}
	for (size_t i = 0; i < b->n; i++) {
		if (b->asked[i] == one)
			b->asked[i] = NULL;
	}
	b->nusers--;
	free_if_unused(b);
}

struct gathered *
gather_ask(struct gather *g, struct op *op, const char *id)
{
	struct gathered *one = arena_alloc(op_arena(op), sizeof(*one));

	one->owner = g;
	one->op = op;
	one->id = id;
	one->row = NO_ROW;
	arena_defer(op_arena(op), end_asked, one);
	STAILQ_INSERT_TAIL(&g->queue, one, entry);
	pump_later(g);
	return one;
}

rc
gathered_row(const struct gathered *a, const struct db_result **out_rows,
    size_t *out_row)
{
	const struct batch *b = a->batch;

	if (b == NULL || b->req != NULL)
		return RC_TIMEOUT;
	if (b->code != RC_OK)
		return b->code;
	if (a->row == NO_ROW)
		return RC_NOT_FOUND;
	*out_rows = b->rows;
	*out_row = (size_t)a->row;
	return RC_OK;
}

size_t
gathered_count(const struct gathered *a)
{
	return a->nrows;
}

/* --- all of it as one step --- */

/* The server itself is away, or the op's time is over. */
static bool
is_for_all(rc code)
{
	return code == RC_UNAVAILABLE || code == RC_TIMEOUT;
}

static enum op_next
ask_alone(struct op *op, const struct gathered *one)
{
	const struct gather *g = one->owner;
	const char *params[2] = {db_text_array(op_arena(op), &one->id, 1),
	    g->with};

	return op_query(op, g->q, one->next, g->with ? 2 : 1, params);
}

static enum op_next
rows_came(struct op *op)
{
	const struct gathered *one = op_lent(op);
	const struct db_result *rows;
	size_t row;
	rc ret;

	op_lend(op, NULL);
	ret = gathered_row(one, &rows, &row);
	if (ret != RC_OK)
		return is_for_all(ret) ? op_fail(op, ret, "%s", "")
				       : ask_alone(op, one);
	op_show(op, rows, row, one->nrows);
	return one->next(op);
}

enum op_next
gather_query(struct gather *g, struct op *op, const char *id, op_step *next)
{
	struct gathered *one = gather_ask(g, op, id);

	one->next = next;
	op_lend(op, one);
	return op_park(op, op_left_ms(op), rows_came);
}
