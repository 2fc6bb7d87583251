/*
 * test_db: what the test programs of the pool share: a loop, a pool on the
 * throw-away server of TEST_DATABASE_URL, and requests run to their end.
 */
#ifndef TESTS_UNIT_COMMON_DB_TEST_DB_H
#define TESTS_UNIT_COMMON_DB_TEST_DB_H

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/db/db.h"
#include "common/loop/loop.h"
#include "common/loop/spawn.h"
#include "tests/unit/check.h"

/* How one request ended; the results live as long as the arena. */
struct answer {
	int calls;
	rc code;
	struct db_error error;
	struct db_result **results;
	size_t nresults;
	int order; /* 1 for the first that ended, and so on */
};

static struct loop *loop;
static struct db_pool *pool;
static struct arena *arena;
static int answers, wanted;

static inline void
on_answer(void *arg, struct db_outcome *o)
{
	struct answer *a = arg;

	db_results_keep(o, arena);
	a->calls++;
	a->code = o->code;
	a->error = o->error;
	a->results = o->results;
	a->nresults = o->nresults;
	a->order = ++answers;
	if (answers == wanted)
		loop_stop(loop);
}

static inline struct db_opts
opts_default(void)
{
	return (struct db_opts){
	    .url = getenv("TEST_DATABASE_URL"),
	    .application_name = "test-db",
	    .max_conns = 4,
	    .queue_deadline_ms = 20000,
	    .statement_timeout_ms = 20000,
	    .ignore_env = true,
	};
}

static inline void
begin_with(const struct db_opts *o)
{
	rc ret;

	/* What a test before this one left when it failed. */
	db_pool_free(pool);
	arena_free(arena);
	loop_free(loop);
	pool = NULL;
	loop = NULL;
	arena = arena_new();
	answers = wanted = 0;
	ret = loop_new(&loop);
	CHECK_INT(ret, RC_OK);
	ret = db_pool_new(loop, o, &pool);
	CHECK_INT(ret, RC_OK);
}

static inline void
begin(void)
{
	struct db_opts o = opts_default();

	begin_with(&o);
}

static inline void
end(void)
{
	db_pool_free(pool);
	arena_free(arena);
	loop_free(loop);
	pool = NULL;
	arena = NULL;
	loop = NULL;
}

/* Until n more requests have ended. */
static inline void
run_until(int n)
{
	rc ret;

	wanted = answers + n;
	ret = loop_run(loop);
	CHECK_INT(ret, RC_OK);
}

static inline void
on_wait_over(void *arg)
{
	loop_stop(loop);
}

static inline void
wait_ms(int64_t ms)
{
	struct timer *t = timer_new(loop, on_wait_over, NULL);
	rc ret;

	timer_arm(t, ms);
	ret = loop_run(loop);
	timer_free(t);
	CHECK_INT(ret, RC_OK);
}

static inline struct db_req *
send_all(struct answer *a, const struct db_stmt *stmts, size_t n)
{
	memset(a, 0, sizeof(*a));
	return db_submit(pool, stmts, n, on_answer, a);
}

#define STMT(query, ...) \
	{ \
		(query), \
		    sizeof((const char *const[]){__VA_ARGS__}) / \
			sizeof(char *), \
		    (const char *const[]) \
		{ \
			__VA_ARGS__ \
		} \
	}
#define STMT0(query) \
	{ \
		(query), 0, NULL \
	}
#define SEND(a, ...) \
	send_all((a), (const struct db_stmt[]){__VA_ARGS__}, \
	    sizeof((const struct db_stmt[]){__VA_ARGS__}) / \
		sizeof(struct db_stmt))
/* Sends and waits; the rc. */
#define ASK(a, ...) (SEND(a, __VA_ARGS__), run_until(1), (a)->code)

static inline const char *
text_of(const struct answer *a, const char *col)
{
	const struct db_result *r = a->results[a->nresults - 1];

	return db_text(r, 0, db_col(r, col));
}

static inline int64_t
i64_of(const struct answer *a, const char *col)
{
	const struct db_result *r = a->results[a->nresults - 1];

	return db_i64(r, 0, db_col(r, col));
}

static inline void
make_table(void)
{
	struct answer a;

	CHECK_INT(ASK(&a, STMT0(Q_T_DROP), STMT0(Q_T_CREATE)), RC_OK);
}

static inline int64_t
count_rows(void)
{
	struct answer a;

	CHECK_INT(ASK(&a, STMT0(Q_T_COUNT)), RC_OK);
	return i64_of(&a, "n");
}

static inline void
on_ctl_done(void *arg, rc code, int exit_status, const char *output)
{
	*(int *)arg = code == RC_OK ? exit_status : -1;
	loop_stop(loop);
}

/* pg_ctl: "restart", "stop", "start". */
static inline void
server(const char *verb)
{
	const char *const argv[] = {getenv("TEST_POSTGRES_CTL"), "-m", "fast",
	    verb, NULL};
	struct spawn *s;
	int status = -2;
	rc ret;

	CHECK(argv[0] != NULL);
	ret = spawn_start(loop, argv, 60000, on_ctl_done, &status, &s);
	CHECK_INT(ret, RC_OK);
	while (status == -2) {
		ret = loop_run(loop);
		CHECK_INT(ret, RC_OK);
	}
	CHECK_INT(status, 0);
}

#endif
