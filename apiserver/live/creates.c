#include "apiserver/live/creates.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"

enum {
	/* While one commits the other works. */
	IN_FLIGHT_MAX = 2,
	BATCH_MAX = 128,
	/* Bodies of any length are let in; so many bytes go together. */
	BATCH_BYTES = 256 * 1024,
};

STAILQ_HEAD(create_list, create);

/* One request's certificate.  The body lives in the op's arena. */
struct create {
	STAILQ_ENTRY(create) entry;
	struct creates *owner;
	struct op *op; /* NULL once the request is gone */
	bool is_queued;
	struct batch *batch; /* that holds it, or its row; NULL: none */
	size_t most;         /* that go with it, itself included */
	enum create_end end;
	rc code;
	size_t row;
	const char *given, *actor, *actor_type;
};

/* Lives until its rows are read. */
struct batch {
	struct creates *owner;
	struct arena *arena; /* parameters and rows, since ops may go */
	size_t nheld;        /* creates that have a row here */
	size_t ncreates;
	struct create **creates; /* while it is in flight */
	const struct db_result *rows;
	struct db_req *req;
};

struct creates {
	struct loop *loop;
	struct db_pool *pool;
	struct create_list queue;
	bool is_pumping; /* pump runs on the next turn */
	struct batch *in_flight[IN_FLIGHT_MAX];
};

struct creates *
creates_new(struct loop *l, struct db_pool *pool)
{
	struct creates *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	s->pool = pool;
	STAILQ_INIT(&s->queue);
	return s;
}

/* --- the end of creates and batches --- */

/* No longer holds the create's row. */
static void
let_go(struct batch *batch)
{
	if (--batch->nheld == 0)
		arena_free(batch->arena);
}

/* The op's arena ends; the body goes with it. */
static void
end_create(void *arg)
{
	struct create *c = arg;

	c->op = NULL;
	if (c->is_queued)
		STAILQ_REMOVE(&c->owner->queue, c, create, entry);
	else if (c->end == CREATE_WAITS)
		return; /* its batch is in flight, and frees it */
	if (c->end == CREATE_MADE)
		let_go(c->batch);
	free(c);
}

static void
tell(struct create *c, enum create_end end, rc code)
{
	c->end = end;
	c->code = code;
	op_wake(c->op);
}

void
creates_free(struct creates *s)
{
	if (!s)
		return;
	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		struct batch *batch = s->in_flight[i];

		if (!batch)
			continue;
		db_forget(batch->req);
		for (size_t n = 0; n < batch->ncreates; n++)
			free(batch->creates[n]);
		arena_free(batch->arena);
	}
	free(s);
}

/* --- a batch's end --- */

/* To the queue's head, in their order, to go in halves. */
static void
queue_again(struct batch *batch)
{
	struct creates *s = batch->owner;

	for (size_t i = batch->ncreates; i-- > 0;) {
		struct create *c = batch->creates[i];

		if (!c)
			continue;
		c->most = (batch->ncreates + 1) / 2;
		c->batch = NULL;
		c->is_queued = true;
		STAILQ_INSERT_HEAD(&s->queue, c, entry);
	}
}

static void
tell_all(struct batch *batch, enum create_end end, rc code)
{
	for (size_t i = 0; i < batch->ncreates; i++) {
		if (batch->creates[i])
			tell(batch->creates[i], end, code);
	}
}

/* A name or an id that exists already has no row. */
static void
read_rows(struct batch *batch, struct db_outcome *o)
{
	int n_col;

	db_results_keep(o, batch->arena);
	batch->rows = o->results[0];
	n_col = db_col(batch->rows, "n");
	for (size_t row = 0; row < db_nrows(batch->rows); row++) {
		size_t n = (size_t)db_i64(batch->rows, row, n_col) - 1;
		struct create *c = batch->creates[n];

		if (!c)
			continue;
		c->row = row;
		batch->nheld++;
		tell(c, CREATE_MADE, RC_OK);
		batch->creates[n] = NULL;
	}
	tell_all(batch, CREATE_ALONE, RC_OK);
}

/* What the server said of a statement that left nothing behind.  It is one
 * row's fault; or somebody else holds what one of them needs, which each may
 * wait for by itself. */
static void
read_failure(struct batch *batch, const struct db_outcome *o)
{
	bool was_told = o->error.sqlstate[0] != '\0';

	if (o->code == RC_UNAVAILABLE || !was_told)
		tell_all(batch, CREATE_FAILED, o->code);
	else if (o->code == RC_BUSY || batch->ncreates == 1)
		tell_all(batch, CREATE_ALONE, RC_OK);
	else
		queue_again(batch);
}

/* Creates whose ops are gone end here. */
static void
drop_the_gone(struct batch *batch)
{
	for (size_t i = 0; i < batch->ncreates; i++) {
		if (batch->creates[i]->op)
			continue;
		free(batch->creates[i]);
		batch->creates[i] = NULL;
	}
}

static void pump_later(struct creates *s);

static void
on_made(void *arg, struct db_outcome *o)
{
	struct batch *batch = arg;
	struct creates *s = batch->owner;

	for (int i = 0; i < IN_FLIGHT_MAX; i++) {
		if (s->in_flight[i] == batch)
			s->in_flight[i] = NULL;
	}
	batch->nheld = 1; /* this function's own */
	drop_the_gone(batch);
	if (o->code == RC_OK)
		read_rows(batch, o);
	else
		read_failure(batch, o);
	if (!STAILQ_EMPTY(&s->queue))
		pump_later(s);
	let_go(batch);
}

/* --- a batch's start --- */

static void
send_batch(struct batch *batch)
{
	struct arena *a = batch->arena;
	const char **columns[3], *params[3];
	struct db_stmt stmt = {Q_CERT_CREATE_MANY, 3, params};

	for (int p = 0; p < 3; p++)
		columns[p] = arena_alloc(a, batch->ncreates * sizeof(char *));
	for (size_t i = 0; i < batch->ncreates; i++) {
		columns[0][i] = batch->creates[i]->given;
		columns[1][i] = batch->creates[i]->actor;
		columns[2][i] = batch->creates[i]->actor_type;
	}
	for (int p = 0; p < 3; p++)
		params[p] = db_text_array(a, columns[p], batch->ncreates);
	batch->req = db_submit(batch->owner->pool, &stmt, 1, on_made, batch);
}

/* How many of the queue go together. */
static size_t
count_next(const struct creates *s)
{
	size_t n = 0, most = BATCH_MAX, bytes = 0;
	const struct create *c;

	STAILQ_FOREACH (c, &s->queue, entry) {
		most = c->most < most ? c->most : most;
		bytes += strlen(c->given);
		if (n >= most || (n > 0 && bytes > BATCH_BYTES))
			break;
		n++;
	}
	return n;
}

static struct batch *
make_batch(struct creates *s)
{
	struct arena *a = arena_new();
	struct batch *batch = arena_alloc(a, sizeof(*batch));

	batch->owner = s;
	batch->arena = a;
	batch->ncreates = count_next(s);
	batch->creates =
	    arena_alloc(a, batch->ncreates * sizeof(struct create *));
	for (size_t i = 0; i < batch->ncreates; i++) {
		struct create *c = STAILQ_FIRST(&s->queue);

		STAILQ_REMOVE_HEAD(&s->queue, entry);
		c->is_queued = false;
		c->batch = batch;
		batch->creates[i] = c;
	}
	return batch;
}

static void
pump(void *arg)
{
	struct creates *s = arg;

	s->is_pumping = false;
	for (int i = 0; i < IN_FLIGHT_MAX && !STAILQ_EMPTY(&s->queue); i++) {
		if (s->in_flight[i])
			continue;
		s->in_flight[i] = make_batch(s);
		send_batch(s->in_flight[i]);
	}
}

/* On the next turn, so that all that this turn reads goes together. */
static void
pump_later(struct creates *s)
{
	if (s->is_pumping)
		return;
	s->is_pumping = true;
	loop_defer(s->loop, pump, s);
}

/* --- the request's side --- */

struct create *
creates_add(struct creates *s, struct op *op, const char *given,
    const char *actor, const char *actor_type)
{
	struct create *c = mem_zalloc(sizeof(*c));
	struct arena *a = op_arena(op);

	c->owner = s;
	c->op = op;
	c->most = BATCH_MAX;
	c->given = given;
	/* The request may go before the op and its place in the queue do. */
	c->actor = arena_strdup(a, actor);
	c->actor_type = arena_strdup(a, actor_type);
	arena_defer(a, end_create, c);
	STAILQ_INSERT_TAIL(&s->queue, c, entry);
	c->is_queued = true;
	pump_later(s);
	return c;
}

enum create_end
create_end(const struct create *c)
{
	return c->end;
}

const struct db_result *
create_row(const struct create *c, size_t *out_row)
{
	*out_row = c->row;
	return c->batch->rows;
}

rc
create_code(const struct create *c)
{
	return c->code;
}
