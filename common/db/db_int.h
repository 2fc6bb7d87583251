/*
 * db_int: what the files of the pool know of each other.
 *
 * queue.c keeps what waits; pool.c decides which connection serves whom;
 * connect.c gets a connection, trying one address after the other, session.c
 * makes it a session of ours, and conn.c uses it; req.c is one request's
 * memory; again.c keeps those that are asked again; waits.c knows whose commit
 * waits for a standby; room.c remembers that the server's disk is full;
 * health.c says how well all this goes; loop/lookup.c turns host names into
 * addresses. Calls go from the pool to the connection; what a connection has to
 * tell goes through db_conn_ops.  It never calls back into the requester: it
 * hands its request to the pool, which does.
 */
#ifndef COMMON_DB_DB_INT_H
#define COMMON_DB_DB_INT_H

#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <libpq-fe.h>

#include "common/base/buf.h"
#include "common/db/db.h"
#include "common/db/home.h"
#include "common/loop/lookup.h"

enum {
	DB_CONNECT_MS = 1500, /* one address, where nobody says otherwise */
	DB_BACKOFF_MIN_MS = 50,
	DB_BACKOFF_MAX_MS = 800, /* a second with the jitter */
	DB_CONNECTING_MAX = 4,   /* attempts at a time while all is well */
	DB_IDLE_MS = 60000,      /* surplus connections close after that */
	DB_TICK_MS = 5000,
	DB_STALLED_MS = 3000,  /* without a request served: not well */
	DB_SILENCE_MS = 10000, /* past the statement timeouts: not alive */
	DB_PARAMS_MAX = 64,    /* connection parameters */
	DB_SETTINGS_MAX = 16,  /* of a session */
	DB_HOSTS_MAX = 16,     /* of a URL */
	DB_WHY_MAX = 4096,
};

/* --- req.c --- */

enum db_req_state {
	DB_REQ_QUEUED,
	DB_REQ_SENT,
	DB_REQ_PAUSING,    /* on pool->again, until it is asked again */
	DB_REQ_ENDED,      /* on pool->ended, told on the next turn */
	DB_REQ_DELIVERING, /* its callback runs */
};

struct db_req {
	TAILQ_ENTRY(db_req) entry;
	struct db_pool *pool;
	enum db_req_state state;
	db_done_fn *done; /* NULL when forgotten */
	void *arg;
	bool is_write;
	bool is_look;    /* asks what others wait for, ahead of all */
	uint64_t number; /* in the order of their queueing */
	int64_t queue_until_ms;
	unsigned tries; /* that the server undid */
	int64_t again_at_ms;
	rc code;
	struct db_error *error; /* NULL until something failed */
	size_t nstmts;
	PGresult **results; /* nstmts, NULL until they are in */
	struct db_req_stmt {
		struct db_stmt stmt; /* parameters point into this block */
		bool has_prepare;    /* sent with its own Prepare */
	} stmts[];
};

/* A copy of all, in one block. */
struct db_req *db_req_new(const struct db_stmt *stmts, size_t nstmts);
void db_req_free(struct db_req *r);
/* As it was before it was sent. */
void db_req_reset(struct db_req *r);
/* Keeps the first error only: what follows it is its consequence. */
void db_req_fail(struct db_req *r, size_t statement, const char *sqlstate,
    const char *message);
void db_req_fail_result(struct db_req *r, size_t statement,
    const PGresult *res);
/* Calls the requester, unless it forgot, and frees the request. */
void db_req_deliver(struct db_req *r);

/* --- again.c --- */

/* Whether the server undid all of it, so that asking again may help. */
bool db_again_is_wanted(const struct db_req *r);
/* Keeps it for a moment; pool->again_timer fires when one is due. */
void db_again_add(struct db_req *r);
/* The next one that is due; NULL: none, and the timer is armed for the rest. */
struct db_req *db_again_take_due(struct db_pool *p);

/* --- conn.c --- */

enum db_conn_state {
	DB_CONN_RESOLVING,
	DB_CONN_CONNECTING,
	DB_CONN_IDLE,
	DB_CONN_BUSY,
	DB_CONN_DEAD, /* closed; freed on the next turn */
	DB_CONN_NSTATES
};

enum db_prepared { DB_UNPREPARED, DB_PREPARE_SENT, DB_PREPARED };

/* What is wrong with a server that answers, and would not mend by itself. */
enum db_refusal {
	DB_REFUSED_NOT,
	DB_REFUSED_MODE,     /* a pooler mixes sessions */
	DB_REFUSED_UNCLEAN,  /* a pooler leaves them dirty */
	DB_REFUSED_SETTINGS, /* they do not keep what they are told */
	DB_REFUSED_SERVER,   /* another than the process is with */
	DB_REFUSED_FILES,    /* its programs were replaced while it ran */
	DB_REFUSALS
};

struct db_conn;

/* What session.c found. */
struct db_session_ops {
	void (*ready)(struct db_conn *c);
	/* Not with this address; why NULL: the refusal's words. */
	void (
	    *pass)(struct db_conn *c, enum db_refusal refusal, const char *why);
	/* To be connected once more. */
	void (*again)(struct db_conn *c);
};

/* What session.c knows while it asks. */
struct db_session {
	const struct db_session_ops *on;
	void (*then)(struct db_conn *c);  /* when all is answered */
	size_t nwanted, nsyncs, nresults; /* nwanted: of nsyncs */
	PGresult *results[3];
	bool has_result;
	bool is_to_die, has_died;
	int pid; /* of the one that is to die */
	int64_t wait_ms, told_ms;
	struct timer *ask;
};

struct db_conn {
	TAILQ_ENTRY(db_conn) entry; /* in pool->conns[state] */
	struct db_pool *pool;
	enum db_conn_state state;
	int64_t since_ms; /* in this state */
	PGconn *pg;       /* NULL while resolving and when dead */
	bool has_events;  /* the two below were assigned */
	struct event on_read;
	struct event on_write;
	struct timer *connect_limit;
	struct lookup *lookup;
	size_t host;       /* in pool->hosts; being tried, or connected to */
	size_t hosts_left; /* to try, this one among them */
	char addrs[LOOKUP_ADDRS_MAX]
		  [LOOKUP_ADDR_SIZE]; /* "" where libpq needs none */
	size_t naddrs, addr;
	struct buf why;          /* what failed so far */
	enum db_refusal refusal; /* the last there was */
	struct db_session session;
	bool is_pooled;
	int backend_pid;    /* the server's, whatever a pooler says */
	struct db_req *req; /* the one in flight when busy */
	size_t at;          /* statement whose results come next */
	bool at_prepare;    /* and its Prepare comes before */
	bool has_result;    /* of the current command */
	bool is_retiring;   /* closes when its request is done */
	bool is_writing;    /* what is in flight may write */
	bool is_waiting;    /* executed; its commit waits for a standby */
	int64_t alive_ms;   /* when the server last said so; 0 */
	uint8_t prepared[Q_COUNT]; /* enum db_prepared */
};

/* What a connection tells its pool; it may be dead afterwards. */
struct db_conn_ops {
	void (*connected)(struct db_conn *c);
	/* Dead already. */
	void (*failed)(struct db_conn *c, const char *why);
	/* r got all its answers, and the connection is without a request. */
	void (*served)(struct db_conn *c, struct db_req *r);
	/* It was sent a request; and it has none any more. */
	void (*sent)(struct db_conn *c);
	void (*ended)(struct db_conn *c);
	/* Dead already.  r had not got all its answers; NULL: nothing was
	 * asked. */
	void (*lost)(struct db_conn *c, struct db_req *r);
};

/* The one place where a connection changes state: moves lists and counts. */
void db_conn_move(struct db_conn *c, enum db_conn_state to);
/* The connection must be idle.  What becomes of r is told to the pool. */
void db_conn_send(struct db_conn *c, struct db_req *r);
/* Closes and marks dead; its request, if any, stays with the caller. */
void db_conn_close(struct db_conn *c);
/* Dead ones only. */
void db_conn_free(struct db_conn *c);
/* The server or the network let it down: closes it, and tells the pool. */
void db_conn_lost(struct db_conn *c, const char *why);
/* What connect.c needs of the socket: one event at a time; from now on for
 * results; no socket any more. */
void db_conn_watch(struct db_conn *c, short what, event_callback_fn cb);
void db_conn_listen(struct db_conn *c);
void db_conn_disconnect(struct db_conn *c);
/* What session.c asked is forgotten. */
void db_session_reset(struct db_conn *c);

/* --- queue.c --- */

/* How many of so many sessions may be used for what may write. */
size_t db_queue_max_writing(size_t max_conns);
size_t db_queue_sendable(const struct db_pool *p);
/* NULL: none is queued. */
struct db_req *db_queue_first(const struct db_pool *p);
/* The one that the next free connection serves; NULL: none may be sent. */
struct db_req *db_queue_next(const struct db_pool *p);
void db_queue_take(struct db_req *r);
void db_queue_add(struct db_pool *p, struct db_req *r);

/* --- waits.c --- */

/* c was sent something, and is looked after until it has answered. */
void db_waits_begin(struct db_conn *c);
/* It does not wait any more: answered, or gone. */
void db_waits_end(struct db_conn *c);
/* Pids of those to ask about, as an array in SQL's text; false: none, or it is
 * under way.  Arms pool->look anew. */
bool db_waits_for_whom(struct db_pool *p, struct buf *out_pids);
/* The answer; arg is the pool. */
void db_waits_looked(void *arg, struct db_outcome *o);

/* --- health.c --- */

/* Connections made, idle or busy. */
size_t db_pool_open(const struct db_pool *p);
/* The pool stalls from the first request that it could not serve, be it in the
 * queue or on a connection, to the next that it serves or could serve. */
void db_heed_service(struct db_pool *p, bool is_unserved);
/* One that is idle could serve. */
void db_heed_idle(struct db_pool *p);

/* --- room.c --- */

/* r was answered, or lost with what it was told until then. */
void db_room_heed(struct db_pool *p, const struct db_req *r);
/* Whether something failed for want of room a moment ago. */
bool db_room_is_short(const struct db_pool *p);

/* --- tell.c --- */

/* Which server it is now, when that is news, and what was tried before. */
void db_tell_server(struct db_pool *p, struct db_conn *c);
/* It will not mend by itself, so it is told also while others serve. */
void db_tell_refusal(struct db_pool *p, enum db_refusal refusal,
    const char *why);
/* is_down: no other connection is open. */
void db_tell_failure(const struct db_conn *c, bool is_down, const char *why);

/* --- sqlstate.c --- */

/* A library that a backend loads is gone or another, as after an upgrade of
 * the package beneath a server that runs. */
bool db_is_files_replaced(const char *sqlstate, const char *message);

/* --- home.c --- */

/* What a session says of its server. */
struct db_seen {
	char host[320]; /* "db1 port 5432" */
	char system[24];
	int timeline;
	char started[48]; /* the server, as text */
	int64_t lsn;      /* all before it is durable there */
	char known[256];  /* timelines that its data was on: an array */
};

/* Ends every session of a pool at once. */
typedef void db_home_leave_fn(void *arg);
void db_home_join(struct db_home *h, db_home_leave_fn *leave, void *arg);
void db_home_part(struct db_home *h, const void *arg);
/* Of the URL's hosts, the one that the next attempt begins with; the pools'. */
size_t *db_home_first_host(struct db_home *h);
/* ", system 7300, timeline 2" */
void db_home_identity(const struct db_home *h, char *text, size_t size);
/* Whether a session with that server may be used; if it is another than until
 * now, the pools have left that when this returns.  False: why says it. */
bool db_home_admits(struct db_home *h, const struct db_seen *s, char *why,
    size_t size) MUST_CHECK;

/* --- connect.c --- */

/* Starts to connect, with the pool's next host first; the outcome is told to
 * the pool. */
void db_conn_start(struct db_pool *p);
/* --- session.c --- */

/* Logged in and in pipeline mode; ends in one call of these. */
void db_session_start(struct db_conn *c, const struct db_session_ops *on);
/* The server's notice that it ends the session. */
void db_session_died(struct db_conn *c);
/* Its timer's. */
void db_session_on_ask(void *arg);
/* Static; NULL for DB_REFUSED_NOT. */
const char *db_refusal_words(enum db_refusal refusal);

/* --- pool.c --- */

TAILQ_HEAD(db_req_list, db_req);
TAILQ_HEAD(db_conn_list, db_conn);

/* One entry of the URL's lists; NULL where it says nothing. */
struct db_host {
	char *host;
	char *addr; /* its hostaddr */
	char *port;
	bool keeps_sessions; /* a pooler, and that was proved */
	bool met_dirty; /* a session as others left it; why is not proved */
};

enum db_log_state { DB_LOG_NEVER, DB_LOG_UP, DB_LOG_DOWN };

struct db_pool {
	struct loop *loop;
	const struct db_conn_ops *on; /* what its connections call */
	size_t max_conns;
	bool ends_forgotten;
	int64_t queue_deadline_ms;
	int64_t statement_timeout_ms;
	int64_t connect_timeout_ms; /* of one address */
	int64_t silence_ms;         /* past the statement timeouts: not alive */

	struct db_host hosts[DB_HOSTS_MAX];
	size_t nhosts;         /* at least 1 */
	size_t *first_host;    /* where the next attempt begins */
	size_t own_first_host; /* where there is no home */
	bool is_plain;

	/* What PQconnectStartParams gets besides the host. */
	PQconninfoOption *url;
	char *application_name;
	size_t nsettings;
	char *setting_names; /* arrays, as PostgreSQL writes them */
	char *setting_values;
	const char *keys[DB_PARAMS_MAX + 1];
	const char *values[DB_PARAMS_MAX + 1];

	struct db_req_list queue[2]; /* what reads; what may write */
	size_t nqueued[2];
	struct db_req_list ended;
	struct db_req_list again;
	struct db_conn_list conns[DB_CONN_NSTATES];
	size_t nconns[DB_CONN_NSTATES];
	size_t max_writing; /* sessions for what may write */
	size_t nwriting;
	uint64_t writes; /* sent, and ended: db_pool_writes */

	size_t nwaiting;        /* for a standby */
	int64_t waiting_ms;     /* since when, if any */
	int64_t commit_wait_ms; /* then who asked is told; 0: never */
	bool is_looking;
	int64_t looked_ms;

	struct timer *later;   /* deliver, free, pump: on the next turn */
	struct timer *overdue; /* the queue's first deadline */
	struct timer *retry;   /* end of the back-off */
	struct timer *again_timer;
	struct timer *look; /* at those that do not answer */
	struct timer *tick; /* closes surplus and stuck connections */
	int64_t backoff_ms; /* 0: the last attempt did not fail */
	int64_t retry_at_ms;
	/* When a request had waited in vain, and none was served since; 0. */
	int64_t stalled_ms;
	int64_t full_ms; /* when its disk was full last; 0 */
	bool is_eager;
	bool is_closing;
	enum db_log_state log_state;
	enum db_refusal refusal;  /* of the last attempt */
	struct db_home *home;     /* NULL: any server will do */
	char server[256];         /* the last one connected to, for the log */
	struct resolver resolver; /* libpq's own look-up blocks */
	uint64_t queued, requests, timeouts, resets, retries, waits_ms;
};

/* --- params.c --- */

/* Fills hosts, keys and values from the URL and what every session of ours
 * needs.  RC_INVALID when the URL cannot be parsed, its lists do not fit
 * together, or it asks for a server that takes no writes. */
rc db_params_init(struct db_pool *p, const struct db_opts *opts) MUST_CHECK;
void db_params_fini(struct db_pool *p);
const char *db_params_get(const struct db_pool *p, const char *key);

/* --- url.c --- */

/* Wipes what is secret in it, and frees it.  NULL is a no-op. */
void db_url_forget(PQconninfoOption *all);

#endif
