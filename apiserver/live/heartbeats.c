#include "apiserver/live/heartbeats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"

enum {
	IN_FLIGHT_MAX = 2,
	BATCH_MAX = 2000,
	TRIES_MAX = 5,
	/* Whoever holds an agent's row mostly lets go within milliseconds:
	 * its heartbeat at another replica, a change of the agent. */
	HELD_MS = 100,
	HELD_TRIES_MAX = 20,
	NFIELDS = BEAT_NFIELDS,
	ID = BEAT_ID,
};

STAILQ_HEAD(beat_list, beat);

/* One request's heartbeat.  The texts live in the op's arena. */
struct beat {
	STAILQ_ENTRY(beat) entry;
	struct heartbeats *owner;
	struct op *op;          /* NULL once the request is gone */
	struct beat_list *list; /* where it waits; NULL: nowhere */
	int held;               /* so often somebody held its row */
	bool is_sent;           /* a batch holds it */
	bool is_done;
	bool is_wanted; /* another digest of what is served is known */
	rc code;
	uint64_t seq;
	const char *fields[NFIELDS];
};

struct batch {
	struct heartbeats *owner;
	struct arena *arena; /* the parameters, since ops may go */
	size_t nbeats;
	struct beat **beats; /* sorted by id */
	const char **ids;    /* theirs, since ops may go */
	size_t nids;         /* without doubles */
	const char *params[NFIELDS];
	struct db_req *req;
	int tries;
};

struct heartbeats {
	struct loop *loop;
	struct db_pool *pool;
	struct beat_list queue;
	struct beat_list held; /* queued anew when the timer fires */
	struct timer *held_timer;
	uint64_t seq;
	bool is_pumping; /* pump runs on the next turn */
	struct batch *in_flight[IN_FLIGHT_MAX];
};

static void on_held(void *arg);

struct heartbeats *
heartbeats_new(struct loop *l, struct db_pool *pool)
{
	struct heartbeats *h = mem_zalloc(sizeof(*h));

	h->loop = l;
	h->pool = pool;
	STAILQ_INIT(&h->queue);
	STAILQ_INIT(&h->held);
	h->held_timer = timer_new(l, on_held, h);
	return h;
}

static void
wait_in(struct beat *b, struct beat_list *list)
{
	STAILQ_INSERT_TAIL(list, b, entry);
	b->list = list;
}

/* --- the end of beats and batches --- */

/* The op's arena ends; its texts go with it. */
static void
end_beat(void *arg)
{
	struct beat *b = arg;

	if (b->list)
		STAILQ_REMOVE(b->list, b, beat, entry);
	b->list = NULL;
	b->op = NULL;
	if (!b->is_sent)
		free(b);
}

static void
free_batch(struct batch *batch)
{
	struct heartbeats *h = batch->owner;
	struct beat *b;

	for (size_t i = 0; i < batch->nbeats; i++) {
		b = batch->beats[i];
		b->is_sent = false;
		if (!b->op)
			free(b);
	}
	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		if (h->in_flight[i] == batch)
			h->in_flight[i] = NULL;
	}
	db_forget(batch->req);
	arena_free(batch->arena);
}

void
heartbeats_free(struct heartbeats *h)
{
	if (!h)
		return;
	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		if (h->in_flight[i])
			free_batch(h->in_flight[i]);
	}
	timer_free(h->held_timer);
	free(h);
}

static void
tell_beat(struct beat *b, rc code)
{
	b->is_done = true;
	b->code = code;
	if (b->op)
		op_wake(b->op);
}

/* --- a batch --- */

static void pump_later(struct heartbeats *h);

static void
finish_batch(struct batch *batch, rc code)
{
	struct heartbeats *h = batch->owner;
	struct beat *b;

	for (size_t i = 0; i < batch->nbeats; i++) {
		b = batch->beats[i];
		if (!b->is_done && !b->list)
			tell_beat(b, code);
	}
	free_batch(batch);
	if (!STAILQ_EMPTY(&h->queue))
		pump_later(h);
}

static rc
fate_of(const struct db_result *r, const struct beat *b)
{
	for (size_t i = 0; i < db_nrows(r); i++) {
		if (strcmp(db_text(r, i, 0), b->fields[ID]) != 0)
			continue;
		if (db_bool(r, i, 1))
			return RC_GONE;
		return db_bool(r, i, 2) ? RC_OK : RC_BUSY;
	}
	return RC_NOT_FOUND;
}

static void
end_or_wait(struct beat *b, rc fate)
{
	struct heartbeats *h = b->owner;

	if (fate != RC_BUSY || b->held == HELD_TRIES_MAX) {
		tell_beat(b, fate);
		return;
	}
	b->held++;
	wait_in(b, &h->held);
	if (!timer_is_armed(h->held_timer))
		timer_arm(h->held_timer, HELD_MS);
}

/* Some ids are unknown, retired or held by somebody; the others were
 * recorded. */
static void
on_known(void *arg, struct db_outcome *o)
{
	struct batch *batch = arg;

	batch->req = NULL;
	if (o->code != RC_OK) {
		finish_batch(batch, o->code);
		return;
	}
	for (size_t i = 0; i < batch->nbeats; i++) {
		if (batch->beats[i]->op)
			end_or_wait(batch->beats[i],
			    fate_of(o->results[0], batch->beats[i]));
	}
	finish_batch(batch, RC_OK);
}

static void send_batch(struct batch *batch);

static int
compare_id(const void *id, const void *of_beat)
{
	return strcmp(id, *(const char *const *)of_beat);
}

/* Of an agent's doubles each is told. */
static void
want(struct batch *batch, const char *id)
{
	const char **found = bsearch(id, batch->ids, batch->nbeats,
	    sizeof(*batch->ids), compare_id);
	size_t i;

	if (!found)
		return;
	for (i = (size_t)(found - batch->ids);
	     i > 0 && compare_id(id, &batch->ids[i - 1]) == 0;)
		i--;
	for (; i < batch->nbeats && compare_id(id, &batch->ids[i]) == 0; i++)
		batch->beats[i]->is_wanted = true;
}

/* How many agents were found; marks those that are to tell more. */
static size_t
read_recorded(struct batch *batch, const struct db_result *r)
{
	size_t n = 0;

	for (size_t i = 0; i < db_nrows(r); i++) {
		if (db_text(r, i, 0)[0] == '\0')
			n = (size_t)db_i64(r, i, 1);
		else
			want(batch, db_text(r, i, 0));
	}
	return n;
}

static void
on_recorded(void *arg, struct db_outcome *o)
{
	struct batch *batch = arg;
	const struct db_stmt known = {Q_AGENTS_KNOWN, 1, batch->params};

	batch->req = NULL;
	if (o->code == RC_BUSY && o->error.sqlstate[0] &&
	    batch->tries < TRIES_MAX) {
		/* Somebody holds an agent of it, or locks several in another
		 * order: nothing was written. */
		send_batch(batch);
	} else if (o->code != RC_OK) {
		finish_batch(batch, o->code);
	} else if (read_recorded(batch, o->results[0]) == batch->nids) {
		finish_batch(batch, RC_OK);
	} else {
		batch->req =
		    db_submit(batch->owner->pool, &known, 1, on_known, batch);
	}
}

static void
send_batch(struct batch *batch)
{
	const struct db_stmt stmt = {batch->tries == 0
					 ? Q_AGENTS_HEARTBEAT
					 : Q_AGENTS_HEARTBEAT_PAST,
	    NFIELDS, batch->params};

	batch->tries++;
	batch->req =
	    db_submit(batch->owner->pool, &stmt, 1, on_recorded, batch);
}

static int
compare_beats(const void *x, const void *y)
{
	const struct beat *a = *(struct beat *const *)x;
	const struct beat *b = *(struct beat *const *)y;
	int diff = strcmp(a->fields[ID], b->fields[ID]);

	return diff != 0 ? diff : (a->seq > b->seq) - (a->seq < b->seq);
}

/* Of an agent's doubles the last text that says something counts. */
static void
make_params(struct batch *batch)
{
	struct arena *a = batch->arena;
	const char **columns[NFIELDS], *text;
	const struct beat *b;

	batch->ids = arena_alloc(a, batch->nbeats * sizeof(*batch->ids));
	for (int f = 0; f < NFIELDS; f++)
		columns[f] = arena_alloc(a, batch->nbeats * sizeof(char *));
	for (size_t i = 0; i < batch->nbeats; i++) {
		b = batch->beats[i];
		batch->ids[i] = arena_strdup(a, b->fields[ID]);
		if (i == 0 || strcmp(b->fields[ID],
				  batch->beats[i - 1]->fields[ID]) != 0) {
			for (int f = 0; f < NFIELDS; f++)
				columns[f][batch->nids] = "";
			batch->nids++;
		}
		for (int f = 0; f < NFIELDS; f++) {
			text = b->fields[f];
			if (*text)
				columns[f][batch->nids - 1] = text;
		}
	}
	for (int f = 0; f < NFIELDS; f++)
		batch->params[f] = db_text_array(a, columns[f], batch->nids);
}

static struct batch *
make_batch(struct heartbeats *h)
{
	struct arena *a = arena_new();
	struct batch *batch = arena_alloc(a, sizeof(*batch));
	struct beat *b;
	size_t n = 0;

	STAILQ_FOREACH (b, &h->queue, entry) {
		if (++n == BATCH_MAX)
			break;
	}
	batch->owner = h;
	batch->arena = a;
	batch->beats = arena_alloc(a, n * sizeof(struct beat *));
	while (batch->nbeats < n) {
		b = STAILQ_FIRST(&h->queue);
		STAILQ_REMOVE_HEAD(&h->queue, entry);
		b->list = NULL;
		b->is_sent = true;
		batch->beats[batch->nbeats++] = b;
	}
	qsort(batch->beats, n, sizeof(struct beat *), compare_beats);
	make_params(batch);
	return batch;
}

static void
pump(void *arg)
{
	struct heartbeats *h = arg;

	h->is_pumping = false;
	for (int i = 0; i < IN_FLIGHT_MAX && !STAILQ_EMPTY(&h->queue); i++) {
		if (h->in_flight[i])
			continue;
		h->in_flight[i] = make_batch(h);
		send_batch(h->in_flight[i]);
	}
}

/* On the next turn, so that all that this turn reads goes together. */
static void
pump_later(struct heartbeats *h)
{
	if (h->is_pumping)
		return;
	h->is_pumping = true;
	loop_defer(h->loop, pump, h);
}

static void
on_held(void *arg)
{
	struct heartbeats *h = arg;
	struct beat *b;

	while ((b = STAILQ_FIRST(&h->held))) {
		STAILQ_REMOVE_HEAD(&h->held, entry);
		wait_in(b, &h->queue);
	}
	pump_later(h);
}

/* --- the request's side --- */

struct beat *
heartbeats_add(struct heartbeats *h, struct op *op,
    const char *const fields[BEAT_NFIELDS])
{
	struct beat *b = mem_zalloc(sizeof(*b));

	b->owner = h;
	b->op = op;
	for (int f = 0; f < NFIELDS; f++)
		b->fields[f] = fields[f];
	arena_defer(op_arena(op), end_beat, b);
	b->seq = ++h->seq;
	wait_in(b, &h->queue);
	pump_later(h);
	return b;
}

rc
beat_result(const struct beat *b)
{
	return b->is_done ? b->code : RC_TIMEOUT;
}

bool
beat_is_wanted(const struct beat *b)
{
	return b->is_wanted;
}
