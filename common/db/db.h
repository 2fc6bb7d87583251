/*
 * db: the asynchronous PostgreSQL pool.
 *
 * Requests queue for a connection until their deadline; connections are
 * opened as needed up to the ceiling, prepared statements are made on first
 * use, and libpq's pipeline mode carries a request's statements in one round
 * trip.  A request with several statements is one transaction: all commit or
 * none (they share one Sync).  One that the server undid for a deadlock's sake
 * is asked again a few times before that is told.  A lost connection is reset
 * with back-off; a request that was in flight then ends with RC_UNAVAILABLE and
 * its outcome is unknown.  While commits wait for a synchronous standby, what
 * may write stays queued, and what only reads goes on.  Call from the event
 * loop only.
 */
#ifndef COMMON_DB_DB_H
#define COMMON_DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"
#include "sql_gen.h" /* enum query: Q_*, made by tools/sqlgen.py */

struct db_home; /* home.h */
struct db_pool; /* defined in pool.c */
struct db_req;  /* defined in pool.c */

/* A setting of PostgreSQL, for a session. */
struct db_setting {
	const char *name, *value;
};

/*
 * For sessions whose statements know the keys of all that they touch: what is
 * left to the planner are walks along indexes.  Statistics of another hour, or
 * of an empty table, can't make them read whole tables.
 */
extern const struct db_setting db_walk_ids[];

struct db_opts {
	const char *url;              /* libpq URL or key=value string */
	const char *application_name; /* shown in pg_stat_activity */
	/* 1..1000; and one more while it must ask why others are silent. */
	size_t max_conns;
	int64_t queue_deadline_ms;    /* wait for a connection at most */
	int64_t statement_timeout_ms; /* 0: none */
	/* How long a statement waits for what another transaction holds, then
	 * it ends as RC_BUSY, SQLSTATE 55P03; 0: as long as it may run. */
	int64_t lock_timeout_ms;
	/* For one address; 0: 1.5 s.  The URL's connect_timeout wins. */
	int64_t connect_timeout_ms;
	/* A connection without an answer this long past its statements' time
	 * is given up; 0: 10 s. */
	int64_t silence_ms;
	/* When a commit has waited for a standby this long, who asked is told
	 * RC_UNAVAILABLE, its outcome unknown; 0: when it is over. */
	int64_t commit_wait_ms;
	bool ignore_env; /* drop inherited PG* variables */
	/* For sessions, ended by one without a name; NULL: none but ours. */
	const struct db_setting *settings;
	bool is_eager; /* connects before there is a request */
	/* What is forgotten is not wanted: its statement is ended too. */
	bool ends_forgotten;
	/* Shared by a process's pools, which have one URL; NULL: none. */
	struct db_home *home;
	/* Any server that answers will do, and its session is taken as it is:
	 * for looking, before there is a schema of ours. */
	bool is_plain;
};

/* One statement.  Parameters are text (PostgreSQL's input syntax); a NULL
 * entry is SQL NULL.  They are copied. */
struct db_stmt {
	enum query q;
	size_t nparams;
	const char *const *params;
};

/* The rows of one statement; NULL texts are SQL NULL. */
struct db_result; /* defined in result.c */

/*
 * Called once on the loop.  RC_OK: results[0..n-1], owned by the pool and
 * valid during the call only (see db_results_keep).  Otherwise error carries
 * SQLSTATE and message.
 */
struct db_error {
	char sqlstate[6];    /* "" when the server did not speak */
	char message[256];   /* primary message; never shown to clients */
	char constraint[64]; /* name of the violated constraint, or "" */
	char table[64];      /* whose constraint it is, or "" */
	char detail[256];
	size_t statement; /* index of the statement that failed */
};
struct db_outcome {
	rc code;
	struct db_result **results;
	size_t nresults;
	struct db_error error;
};
typedef void db_done_fn(void *arg, struct db_outcome *outcome);

rc db_pool_new(struct loop *l, const struct db_opts *opts,
    struct db_pool **out) MUST_CHECK;
/* Requests still queued or running end with RC_CANCELLED first. */
void db_pool_free(struct db_pool *p);

/* done is called exactly once, never from inside this call. */
struct db_req *db_submit(struct db_pool *p, const struct db_stmt *stmts,
    size_t nstmts, db_done_fn *done, void *arg);
/* Forgets the callback.  A statement already sent still runs, unless the pool
 * ends what is forgotten: then its connection is closed, and the server breaks
 * it off within a second. */
void db_forget(struct db_req *r);

/* Moves the results to the arena's lifetime. */
void db_results_keep(struct db_outcome *o, struct arena *a);

struct db_stats {
	size_t open, busy, queued;
	uint64_t requests, timeouts, resets;
	size_t waiting;    /* sessions whose commit waits for a standby */
	bool is_full;      /* its disk: a request failed for want of room */
	uint64_t retries;  /* of requests that the server undid */
	size_t ceiling;    /* of sessions */
	uint64_t waits_ms; /* what requests waited for a session, in sum */
};
void db_pool_stats(const struct db_pool *p, struct db_stats *out);
/* A number that moves when what may write is sent and when its answer is in;
 * *out_running adds how many are between the two. */
uint64_t db_pool_writes(const struct db_pool *p, size_t *out_running);
/*
 * NULL, or why a request would not be served now: commits wait for a standby;
 * something failed for want of room within six seconds; there is no
 * connection and the last attempt failed, or there was none yet; or requests
 * waited in vain, and none was served for three seconds since.  One that is
 * busy but serves is all right.  Static text.
 */
const char *db_pool_trouble(const struct db_pool *p);
/*
 * NULL, or what is wrong with the server or a pooler in front of it, and what
 * to do, as found when a connection was tried last; those that are open may
 * serve all the same.  Static text.
 */
const char *db_pool_warning(const struct db_pool *p);

/* --- results --- */
size_t db_nrows(const struct db_result *r);
/* Rows an INSERT, UPDATE or DELETE touched. */
size_t db_naffected(const struct db_result *r);
/* Column of that name; an unknown name is our bug and aborts. */
int db_col(const struct db_result *r, const char *name);
bool db_is_null(const struct db_result *r, size_t row, int col);
/* "" for NULL. */
const char *db_text(const struct db_result *r, size_t row, int col);
/* Of the column of that name, copied to the arena; NULL for NULL. */
const char *db_text_copy(struct arena *a, const struct db_result *r, size_t row,
    const char *name);
int64_t db_i64(const struct db_result *r, size_t row, int col);
bool db_bool(const struct db_result *r, size_t row, int col);

/* SQLSTATE to rc: 23505 conflict, 23503 invalid, 22/23 data, 40/55P03 busy,
 * 57 and connection loss unavailable, else internal. */
rc db_rc_of_sqlstate(const char *sqlstate);

/* --- parameters --- */
/* '{"a","b"}' with quoting, in the arena; NULL entries become NULL. */
const char *db_text_array(struct arena *a, const char *const *items, size_t n);
const char *db_i64_array(struct arena *a, const int64_t *items, size_t n);

#endif
