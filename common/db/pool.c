/*
 * The pool: which request gets which connection, and how many there are.
 *
 * A request takes the idle connection used last, so that surplus ones get old
 * and close.  Callbacks of requesters run from the loop only: at once for a
 * request that was served, on the next turn for one that was not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/db/db_int.h"
#include "common/log/log.h"

#define READ_ONLY "25006" /* read_only_sql_transaction */

enum { PIDS_MAX_SIZE = 16384 }; /* a thousand numbers */

static size_t
pool_connecting(const struct db_pool *p)
{
	return p->nconns[DB_CONN_RESOLVING] + p->nconns[DB_CONN_CONNECTING];
}

/* Often enough for the patience with silence. */
static int64_t
tick_ms(const struct db_pool *p)
{
	int64_t ms = p->silence_ms / 2;

	return ms < DB_TICK_MS ? ms : DB_TICK_MS;
}

static void
pool_later(struct db_pool *p)
{
	if (!p->is_closing && !timer_is_armed(p->later))
		timer_arm(p->later, 0);
}

/* --- connections --- */

/* Nobody may ask before it is healthy again (/ready looks at that), so the
 * first connection is tried for even with an empty queue. */
static bool
wants_conn(const struct db_pool *p)
{
	size_t connecting = pool_connecting(p), open = db_pool_open(p);
	size_t limit = p->backoff_ms > 0 ? 1 : DB_CONNECTING_MAX;
	size_t ceiling = p->max_conns + p->is_looking;

	if (connecting >= limit || open + connecting >= ceiling)
		return false;
	if (db_queue_sendable(p) > connecting)
		return true;
	/* So that it is noticed when it was mended. */
	if (p->refusal != DB_REFUSED_NOT && connecting == 0)
		return true;
	return open + connecting == 0 &&
	       (p->is_eager || p->log_state != DB_LOG_NEVER);
}

static void
pool_grow(struct db_pool *p)
{
	int64_t wait_ms;

	while (wants_conn(p)) {
		wait_ms = p->retry_at_ms - loop_now_ms(p->loop);
		if (p->backoff_ms > 0 && wait_ms > 0) {
			if (!timer_is_armed(p->retry))
				timer_arm(p->retry, wait_ms);
			return;
		}
		db_conn_start(p);
	}
}

static void
pool_pump(struct db_pool *p)
{
	struct db_conn *c;
	struct db_req *r;

	for (;;) {
		c = TAILQ_FIRST(&p->conns[DB_CONN_IDLE]);
		r = db_queue_next(p);
		if (!c || !r)
			break;
		db_queue_take(r);
		db_conn_send(c, r);
	}
	pool_grow(p);
}

static void
on_retry(void *arg)
{
	pool_grow(arg);
}

static void
on_connected(struct db_conn *c)
{
	struct db_pool *p = c->pool;

	p->backoff_ms = 0;
	p->refusal = DB_REFUSED_NOT;
	db_tell_server(p, c);
	db_conn_move(c, DB_CONN_IDLE);
	if (!timer_is_armed(p->tick))
		timer_arm(p->tick, tick_ms(p));
	pool_pump(p);
	/* Made for a look that another one has served meanwhile. */
	if (c->state == DB_CONN_IDLE && db_pool_open(p) > p->max_conns) {
		db_conn_close(c);
		pool_later(p);
	}
	db_heed_idle(p);
}

static void
on_failed(struct db_conn *c, const char *why)
{
	struct db_pool *p = c->pool;

	p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : DB_BACKOFF_MIN_MS;
	if (p->backoff_ms > DB_BACKOFF_MAX_MS)
		p->backoff_ms = DB_BACKOFF_MAX_MS;
	p->retry_at_ms = loop_now_ms(p->loop) + rand_jitter(p->backoff_ms, 25);
	db_tell_failure(c, db_pool_open(p) == 0, why);
	pool_later(p);
}

/* The server takes no writes any more, so none of the sessions with it is of
 * use, however well it still reads. */
static void
retire_all(struct db_pool *p)
{
	struct db_conn *c;

	TAILQ_FOREACH (c, &p->conns[DB_CONN_BUSY], entry)
		c->is_retiring = true;
	while ((c = TAILQ_FIRST(&p->conns[DB_CONN_IDLE])))
		db_conn_close(c);
	pool_later(p);
}

/* The process goes to another server: what is still asked of this one has an
 * unknown outcome. */
static void
leave_server(void *arg)
{
	struct db_pool *p = arg;
	struct db_conn *c;

	while ((c = TAILQ_FIRST(&p->conns[DB_CONN_BUSY])))
		db_conn_lost(c, "the process goes to another server");
	while ((c = TAILQ_FIRST(&p->conns[DB_CONN_IDLE])))
		db_conn_close(c);
	pool_later(p);
}

/* A statement that we prepared is not there, or one that we did not. */
static bool
is_anothers(const char *sqlstate)
{
	return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0;
}

/* Its time was up, for a lock's sake or as a whole: the connection was of no
 * use to anybody. */
static bool
is_out_of_time(const struct db_req *r)
{
	return r->error && (strcmp(r->error->sqlstate, "55P03") == 0 ||
			       strcmp(r->error->sqlstate, "57014") == 0);
}

static void
on_served(struct db_conn *c, struct db_req *r)
{
	struct db_pool *p = c->pool;

	if (!r->is_look)
		db_heed_service(p, is_out_of_time(r));
	db_room_heed(p, r);
	if (r->error && strcmp(r->error->sqlstate, READ_ONLY) == 0)
		retire_all(p);
	if (r->error && c->is_pooled && is_anothers(r->error->sqlstate)) {
		p->hosts[c->host].keeps_sessions = false; /* proved anew */
		retire_all(p);
	}
	if (r->error &&
	    db_is_files_replaced(r->error->sqlstate, r->error->message)) {
		db_tell_refusal(p, DB_REFUSED_FILES, r->error->message);
		c->is_retiring = true; /* others may have loaded it before */
	}
	if (c->is_retiring || db_pool_open(p) > p->max_conns) {
		db_conn_close(c);
		pool_later(p);
	} else {
		db_conn_move(c, DB_CONN_IDLE);
		/* Those who wait go first, and the server works while the
		 * callback does. */
		pool_pump(p);
		db_heed_idle(p);
	}
	if (db_again_is_wanted(r))
		db_again_add(r);
	else
		db_req_deliver(r);
}

/* The request ends without its answers: told on the next turn. */
static void
end_unserved(struct db_req *r, rc code)
{
	r->code = code;
	r->state = DB_REQ_ENDED;
	TAILQ_INSERT_TAIL(&r->pool->ended, r, entry);
	pool_later(r->pool);
}

static void
on_lost(struct db_conn *c, struct db_req *r)
{
	struct db_pool *p = c->pool;

	p->resets++;
	if (r) {
		db_room_heed(p, r);
		end_unserved(r, RC_UNAVAILABLE);
	}
	pool_later(p);
}

static const struct db_conn_ops conn_ops = {
    .connected = on_connected,
    .failed = on_failed,
    .served = on_served,
    .sent = db_waits_begin,
    .ended = db_waits_end,
    .lost = on_lost,
};

/* Busy far beyond any statement's time, as a dead network leaves it; what the
 * server knows to be there is not. */
static bool
is_silent(const struct db_conn *c)
{
	const struct db_pool *p = c->pool;
	int64_t heard_ms = c->alive_ms > 0 ? c->alive_ms : c->since_ms;

	return loop_now_ms(p->loop) - heard_ms >
	       p->statement_timeout_ms * (int64_t)c->req->nstmts +
		   p->silence_ms;
}

/* Closes what was idle for long, above a fifth of the ceiling, and what is
 * silent. */
static void
on_tick(void *arg)
{
	struct db_pool *p = arg;
	size_t floor = p->max_conns / 5 > 1 ? p->max_conns / 5 : 1;
	int64_t now_ms = loop_now_ms(p->loop);
	struct db_conn *c, *next;

	while (db_pool_open(p) > floor) {
		c = TAILQ_LAST(&p->conns[DB_CONN_IDLE], db_conn_list);
		if (!c || now_ms - c->since_ms < DB_IDLE_MS)
			break;
		db_conn_close(c);
	}
	for (c = TAILQ_FIRST(&p->conns[DB_CONN_BUSY]);
	     c && p->statement_timeout_ms > 0; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (is_silent(c))
			db_conn_lost(c, "no answer in time");
	}
	if (db_pool_open(p) > 0)
		timer_arm(p->tick, tick_ms(p));
	pool_later(p);
}

/* --- requests --- */

static void
free_dead(struct db_pool *p)
{
	struct db_conn *c;

	while ((c = TAILQ_FIRST(&p->conns[DB_CONN_DEAD])))
		db_conn_free(c);
}

static void
on_later(void *arg)
{
	struct db_pool *p = arg;
	struct db_req *r;

	free_dead(p);
	pool_pump(p);
	while ((r = TAILQ_FIRST(&p->ended))) {
		TAILQ_REMOVE(&p->ended, r, entry);
		db_req_deliver(r);
	}
}

static void
expire(struct db_req *r)
{
	struct db_pool *p = r->pool;
	bool is_held = r->is_write && p->nwaiting > 0;

	db_queue_take(r);
	p->timeouts += !r->is_look;
	if (!is_held && !r->is_look)
		db_heed_service(p, true);
	db_req_fail(r, 0, "",
	    is_held ? "commits wait for a synchronous standby"
		    : "no connection became free in time");
	end_unserved(r, RC_BUSY);
}

/* All requests have the same patience, so the first queued is due first. */
static void
on_overdue(void *arg)
{
	struct db_pool *p = arg;
	int64_t now_ms = loop_now_ms(p->loop);
	struct db_req *r;

	while ((r = db_queue_first(p))) {
		if (r->queue_until_ms > now_ms) {
			timer_arm(p->overdue, r->queue_until_ms - now_ms);
			break;
		}
		expire(r);
	}
}

static void
enqueue(struct db_pool *p, struct db_req *r)
{
	db_queue_add(p, r);
	if (p->is_closing)
		return; /* db_pool_free ends it */
	pool_pump(p);
	if (db_queue_first(p) && !timer_is_armed(p->overdue))
		timer_arm(p->overdue, p->queue_deadline_ms);
}

static void
on_again(void *arg)
{
	struct db_pool *p = arg;
	struct db_req *r;

	while ((r = db_again_take_due(p)))
		enqueue(p, r);
}

struct db_req *
db_submit(struct db_pool *p, const struct db_stmt *stmts, size_t nstmts,
    db_done_fn *done, void *arg)
{
	struct db_req *r;

	if (nstmts == 0)
		log_fatal("DB-STATEMENT", "a request without a statement");
	r = db_req_new(stmts, nstmts);
	r->pool = p;
	r->done = done;
	r->arg = arg;
	p->requests++;
	enqueue(p, r);
	return r;
}

/* Its statement's, with it. */
static void
close_conn_of(struct db_req *r)
{
	struct db_pool *p = r->pool;
	struct db_conn *c;

	TAILQ_FOREACH (c, &p->conns[DB_CONN_BUSY], entry) {
		if (c->req == r)
			break;
	}
	if (!c)
		return;
	db_conn_close(c);
	db_req_free(r);
	pool_later(p);
}

void
db_forget(struct db_req *r)
{
	struct db_pool *p;

	if (!r)
		return;
	p = r->pool;
	r->done = NULL;
	if (r->state == DB_REQ_QUEUED) {
		db_queue_take(r);
	} else if (r->state == DB_REQ_PAUSING) {
		TAILQ_REMOVE(&p->again, r, entry);
	} else {
		if (r->state == DB_REQ_SENT && p->ends_forgotten)
			close_conn_of(r);
		return; /* else freed when its answer is in */
	}
	db_req_free(r);
}

static void
on_look(void *arg)
{
	struct db_pool *p = arg;
	const char *params[1];
	const struct db_stmt stmt = {Q_DB_SESSIONS, 1, params};
	struct buf pids;

	buf_init(&pids, PIDS_MAX_SIZE);
	if (db_waits_for_whom(p, &pids)) {
		params[0] = buf_cstr(&pids);
		(void)db_submit(p, &stmt, 1, db_waits_looked, p);
	}
	buf_fini(&pids);
}

/* --- the pool --- */

rc
db_pool_new(struct loop *l, const struct db_opts *opts, struct db_pool **out)
{
	struct db_pool *p;
	rc ret;

	if (!loop_base(l) || !opts->url || !opts->url[0] ||
	    opts->max_conns < 1 || opts->max_conns > 1000 ||
	    opts->queue_deadline_ms < 1 || opts->statement_timeout_ms < 0 ||
	    opts->connect_timeout_ms < 0 || opts->silence_ms < 0)
		return RC_INVALID;
	p = mem_zalloc(sizeof(*p));
	p->loop = l;
	p->on = &conn_ops;
	p->max_conns = opts->max_conns;
	p->max_writing = db_queue_max_writing(opts->max_conns);
	p->commit_wait_ms = opts->commit_wait_ms;
	p->queue_deadline_ms = opts->queue_deadline_ms;
	p->statement_timeout_ms = opts->statement_timeout_ms;
	p->is_eager = opts->is_eager;
	p->ends_forgotten = opts->ends_forgotten;
	p->home = opts->home;
	p->first_host =
	    p->home ? db_home_first_host(p->home) : &p->own_first_host;
	p->is_plain = opts->is_plain;
	p->silence_ms = opts->silence_ms > 0 ? opts->silence_ms : DB_SILENCE_MS;
	TAILQ_INIT(&p->queue[false]);
	TAILQ_INIT(&p->queue[true]);
	TAILQ_INIT(&p->ended);
	TAILQ_INIT(&p->again);
	resolver_init(&p->resolver, p->loop);
	for (int i = 0; i < DB_CONN_NSTATES; i++)
		TAILQ_INIT(&p->conns[i]);
	p->later = timer_new(l, on_later, p);
	p->overdue = timer_new(l, on_overdue, p);
	p->retry = timer_new(l, on_retry, p);
	p->again_timer = timer_new(l, on_again, p);
	p->look = timer_new(l, on_look, p);
	p->tick = timer_new(l, on_tick, p);
	ret = db_params_init(p, opts);
	if (ret != RC_OK) {
		db_pool_free(p);
		return ret;
	}
	if (p->home)
		db_home_join(p->home, leave_server, p);
	if (p->is_eager)
		pool_later(p);
	*out = p;
	return RC_OK;
}

static struct db_req *
take_any(struct db_pool *p)
{
	struct db_conn *c = TAILQ_FIRST(&p->conns[DB_CONN_BUSY]);
	struct db_req *r = TAILQ_FIRST(&p->ended);

	if (r) {
		TAILQ_REMOVE(&p->ended, r, entry);
		return r;
	}
	r = TAILQ_FIRST(&p->again);
	if (r) {
		TAILQ_REMOVE(&p->again, r, entry);
	} else if (c) {
		r = c->req;
		c->req = NULL;
		db_conn_close(c);
	} else {
		r = db_queue_first(p);
		if (r)
			db_queue_take(r);
	}
	if (r)
		r->code = RC_CANCELLED;
	return r;
}

void
db_pool_free(struct db_pool *p)
{
	struct db_conn *c;
	struct db_req *r;

	if (!p)
		return;
	if (p->home)
		db_home_part(p->home, p);
	p->is_closing = true; /* what is asked from now on ends here too */
	while ((r = take_any(p)))
		db_req_deliver(r);
	for (int i = 0; i < DB_CONN_DEAD; i++) {
		while ((c = TAILQ_FIRST(&p->conns[i])))
			db_conn_close(c);
	}
	free_dead(p);
	resolver_fini(&p->resolver);
	timer_free(p->later);
	timer_free(p->overdue);
	timer_free(p->retry);
	timer_free(p->again_timer);
	timer_free(p->look);
	timer_free(p->tick);
	db_params_fini(p);
	free(p);
}
