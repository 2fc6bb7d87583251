/*
 * One connection that is up: sending a request, taking its results.
 *
 * Pipeline mode is on for good.  A request goes out as [Prepare] Execute ...
 * Sync, so that its statements are one implicit transaction; results come in
 * the same order, each command's followed by a NULL, the Sync's alone.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/db/db_int.h"
#include "common/log/log.h"

static void conn_on_read(evutil_socket_t fd, short what, void *arg);
static void conn_on_write(evutil_socket_t fd, short what, void *arg);

void
db_conn_move(struct db_conn *c, enum db_conn_state to)
{
	struct db_pool *p = c->pool;

	TAILQ_REMOVE(&p->conns[c->state], c, entry);
	p->nconns[c->state]--;
	p->nwriting -= c->is_writing;
	p->writes += c->is_writing;
	c->is_writing = false;
	p->on->ended(c);
	c->state = to;
	c->since_ms = loop_now_ms(p->loop);
	TAILQ_INSERT_HEAD(&p->conns[to], c, entry);
	p->nconns[to]++;
}

void
db_conn_watch(struct db_conn *c, short what, event_callback_fn cb)
{
	struct event_base *base = loop_base(c->pool->loop);

	/* Assigning a pending event corrupts libevent's lists, and the socket
	 * may be another one after each poll. */
	if (c->has_events) {
		event_del(&c->on_read);
		event_del(&c->on_write);
	}
	event_assign(&c->on_read, base, PQsocket(c->pg), what, cb, c);
	event_assign(&c->on_write, base, PQsocket(c->pg), EV_WRITE,
	    conn_on_write, c);
	c->has_events = true;
	if (event_add(&c->on_read, NULL) < 0)
		log_fatal("DB-EVENT", "event_add failed");
}

void
db_conn_listen(struct db_conn *c)
{
	db_conn_watch(c, EV_READ | EV_PERSIST, conn_on_read);
}

void
db_session_reset(struct db_conn *c)
{
	struct db_session *s = &c->session;

	timer_disarm(s->ask);
	for (size_t i = 0; i < ARRAY_LEN(s->results); i++) {
		PQclear(s->results[i]);
		s->results[i] = NULL;
	}
	s->nresults = s->nsyncs = s->nwanted = 0;
	s->has_result = false;
	s->then = NULL;
}

void
db_conn_disconnect(struct db_conn *c)
{
	timer_disarm(c->connect_limit);
	db_session_reset(c);
	if (c->has_events) {
		event_del(&c->on_read);
		event_del(&c->on_write);
		c->has_events = false;
	}
	PQfinish(c->pg); /* after its events: it closes the socket */
	c->pg = NULL;
}

void
db_conn_close(struct db_conn *c)
{
	db_conn_disconnect(c);
	db_conn_move(c, DB_CONN_DEAD);
}

void
db_conn_free(struct db_conn *c)
{
	struct db_pool *p = c->pool;

	TAILQ_REMOVE(&p->conns[c->state], c, entry);
	p->nconns[c->state]--;
	lookup_free(c->lookup);
	timer_free(c->connect_limit);
	timer_free(c->session.ask);
	buf_fini(&c->why);
	free(c);
}

void
db_conn_lost(struct db_conn *c, const char *why)
{
	struct db_req *r = c->req;

	c->req = NULL;
	if (r)
		db_req_fail(r, c->at, "", why ? why : PQerrorMessage(c->pg));
	db_conn_close(c);
	c->pool->on->lost(c, r);
}

/* --- sending --- */

static void
conn_flush(struct db_conn *c)
{
	int left = PQflush(c->pg);

	if (left < 0)
		db_conn_lost(c, NULL);
	else if (left > 0 && event_add(&c->on_write, NULL) < 0)
		log_fatal("DB-EVENT", "event_add failed");
}

static void
conn_on_write(evutil_socket_t fd, short what, void *arg)
{
	conn_flush(arg);
}

static bool
send_stmt(struct db_conn *c, struct db_req_stmt *s)
{
	enum query q = s->stmt.q;
	const char *name = sql_statements[q].name;

	if (sql_statements[q].is_fresh)
		return PQsendQueryParams(c->pg, sql_statements[q].text,
			   (int)s->stmt.nparams, NULL, s->stmt.params, NULL,
			   NULL, 0) != 0;
	if (c->prepared[q] == DB_UNPREPARED) {
		if (!PQsendPrepare(c->pg, name, sql_statements[q].text, 0,
			NULL))
			return false;
		c->prepared[q] = DB_PREPARE_SENT;
		s->has_prepare = true;
	}
	return PQsendQueryPrepared(c->pg, name, (int)s->stmt.nparams,
		   s->stmt.params, NULL, NULL, 0) != 0;
}

void
db_conn_send(struct db_conn *c, struct db_req *r)
{
	bool ok = true;

	c->req = r;
	r->state = DB_REQ_SENT;
	db_conn_move(c, DB_CONN_BUSY);
	c->is_writing = r->is_write;
	c->pool->nwriting += r->is_write;
	c->pool->writes += r->is_write;
	c->alive_ms = 0;
	c->pool->on->sent(c);
	for (size_t i = 0; ok && i < r->nstmts; i++)
		ok = send_stmt(c, &r->stmts[i]);
	c->at = 0;
	c->at_prepare = r->stmts[0].has_prepare;
	c->has_result = false;
	if (!ok || !PQpipelineSync(c->pg)) {
		db_conn_lost(c, NULL);
		return;
	}
	conn_flush(c);
}

/* --- results --- */

/* A NULL: the current command has no more results. */
static void
next_command(struct db_conn *c)
{
	struct db_req *r = c->req;

	c->has_result = false;
	if (c->at_prepare) {
		c->at_prepare = false;
		return;
	}
	if (c->at < r->nstmts)
		c->at++;
	c->at_prepare = c->at < r->nstmts && r->stmts[c->at].has_prepare;
}

/* The plan was made before a migration, somebody deallocated it, or what was
 * one session a moment ago is another now. */
static bool
is_stale_plan(const struct db_conn *c, const struct db_req *r)
{
	size_t i = r->error->statement;

	if (strcmp(r->error->sqlstate, "26000") == 0 ||
	    strcmp(r->error->sqlstate, "42P05") == 0)
		return true;
	return strcmp(r->error->sqlstate, "0A000") == 0 && i < r->nstmts &&
	       !r->stmts[i].has_prepare;
}

static void
served(struct db_conn *c)
{
	struct db_req *r = c->req;

	r->code = RC_OK;
	if (r->error) {
		r->code = db_rc_of_sqlstate(r->error->sqlstate);
		if (is_stale_plan(c, r)) {
			/* A new session plans anew; asking again helps. */
			c->is_retiring = true;
			r->code = RC_UNAVAILABLE;
		}
	}
	c->req = NULL;
	c->pool->on->served(c, r);
}

static void
failed(struct db_conn *c, const PGresult *res)
{
	struct db_req *r = c->req;

	db_req_fail_result(r, c->at, res);
	if (c->at_prepare)
		c->prepared[r->stmts[c->at].stmt.q] = DB_UNPREPARED;
}

/* Takes over res. */
static void
take_result(struct db_conn *c, PGresult *res)
{
	struct db_req *r = c->req;
	size_t at = c->at;

	c->has_result = true;
	switch (PQresultStatus(res)) {
	case PGRES_PIPELINE_SYNC:
		served(c);
		break;
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		if (c->at_prepare) {
			c->prepared[r->stmts[at].stmt.q] = DB_PREPARED;
		} else if (at < r->nstmts && !r->results[at]) {
			r->results[at] = res;
			return;
		}
		break;
	case PGRES_PIPELINE_ABORTED:
		if (c->at_prepare)
			c->prepared[r->stmts[at].stmt.q] = DB_UNPREPARED;
		break;
	case PGRES_FATAL_ERROR:
		failed(c, res);
		break;
	default: /* COPY, or not PostgreSQL at all */
		db_conn_lost(c, "unexpected kind of result");
	}
	PQclear(res);
}

/* Ends when the connection is not busy any more, or has to wait for more.
 * A served request's callback may have sent the next one already. */
static void
take_results(struct db_conn *c)
{
	PGresult *res;

	/* PQgetResult blocks while PQisBusy says so. */
	while (c->state == DB_CONN_BUSY && !PQisBusy(c->pg)) {
		res = PQgetResult(c->pg);
		if (res) {
			take_result(c, res);
		} else if (c->has_result) {
			next_command(c);
		} else {
			/* Two in a row: the connection is gone. */
			db_conn_lost(c, NULL);
		}
	}
}

static void
conn_on_read(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;

	/* When it is gone the last words are still to be read; but then no
	 * new request may get this connection. */
	if (!PQconsumeInput(c->pg))
		c->is_retiring = true;
	if (c->state == DB_CONN_BUSY)
		take_results(c);
	else
		(void)PQisBusy(c->pg); /* parses: conn_on_notice */
	if (c->state == DB_CONN_DEAD)
		return;
	if (PQstatus(c->pg) == CONNECTION_BAD ||
	    (c->is_retiring && c->state == DB_CONN_IDLE))
		db_conn_lost(c, NULL);
}
