/*
 * Commits that wait for a synchronous standby.
 *
 * A session whose standby is gone has executed everything and is silent for as
 * long as it takes; no time limit of the server ends that, nor would ending it
 * undo anything: the commit stands, only not on the standby.  Given up, it
 * would stay at the server with its backend, and another would be opened, and
 * hang. So when an answer takes long, another session is asked what ours wait
 * for; one that waits for a standby is kept, counts against the ceiling, and
 * gets its answer when the standby is back.  Until then nothing that writes is
 * sent, and what only reads goes on with the sessions kept free for it.  The
 * one that asks may be one above the ceiling, as long as it is needed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/db/db_int.h"
#include "common/log/log.h"

/* An answer that takes longer is looked after. */
enum { LOOK_MS = 1000 };

static int64_t
look_ms(const struct db_pool *p)
{
	/* In time for the limit of a connection that must be quick. */
	int64_t half = (p->statement_timeout_ms + p->silence_ms) / 2;

	return p->statement_timeout_ms > 0 && half < LOOK_MS ? half : LOOK_MS;
}

void
db_waits_begin(struct db_conn *c)
{
	struct db_pool *p = c->pool;

	if (!timer_is_armed(p->look))
		timer_arm(p->look, look_ms(p));
}

/* --- how many there are --- */

static void
set_waiting(struct db_conn *c)
{
	struct db_pool *p = c->pool;

	c->alive_ms = loop_now_ms(p->loop);
	if (c->is_waiting)
		return;
	c->is_waiting = true;
	if (p->nwaiting++ > 0)
		return;
	p->waiting_ms = c->since_ms;
	log_warn("DB-STANDBY",
	    "commits wait for a synchronous standby; nothing that writes is "
	    "sent until they go on");
}

void
db_waits_end(struct db_conn *c)
{
	struct db_pool *p = c->pool;

	if (!c->is_waiting)
		return;
	c->is_waiting = false;
	if (--p->nwaiting > 0 || p->is_closing)
		return;
	log_info("DB-STANDBY", "commits go on after %lld ms",
	    (long long)(loop_now_ms(p->loop) - p->waiting_ms));
}

/* --- who asked --- */

/* The session stays: only the one who asked is told. */
static void
tell(struct db_conn *c)
{
	struct db_req *r = c->req;
	struct db_outcome o = {.code = RC_UNAVAILABLE};
	db_done_fn *done = r->done;

	r->done = NULL;
	(void)snprintf(o.error.message, sizeof(o.error.message),
	    "its commit waits for a synchronous standby");
	done(r->arg, &o);
}

static struct db_conn *
find_impatient(const struct db_pool *p)
{
	int64_t now_ms = loop_now_ms(p->loop);
	struct db_conn *c;

	TAILQ_FOREACH (c, &p->conns[DB_CONN_BUSY], entry) {
		if (c->is_waiting && c->req->done &&
		    now_ms - c->since_ms >= p->commit_wait_ms)
			return c;
	}
	return NULL;
}

/* --- the look --- */

static struct db_conn *
find_by_pid(const struct db_pool *p, int64_t pid)
{
	struct db_conn *c;

	/* One that was sent since is another matter. */
	TAILQ_FOREACH (c, &p->conns[DB_CONN_BUSY], entry) {
		if (c->backend_pid == pid && c->since_ms <= p->looked_ms)
			return c;
	}
	return NULL;
}

void
db_waits_looked(void *arg, struct db_outcome *o)
{
	struct db_pool *p = arg;
	const struct db_result *r;
	struct db_conn *c;

	p->is_looking = false;
	if (o->code != RC_OK)
		return; /* looked again soon */
	r = o->results[0];
	for (size_t i = 0; i < db_nrows(r); i++) {
		c = find_by_pid(p, db_i64(r, i, db_col(r, "pid")));
		if (c && db_bool(r, i, db_col(r, "is_waiting")))
			set_waiting(c);
	}
	/* Who is told may ask anew, and change the lists. */
	while (p->commit_wait_ms > 0 && (c = find_impatient(p)))
		tell(c);
}

bool
db_waits_for_whom(struct db_pool *p, struct buf *out_pids)
{
	int64_t now_ms = loop_now_ms(p->loop);
	struct db_conn *c;

	if (p->nconns[DB_CONN_BUSY] > 0)
		timer_arm(p->look, look_ms(p) / 2);
	if (p->is_looking)
		return false;
	TAILQ_FOREACH (c, &p->conns[DB_CONN_BUSY], entry) {
		if (now_ms - c->since_ms >= look_ms(p))
			buf_printf(out_pids, "%c%d",
			    out_pids->len > 0 ? ',' : '{', c->backend_pid);
	}
	if (out_pids->len == 0)
		return false;
	buf_putc(out_pids, '}');
	p->looked_ms = now_ms;
	p->is_looking = true;
	return true;
}
