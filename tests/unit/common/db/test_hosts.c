/*
 * Several hosts in the URL, and which of them the pool goes to.
 */
#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/db/db_int.h"
#include "tests/unit/common/db/test_db.h"

enum { TRY_MS = 200 };

/* --- servers that are none --- */

struct mute {
	int fd;
	int port;
	int accepted;
	bool hangs_up;    /* at the first word; else it never says anything */
	const char *says; /* SQLSTATE and message of a refused log-in */
	bool stops;       /* the loop, whenever somebody comes */
	struct event *ev;
	int clients[32];
};

/* "58P01message" as PostgreSQL says it before it ends. */
static void
refuse(int fd, const char *says)
{
	char text[256], packet[300];
	int len;

	len = snprintf(text, sizeof(text), "SFATAL%cVFATAL%cC%.5s%cM%s", 0, 0,
	    says, 0, says + 5);
	packet[0] = 'E';
	packet[1] = packet[2] = 0;
	packet[3] = (char)((len + 6) / 256);
	packet[4] = (char)((len + 6) % 256);
	memcpy(packet + 5, text, (size_t)len);
	packet[5 + len] = packet[6 + len] = 0;
	CHECK(send(fd, packet, (size_t)len + 7, MSG_NOSIGNAL) == len + 7);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct mute *m = arg;
	int c = accept(fd, NULL, NULL);

	CHECK(c >= 0 && m->accepted < 32);
	m->clients[m->accepted++] = c;
	if (m->says)
		refuse(c, m->says);
	if (m->hangs_up)
		shutdown(c, SHUT_RDWR);
	if (m->stops)
		loop_stop(loop);
}

static int
bound(int type, int *out_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	*out_port = ntohs(at.sin_port);
	return fd;
}

static void
mute_open(struct mute *m)
{
	*m = (struct mute){.hangs_up = m->hangs_up, .says = m->says};
	m->fd = bound(SOCK_STREAM, &m->port);
	CHECK(listen(m->fd, 8) == 0);
}

/* The pool's loop must be there. */
static void
mute_listen(struct mute *m)
{
	m->ev = event_new(loop_base(loop), m->fd, EV_READ | EV_PERSIST,
	    on_accept, m);
	CHECK(m->ev && event_add(m->ev, NULL) == 0);
}

static void
mute_close(struct mute *m)
{
	event_free(m->ev);
	close(m->fd);
	for (int i = 0; i < m->accepted; i++)
		close(m->clients[i]);
}

/* Where the real one listens: a directory. */
static const char *
real_host(void)
{
	static char dir[256];
	const char *url = getenv("TEST_DATABASE_URL"), *from;

	from = url ? strstr(url, "host=") : NULL;
	CHECK(from != NULL);
	(void)snprintf(dir, sizeof(dir), "%.*s", (int)strcspn(from + 5, "&"),
	    from + 5);
	return dir;
}

/* A pool of these hosts, then the real one. */
static void
begin_after(const char *hosts, const char *ports, const char *more)
{
	static char url[1024];
	struct db_opts o = opts_default();

	(void)snprintf(url, sizeof(url),
	    "host=%s,%s port=%s,5432 user=postgres dbname=postgres "
	    "sslmode=disable %s",
	    hosts, real_host(), ports, more);
	o.url = url;
	o.connect_timeout_ms = TRY_MS;
	begin_with(&o);
}

/* --- tests --- */

static void
silent_host_costs_one_limit(void)
{
	struct mute m = {0};
	struct answer a;
	char port[16];
	int64_t from_ms;

	mute_open(&m);
	(void)snprintf(port, sizeof(port), "%d", m.port);
	begin_after("127.0.0.1", port, "");
	mute_listen(&m);
	from_ms = loop_now_ms(loop);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	CHECK(loop_now_ms(loop) - from_ms >= TRY_MS);
	CHECK_INT(m.accepted, 1);
	CHECK(strstr(pool->server, real_host()) != NULL);
	/* And the next does not begin with it. */
	SEND(&a, STMT(Q_T_SLEEP, "0.05"));
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	run_until(1);
	/* The answers may both have come by the first, and be quicker. */
	for (int i = 0; pool->nconns[DB_CONN_IDLE] < 2 && i < 1000; i++)
		wait_ms(10);
	CHECK(pool->nconns[DB_CONN_IDLE] == 2);
	CHECK_INT(m.accepted, 1);
	mute_close(&m);
	end();
}

/* While it is still under way at the next host. */
static void
nobody_begins_with_what_another_found_silent(void)
{
	struct mute one = {0}, two = {0};
	struct answer a, b;
	char ports[32];

	mute_open(&one);
	mute_open(&two);
	(void)snprintf(ports, sizeof(ports), "%d,%d", one.port, two.port);
	begin_after("127.0.0.1,127.0.0.1", ports, "");
	mute_listen(&one);
	mute_listen(&two);
	SEND(&a, STMT0(Q_PING));
	two.stops = true;
	CHECK_INT(loop_run(loop), RC_OK);
	two.stops = false;
	CHECK_INT(two.accepted, 1);
	SEND(&b, STMT0(Q_PING));
	run_until(2);
	CHECK_INT(a.code, RC_OK);
	CHECK_INT(b.code, RC_OK);
	CHECK_INT(one.accepted, 1);
	CHECK_INT(two.accepted, 2);
	mute_close(&one);
	mute_close(&two);
	end();
}

/* Both were tried, in turn, each with a limit of its own; and again. */
static void
all_silent_are_named(void)
{
	struct mute one = {0}, two = {0};
	struct db_opts o = opts_default();
	struct answer a;
	char url[256];

	mute_open(&one);
	mute_open(&two);
	(void)snprintf(url, sizeof(url),
	    "host=localhost,127.0.0.1 port=%d,%d user=u dbname=d", one.port,
	    two.port);
	o.url = url;
	o.connect_timeout_ms = TRY_MS;
	o.queue_deadline_ms = 4 * TRY_MS;
	begin_with(&o);
	mute_listen(&one);
	mute_listen(&two);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_BUSY);
	CHECK(one.accepted >= 1);
	CHECK(two.accepted >= 1);
	CHECK_STR(db_pool_trouble(pool), "no connection can be made");
	mute_close(&one);
	mute_close(&two);
	end();
}

static void
hosts_that_hang_up_or_refuse_are_passed_over(void)
{
	struct mute m = {.hangs_up = true};
	struct answer a;
	char ports[32];
	int closed, fd = bound(SOCK_STREAM, &closed);

	/* Bound and not listening: refused. */
	mute_open(&m);
	(void)snprintf(ports, sizeof(ports), "%d,%d", m.port, closed);
	begin_after("127.0.0.1,127.0.0.1", ports, "");
	mute_listen(&m);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	CHECK_INT(m.accepted, 1);
	mute_close(&m);
	close(fd);
	end();
}

/* Told by name, for it does not mend by itself. */
static void
replaced_files_are_named(void)
{
	struct mute m = {.says = "58P01could not access file \"x\""};
	struct db_opts o = opts_default();
	struct answer a;
	char url[128];

	mute_open(&m);
	(void)snprintf(url, sizeof(url),
	    "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable", m.port);
	o.url = url;
	o.queue_deadline_ms = 4 * TRY_MS;
	begin_with(&o);
	mute_listen(&m);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_BUSY);
	CHECK(strstr(db_pool_trouble(pool), "restart PostgreSQL") != NULL);
	CHECK_STR(db_pool_warning(pool), db_pool_trouble(pool));
	mute_close(&m);
	end();
	/* A table's file that is gone is another matter. */
	CHECK(!db_is_files_replaced("58P01", "could not open file \"base/1\""));
	CHECK(db_is_files_replaced("58P01", "could not access file \"x\""));
	CHECK(db_is_files_replaced("XX000", "could not load library \"x\""));
}

static void
unknown_name_is_passed_over(void)
{
	struct answer a;

	begin_after("name.invalid", "5432", "");
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	end();
}

/* A name server that never says anything; its look-up ends by itself long
 * after we gave up. */
static void
silent_name_server_costs_one_limit(void)
{
	struct answer a;
	char at[32];
	int port, fd = bound(SOCK_DGRAM, &port);

	begin_after("db.example.org", "5432", "");
	pool->resolver.dns =
	    evdns_base_new(loop_base(loop), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	CHECK(pool->resolver.dns != NULL);
	pool->resolver.made_ms = loop_now_ms(loop);
	(void)snprintf(at, sizeof(at), "127.0.0.1:%d", port);
	CHECK_INT(evdns_base_nameserver_ip_add(pool->resolver.dns, at), 0);
	CHECK_INT(evdns_base_set_option(pool->resolver.dns, "timeout", "1"), 0);
	CHECK_INT(evdns_base_set_option(pool->resolver.dns, "attempts", "1"),
	    0);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	CHECK_INT(*pool->first_host, 1);
	CHECK(!TAILQ_EMPTY(&pool->resolver.lookups));
	for (int i = 0; i < 200 && !TAILQ_EMPTY(&pool->resolver.lookups); i++)
		wait_ms(50);
	CHECK(TAILQ_EMPTY(&pool->resolver.lookups));
	end();
	close(fd);
}

/* The URL's limit wins over ours. */
static void
limit_of_the_url_wins(void)
{
	begin_after("127.0.0.1", "1", "connect_timeout=7");
	CHECK_INT(pool->connect_timeout_ms, 7000);
	end();
	begin_after("127.0.0.1", "1", "connect_timeout=0");
	CHECK_INT(pool->connect_timeout_ms, TRY_MS);
	end();
	begin();
	CHECK_INT(pool->connect_timeout_ms, DB_CONNECT_MS);
	end();
}

/* What takes no writes is of no use, where there is another. */
static void
read_only_sessions_are_given_up(void)
{
	struct answer a;
	struct db_stats st;

	begin_after("127.0.0.1", "1", "");
	CHECK_STR(db_params_get(pool, "target_session_attrs"), "read-write");
	make_table();
	/* As when the server is turned read-only in place. */
	CHECK_INT(ASK(&a, STMT(Q_T_SET, "default_transaction_read_only", "on")),
	    RC_OK);
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "1", "x", NULL)), RC_UNAVAILABLE);
	CHECK_STR(a.error.sqlstate, "25006");
	CHECK_INT(ASK(&a, STMT(Q_T_INSERT, "1", "x", NULL)), RC_OK);
	CHECK_INT(count_rows(), 1);
	db_pool_stats(pool, &st);
	CHECK_INT(st.open, 1);
	end();
}

static void
silent_connection_is_replaced_in_time(void)
{
	struct db_opts o = opts_default();
	struct answer a;
	int64_t from_ms;

	o.statement_timeout_ms = 100;
	o.silence_ms = 100;
	begin_with(&o);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	/* An answer that does not come, with the server's own limit off. */
	CHECK_INT(ASK(&a, STMT(Q_T_SET, "statement_timeout", "0")), RC_OK);
	from_ms = loop_now_ms(loop);
	CHECK_INT(ASK(&a, STMT(Q_T_SLEEP, "30")), RC_UNAVAILABLE);
	CHECK(loop_now_ms(loop) - from_ms < 5000);
	CHECK_INT(ASK(&a, STMT0(Q_PING)), RC_OK);
	end();
}

static void
lists_are_paired_as_libpq_does(void)
{
	struct db_opts o = opts_default();

	o.url = "host=127.0.0.1,::1,/run/x port=1,2,3";
	begin_with(&o);
	CHECK_INT(pool->nhosts, 3);
	CHECK_STR(pool->hosts[1].host, "::1");
	CHECK_STR(pool->hosts[2].port, "3");
	end();
	o.url = "host=a,b hostaddr=127.0.0.1,127.0.0.2 port=5";
	begin_with(&o);
	CHECK_INT(pool->nhosts, 2);
	CHECK_STR(pool->hosts[1].addr, "127.0.0.2");
	CHECK_STR(pool->hosts[1].port, "5");
	end();
	o.url = "hostaddr=127.0.0.1";
	begin_with(&o);
	CHECK_INT(pool->nhosts, 1);
	CHECK(pool->hosts[0].host == NULL && pool->hosts[0].port == NULL);
	end();
	o.url = "host=,b port=,6";
	begin_with(&o);
	CHECK(pool->hosts[0].host == NULL && pool->hosts[0].port == NULL);
	CHECK_STR(pool->hosts[1].port, "6");
	CHECK(db_params_get(pool, "host") == NULL);
	end();
	o.url = "dbname=x";
	begin_with(&o);
	CHECK_INT(pool->nhosts, 1);
	CHECK(db_params_get(pool, "target_session_attrs") == NULL);
	end();
}

static void
lists_that_do_not_fit_are_refused(void)
{
	static const char *const bad[] = {"host=a,b hostaddr=127.0.0.1",
	    "host=a,b,c port=1,2", "host=a port=1,2",
	    "host=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
	    "host=a,b target_session_attrs=standby",
	    "host=a,b target_session_attrs=prefer-standby",
	    "host=a target_session_attrs=read-only"};
	struct db_opts o = opts_default();
	struct db_pool *p = NULL;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		o.url = bad[i];
		CHECK_INT(db_pool_new(loop, &o, &p), RC_INVALID);
	}
	end();
}

static void
names_alone_need_a_look_up(void)
{
	static const char *const no[] = {"/run/postgresql", "@abstract", "",
	    "127.0.0.1", "::1"};

	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		CHECK(!lookup_is_needed(no[i]));
	CHECK(lookup_is_needed("db.example.org"));
	CHECK(lookup_is_needed("localhost"));
}

static void
pool_may_end_before_a_name_is_known(void)
{
	struct db_opts o = opts_default();
	struct answer a;

	o.url = "host=name.invalid";
	begin_with(&o);
	SEND(&a, STMT0(Q_PING));
	end();
	CHECK_INT(a.code, RC_CANCELLED);
}

CHECK_MAIN(CHECK_ROW(silent_host_costs_one_limit),
    CHECK_ROW(nobody_begins_with_what_another_found_silent),
    CHECK_ROW(all_silent_are_named),
    CHECK_ROW(hosts_that_hang_up_or_refuse_are_passed_over),
    CHECK_ROW(replaced_files_are_named), CHECK_ROW(unknown_name_is_passed_over),
    CHECK_ROW(silent_name_server_costs_one_limit),
    CHECK_ROW(limit_of_the_url_wins),
    CHECK_ROW(read_only_sessions_are_given_up),
    CHECK_ROW(silent_connection_is_replaced_in_time),
    CHECK_ROW(lists_are_paired_as_libpq_does),
    CHECK_ROW(lists_that_do_not_fit_are_refused),
    CHECK_ROW(names_alone_need_a_look_up),
    CHECK_ROW(pool_may_end_before_a_name_is_known))
