/*
 * Getting a connection: one address after the other, each with its own limit.
 *
 * libpq would take a list by itself, but asynchronously it knows no limit of
 * time: one address that swallows packets, first in the list, would hold every
 * attempt for ever, and each new one would begin with it again.  So it is
 * given one address at a time, and the pool remembers which host comes next.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/db/db_int.h"

static void conn_on_poll(evutil_socket_t fd, short what, void *arg);
static void begin_host(struct db_conn *c);
static void begin_address(struct db_conn *c);

static const struct db_host *
host_of(const struct db_conn *c)
{
	return &c->pool->hosts[c->host];
}

/* --- failures --- */

static void
note(struct db_conn *c, const char *why)
{
	size_t len = strcspn(why, "\r\n"); /* one line is enough */

	buf_printf(&c->why, "%s%.*s", c->why.len > 0 ? "; " : "", (int)len,
	    why);
}

/* In libpq's words, for what libpq does not say. */
static void
note_own(struct db_conn *c, const char *why)
{
	const struct db_host *h = host_of(c);
	const char *addr = c->addr < c->naddrs ? c->addrs[c->addr] : "";
	char text[512];

	(void)snprintf(text, sizeof(text),
	    "connection to server at \"%s\"%s%s%s, port %s failed: %s",
	    h->host ? h->host : addr, addr[0] ? " (" : "", addr,
	    addr[0] ? ")" : "", h->port ? h->port : "5432", why);
	note(c, text);
}

static void
fail(struct db_conn *c)
{
	/* Told once the connection is gone, and with it what it says. */
	const char *why = buf_ok(&c->why) ? buf_cstr(&c->why) : "";

	db_conn_close(c);
	c->pool->on->failed(c, why);
}

static void
next_host(struct db_conn *c)
{
	struct db_pool *p = c->pool;
	size_t next = (c->host + 1) % p->nhosts;

	/* Whoever starts from now on does not begin with it. */
	if (*p->first_host == c->host)
		*p->first_host = next;
	c->host = next;
	if (--c->hosts_left > 0)
		begin_host(c);
	else
		fail(c);
}

static void
next_address(struct db_conn *c)
{
	db_conn_disconnect(c);
	if (++c->addr < c->naddrs)
		begin_address(c);
	else
		next_host(c);
}

static void
on_limit(void *arg)
{
	struct db_conn *c = arg;
	char why[64];

	(void)snprintf(why, sizeof(why), "no answer within %lld ms",
	    (long long)c->pool->connect_timeout_ms);
	if (c->state == DB_CONN_RESOLVING) {
		lookup_free(c->lookup);
		c->lookup = NULL;
		note_own(c, "its name was not found in time");
		next_host(c);
		return;
	}
	note_own(c, why);
	next_address(c);
}

/* --- one address --- */

static void
conn_on_notice(void *arg, const PGresult *res)
{
	struct db_conn *c = arg;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	/* A FATAL while nothing is asked comes as a notice: the server is
	 * shutting down or cuts us off, so nothing more is sent here. */
	if (state && strncmp(state, "57P", 3) == 0)
		c->is_retiring = true;
	if (state && strcmp(state, "57P05") == 0)
		db_session_died(c); /* it was asked for */
}

static void
session_ready(struct db_conn *c)
{
	timer_disarm(c->connect_limit);
	db_session_reset(c);
	*c->pool->first_host = c->host;
	db_conn_listen(c);
	c->pool->on->connected(c);
}

static void
session_pass(struct db_conn *c, enum db_refusal refusal, const char *why)
{
	if (refusal != DB_REFUSED_NOT)
		c->refusal = refusal;
	note_own(c, why ? why : db_refusal_words(refusal));
	next_address(c);
}

static void
session_again(struct db_conn *c)
{
	db_conn_disconnect(c);
	begin_address(c);
}

static const struct db_session_ops session_ops = {
    .ready = session_ready,
    .pass = session_pass,
    .again = session_again,
};

static void
established(struct db_conn *c)
{
	if (PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg)) {
		session_pass(c, DB_REFUSED_NOT, PQerrorMessage(c->pg));
		return;
	}
	(void)PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
	if (c->pool->is_plain) {
		session_ready(c);
		return;
	}
	/* The log-in took its time; what follows has the same. */
	timer_arm(c->connect_limit, c->pool->connect_timeout_ms);
	db_session_start(c, &session_ops);
}

static void
step(struct db_conn *c, PostgresPollingStatusType status)
{
	switch (status) {
	case PGRES_POLLING_READING:
		db_conn_watch(c, EV_READ, conn_on_poll);
		break;
	case PGRES_POLLING_WRITING:
		db_conn_watch(c, EV_WRITE, conn_on_poll);
		break;
	case PGRES_POLLING_OK:
		established(c);
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
	default:
		if (strstr(PQerrorMessage(c->pg), ":  58P01: "))
			c->refusal = DB_REFUSED_FILES;
		note(c, PQerrorMessage(c->pg));
		next_address(c);
	}
}

static void
conn_on_poll(evutil_socket_t fd, short what, void *arg)
{
	struct db_conn *c = arg;

	step(c, PQconnectPoll(c->pg));
}

static void
put(const char **keys, const char **values, size_t *n, const char *key,
    const char *value)
{
	if (!value || !value[0])
		return;
	keys[*n] = key;
	values[(*n)++] = value;
}

static void
begin_address(struct db_conn *c)
{
	struct db_pool *p = c->pool;
	const char *keys[DB_PARAMS_MAX + 1], *values[DB_PARAMS_MAX + 1];
	size_t n = 0;

	for (size_t i = 0; p->keys[i]; i++) {
		keys[n] = p->keys[i];
		values[n++] = p->values[i];
	}
	put(keys, values, &n, "host", host_of(c)->host);
	put(keys, values, &n, "hostaddr", c->addrs[c->addr]);
	put(keys, values, &n, "port", host_of(c)->port);
	keys[n] = values[n] = NULL;
	timer_arm(c->connect_limit, p->connect_timeout_ms);
	db_conn_move(c, DB_CONN_CONNECTING);
	c->is_retiring = false;
	c->pg = PQconnectStartParams(keys, values, 0);
	if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
		note(c, c->pg ? PQerrorMessage(c->pg) : "out of memory");
		next_address(c);
		return;
	}
	(void)PQsetNoticeReceiver(c->pg, conn_on_notice, c);
	/* The SQLSTATE of a refused log-in is told in the text or not at all.
	 */
	(void)PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE);
	/* As if the last poll had said so; libpq's manual. */
	step(c, PGRES_POLLING_WRITING);
}

/* --- one host --- */

static void
on_resolved(void *arg, const char (*addrs)[LOOKUP_ADDR_SIZE], size_t n)
{
	struct db_conn *c = arg;

	if (c->state != DB_CONN_RESOLVING)
		return; /* given up in the meantime */
	if (n < 1) {
		note_own(c, "its name was not found");
		next_host(c);
		return;
	}
	memcpy(c->addrs, addrs, n * sizeof(addrs[0]));
	c->naddrs = n;
	begin_address(c);
}

static void
begin_host(struct db_conn *c)
{
	const struct db_host *h = host_of(c);
	struct db_pool *p = c->pool;

	c->addr = c->naddrs = 0;
	lookup_free(c->lookup);
	c->lookup = NULL;
	if (!h->addr && h->host && lookup_is_needed(h->host)) {
		db_conn_move(c, DB_CONN_RESOLVING);
		timer_arm(c->connect_limit, p->connect_timeout_ms);
		c->lookup = lookup_start(&p->resolver, h->host, on_resolved, c);
		return;
	}
	c->naddrs = 1;
	(void)snprintf(c->addrs[0], sizeof(c->addrs[0]), "%s",
	    h->addr ? h->addr : "");
	begin_address(c);
}

void
db_conn_start(struct db_pool *p)
{
	struct db_conn *c = mem_zalloc(sizeof(*c));

	c->pool = p;
	c->state = DB_CONN_RESOLVING;
	TAILQ_INSERT_HEAD(&p->conns[c->state], c, entry);
	p->nconns[c->state]++;
	c->connect_limit = timer_new(p->loop, on_limit, c);
	c->session.ask = timer_new(p->loop, db_session_on_ask, c);
	buf_init(&c->why, DB_WHY_MAX);
	c->host = *p->first_host % p->nhosts;
	c->hosts_left = p->nhosts;
	begin_host(c);
}
