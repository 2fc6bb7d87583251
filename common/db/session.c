/*
 * What is connected becomes a session of ours: it is told our settings, asked
 * whether it has them, and, behind a pooler, whether it stays ours.
 *
 * Settings go by SET, for poolers refuse or drop what the start-up packet says.
 * They are read back in a transaction of its own, in the same round trip.
 *
 * A pooler is known by the process that the server names: it is another than
 * the one that the log-in named.  One that gives each transaction another
 * session looks like one that does not, as long as nobody else uses it; so the
 * first session through it is told to die when idle.  Where sessions are kept
 * our connection ends with it; where they are not, the pooler hands out another
 * one in its place, and our connection lives.  Either is a proof, and neither
 * needs a limit of time.  Heard while a question is on its way, its end is
 * none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/db/db_int.h"
#include "common/log/log.h"

enum { DIES_MS = 50, FIRST_WAIT_MS = 100, LONGEST_WAIT_MS = 400 };

static const char *const refusal_words[DB_REFUSALS] = {
    [DB_REFUSED_NOT] = NULL,
    [DB_REFUSED_MODE] =
	"the pooler there gives each transaction another session (pool_mode "
	"transaction or statement): set pool_mode = session, or connect to "
	"PostgreSQL directly",
    [DB_REFUSED_UNCLEAN] =
	"the pooler there hands on sessions as others left them: set "
	"server_reset_query = DISCARD ALL",
    [DB_REFUSED_SERVER] =
	"another server answers than the one this process is with, such as an "
	"old primary that came back: see that it takes no writes",
    [DB_REFUSED_FILES] =
	"the server's files were replaced under it: restart PostgreSQL",
    [DB_REFUSED_SETTINGS] =
	"the session there does not keep our settings (time limits, "
	"search_path): connect to PostgreSQL directly",
};

const char *
db_refusal_words(enum db_refusal refusal)
{
	return refusal_words[refusal];
}

static void session_on_event(evutil_socket_t fd, short what, void *arg);

/* --- asking --- */

static void
watch(struct db_conn *c, bool is_flushed)
{
	db_conn_watch(c, (short)(EV_READ | (is_flushed ? 0 : EV_WRITE)),
	    session_on_event);
}

/* It ended in a way that proves nothing. */
static void
ask_again(struct db_conn *c)
{
	struct db_session *s = &c->session;

	if (s->wait_ms < LONGEST_WAIT_MS)
		s->wait_ms *= 2;
	c->session.on->again(c);
}

static void
lost(struct db_conn *c)
{
	struct db_host *host = &c->pool->hosts[c->host];

	if (!c->session.is_to_die) {
		c->session.on->pass(c, DB_REFUSED_NOT, PQerrorMessage(c->pg));
	} else if (!c->session.has_died) {
		ask_again(c);
	} else if (host->met_dirty) {
		host->met_dirty = false; /* was told of */
		c->session.on->pass(c, DB_REFUSED_UNCLEAN, NULL);
	} else {
		host->keeps_sessions = true;
		c->session.on->again(c);
	}
}

static bool
put_query(struct db_conn *c, enum query q, int n, const char *const *params)
{
	return PQsendQueryParams(c->pg, sql_statements[q].text, n, NULL, params,
		   NULL, NULL, 0) != 0;
}

static bool
put_alone(struct db_conn *c, enum query q, int n, const char *const *params)
{
	return put_query(c, q, n, params) && PQpipelineSync(c->pg);
}

/* What was put goes out; then is called with as many results. */
static void
await(struct db_conn *c, bool ok, size_t n, void (*then)(struct db_conn *))
{
	int left = ok ? PQflush(c->pg) : -1;

	db_session_reset(c);
	c->session.nwanted = n;
	c->session.then = then;
	if (left < 0)
		lost(c);
	else
		watch(c, left == 0);
}

/* --- is it one session? --- */

static int
pid_of(const PGresult *res)
{
	int col = PQfnumber(res, "pid");

	return PQntuples(res) > 0
		   ? (int)strtol(PQgetvalue(res, 0, col), NULL, 10)
		   : 0;
}

static void
still_lives(struct db_conn *c)
{
	struct db_session *s = &c->session;

	if (pid_of(s->results[0]) != s->pid) {
		c->session.on->pass(c, DB_REFUSED_MODE, NULL);
		return;
	}
	if (s->wait_ms < LONGEST_WAIT_MS)
		s->wait_ms *= 2;
	timer_arm(s->ask, s->wait_ms);
	watch(c, true);
}

void
db_session_on_ask(void *arg)
{
	struct db_conn *c = arg;

	await(c, put_alone(c, Q_SESSION_PID, 0, NULL), 1, still_lives);
}

void
db_session_died(struct db_conn *c)
{
	struct db_session *s = &c->session;

	if (s->is_to_die && s->nwanted == 0 &&
	    loop_now_ms(c->pool->loop) - s->told_ms >= DIES_MS / 2)
		s->has_died = true;
}

static void
is_to_die(struct db_conn *c)
{
	struct db_session *s = &c->session;

	s->is_to_die = true;
	s->told_ms = loop_now_ms(c->pool->loop);
	(void)PQisBusy(c->pg); /* parses what came with the answer */
	s->pid = pid_of(s->results[0]);
	if (s->wait_ms == 0)
		s->wait_ms = FIRST_WAIT_MS;
	timer_arm(s->ask, s->wait_ms);
	watch(c, true);
}

/* --- is it as we want it? --- */

static bool
has_settings(const PGresult *told, const PGresult *found, size_t n)
{
	int shown = PQfnumber(found, "shown");

	if (PQntuples(told) != (int)n || PQntuples(found) != (int)n)
		return false;
	for (int i = 0; i < (int)n; i++) {
		if (strcmp(PQgetvalue(told, i, PQfnumber(told, "shown")),
			PQgetvalue(found, i, shown)) != 0)
			return false;
	}
	return true;
}

/* libpq looks for itself, but believes what a pooler remembers. */
static bool
is_unwanted_standby(const struct db_conn *c, const PGresult *look)
{
	const char *attrs = db_params_get(c->pool, "target_session_attrs");
	const char *is = PQgetvalue(look, 0, PQfnumber(look, "is_read_only"));

	return attrs && strcmp(attrs, "read-write") == 0 && is[0] == 't';
}

/* --- is it the server we are with? --- */

static void
server_name(const struct db_conn *c, char *name, size_t size)
{
	(void)snprintf(name, size, "%s port %s", PQhost(c->pg), PQport(c->pg));
}

static void
copy_column(char *to, size_t size, const PGresult *res, const char *column)
{
	(void)snprintf(to, size, "%s",
	    PQgetvalue(res, 0, PQfnumber(res, column)));
}

static bool
is_at_home(const struct db_conn *c, char *why, size_t size)
{
	const PGresult *met = c->session.results[2];
	struct db_seen s = {0};

	if (!c->pool->home)
		return true;
	if (!met || PQntuples(met) != 1) {
		(void)snprintf(why, size, "it does not say which it is");
		return false;
	}
	server_name(c, s.host, sizeof(s.host));
	copy_column(s.system, sizeof(s.system), met, "system_identifier");
	copy_column(s.started, sizeof(s.started), met, "started_at");
	copy_column(s.known, sizeof(s.known), met, "known_timelines");
	s.timeline = (int)strtol(PQgetvalue(met, 0, PQfnumber(met, "timeline")),
	    NULL, 10);
	s.lsn = strtoll(PQgetvalue(met, 0, PQfnumber(met, "lsn")), NULL, 10);
	return db_home_admits(c->pool->home, &s, why, size);
}

/* Only a session that somebody else had before us has prepared statements. */
static bool
is_dirty(const PGresult *look)
{
	return strcmp(PQgetvalue(look, 0, PQfnumber(look, "left_behind")),
		   "0") != 0;
}

/* Whether it is another session than the one that was told, or forgot what it
 * was told; DB_REFUSED_NOT: neither. */
static enum db_refusal
find_change(const struct db_conn *c)
{
	const PGresult *told = c->session.results[0];
	const PGresult *look = c->session.results[1];

	if (pid_of(told) != pid_of(look))
		return DB_REFUSED_MODE;
	if (!has_settings(told, look, c->pool->nsettings))
		return DB_REFUSED_SETTINGS;
	return DB_REFUSED_NOT;
}

static void
looked(struct db_conn *c)
{
	const PGresult *look = c->session.results[1];
	enum db_refusal change = find_change(c);
	struct db_host *host = &c->pool->hosts[c->host];
	char why[512];

	if (change != DB_REFUSED_NOT) {
		c->session.on->pass(c, change, NULL);
		return;
	}
	if (is_unwanted_standby(c, look)) {
		c->session.on->pass(c, DB_REFUSED_NOT, "session is read-only");
		return;
	}
	if (!is_at_home(c, why, sizeof(why))) {
		c->session.on->pass(c, DB_REFUSED_SERVER, why);
		return;
	}
	/* It may go without a proof, and the next one be clean. */
	if (is_dirty(look))
		host->met_dirty = true;
	c->backend_pid = pid_of(look);
	c->is_pooled = c->backend_pid != PQbackendPID(c->pg);
	if (host->met_dirty || (c->is_pooled && !host->keeps_sessions))
		await(c, put_alone(c, Q_SESSION_DIE, 0, NULL), 1, is_to_die);
	else
		c->session.on->ready(c);
}

void
db_session_start(struct db_conn *c, const struct db_session_ops *on)
{
	const char *const set[] = {c->pool->setting_names,
	    c->pool->setting_values};
	char host[sizeof(((struct db_seen *)NULL)->host)];
	const char *const meet[] = {host};
	bool ok;

	c->session.on = on;
	c->session.is_to_die = c->session.has_died = false;
	server_name(c, host, sizeof(host));
	ok = put_alone(c, Q_SESSION_SET, 2, set) &&
	     put_query(c, Q_SESSION_LOOK, 1, set);
	if (ok && c->pool->home)
		ok = put_query(c, Q_SERVER_MEET, 1, meet);
	await(c, ok && PQpipelineSync(c->pg), 2, looked);
}

/* --- answers --- */

static void
answered_badly(struct db_conn *c, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	bool has_looked = c->session.then == looked && c->session.nresults >= 2;
	enum db_refusal change = has_looked ? find_change(c) : DB_REFUSED_NOT;

	if (db_is_files_replaced(state,
		PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)))
		c->session.on->pass(c, DB_REFUSED_FILES,
		    PQresultErrorMessage(res));
	else if (c->session.is_to_die)
		lost(c);
	else if (change != DB_REFUSED_NOT)
		/* Without our search_path no function of ours is found. */
		c->session.on->pass(c, change, NULL);
	else
		c->session.on->pass(c, DB_REFUSED_NOT,
		    PQresultErrorMessage(res));
}

/* Takes over res; false: that was the end of it. */
static bool
take(struct db_conn *c, PGresult *res)
{
	struct db_session *s = &c->session;

	s->has_result = true;
	switch (PQresultStatus(res)) {
	case PGRES_TUPLES_OK:
		if (s->nresults < ARRAY_LEN(s->results)) {
			s->results[s->nresults++] = res;
			return true;
		}
		break;
	case PGRES_PIPELINE_SYNC:
		s->has_result = false; /* no NULL follows */
		s->nsyncs++;
		break;
	default:
		answered_badly(c, res);
		PQclear(res);
		return false;
	}
	PQclear(res);
	return true;
}

/* False: it ended, or waits for something else now. */
static bool
take_results(struct db_conn *c)
{
	struct db_session *s = &c->session;
	PGresult *res;

	while (s->nsyncs < s->nwanted && !PQisBusy(c->pg)) {
		res = PQgetResult(c->pg);
		if (res) {
			if (!take(c, res))
				return false;
		} else if (s->has_result) {
			s->has_result = false;
		} else {
			lost(c); /* two in a row */
			return false;
		}
	}
	if (s->nwanted == 0 || s->nsyncs < s->nwanted)
		return true;
	if (s->nresults < s->nwanted) { /* at least one each */
		lost(c);
		return false;
	}
	s->nwanted = 0; /* nothing is asked while it decides */
	s->then(c);
	return false;
}

static void
session_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;
	bool is_alive = PQconsumeInput(c->pg) != 0;
	int left = is_alive ? PQflush(c->pg) : 0;

	/* Last words are read all the same. */
	if (c->session.nwanted == 0)
		(void)PQisBusy(c->pg); /* parses: the notice receiver */
	else if (!take_results(c))
		return;
	if (!is_alive || left < 0 || PQstatus(c->pg) == CONNECTION_BAD)
		lost(c);
	else
		watch(c, left == 0);
}
