/*
 * Requests that wait for a connection: what reads and what may write apart, for
 * the one may go on while the other must not.
 */
#include "common/db/db_int.h"

enum { KEPT_FROM = 5 };

/* What may write leaves a tenth of the sessions to what only reads, one of five
 * or more at least. */
size_t
db_queue_max_writing(size_t max_conns)
{
	size_t kept = max_conns / 10;

	if (kept < 1 && max_conns >= KEPT_FROM)
		kept = 1;
	return max_conns - kept;
}

/* While commits wait for a standby, another would only wait beside them. */
static bool
may_write(const struct db_pool *p)
{
	return p->nwaiting == 0 && p->nwriting < p->max_writing;
}

/* How many of the queued could be sent if there were connections. */
size_t
db_queue_sendable(const struct db_pool *p)
{
	size_t room = may_write(p) ? p->max_writing - p->nwriting : 0;

	return p->nqueued[false] +
	       (p->nqueued[true] < room ? p->nqueued[true] : room);
}

struct db_req *
db_queue_first(const struct db_pool *p)
{
	struct db_req *r = TAILQ_FIRST(&p->queue[false]);
	struct db_req *w = TAILQ_FIRST(&p->queue[true]);

	if (!r || !w)
		return r ? r : w;
	return r->number < w->number ? r : w;
}

struct db_req *
db_queue_next(const struct db_pool *p)
{
	struct db_req *r = TAILQ_FIRST(&p->queue[false]);
	struct db_req *w = may_write(p) ? TAILQ_FIRST(&p->queue[true]) : NULL;

	/* The one above the ceiling serves the look only. */
	if (r && r->is_look)
		return r;
	if (p->nconns[DB_CONN_IDLE] + p->nconns[DB_CONN_BUSY] > p->max_conns)
		return NULL;
	if (!r || !w)
		return r ? r : w;
	return r->number < w->number ? r : w;
}

void
db_queue_take(struct db_req *r)
{
	struct db_pool *p = r->pool;

	TAILQ_REMOVE(&p->queue[r->is_write], r, entry);
	p->nqueued[r->is_write]--;
	if (!r->is_look)
		p->waits_ms +=
		    (uint64_t)(loop_now_ms(p->loop) - r->queue_until_ms +
			       p->queue_deadline_ms);
}

void
db_queue_add(struct db_pool *p, struct db_req *r)
{
	const struct db_req *first = db_queue_first(p);

	r->state = DB_REQ_QUEUED;
	r->queue_until_ms = loop_now_ms(p->loop) + p->queue_deadline_ms;
	if (r->is_look) {
		/* The first is due first, also when it is pushed in. */
		if (first)
			r->queue_until_ms = first->queue_until_ms;
		TAILQ_INSERT_HEAD(&p->queue[false], r, entry);
	} else {
		r->number = ++p->queued;
		TAILQ_INSERT_TAIL(&p->queue[r->is_write], r, entry);
	}
	p->nqueued[r->is_write]++;
}
