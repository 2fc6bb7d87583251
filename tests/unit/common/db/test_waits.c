/*
 * Commits that wait for a synchronous standby: one that never comes, for the
 * server is told to wait for a name that nobody has.
 */
#include <stdio.h>

#include "common/db/db_int.h"
#include "tests/unit/common/db/test_db.h"

enum { MANY = 12, PATIENCE_MS = 30000 };

static struct db_pool *other; /* of an operator */
static struct db_pool *probe; /* writes until it hangs */

/* Asks the other pool; what the pool under test does is not changed by it. */
static struct answer
operator_asks(const struct db_stmt *stmt)
{
	struct db_pool *mine = pool;
	struct answer a;

	pool = other;
	send_all(&a, stmt, 1);
	wanted = -1;
	while (a.calls == 0)
		wait_ms(5);
	pool = mine;
	CHECK_INT(a.code, RC_OK);
	return a;
}

static void
set_standby(const char *name)
{
	const struct db_stmt none = STMT0(Q_T_STANDBY_NONE);
	const struct db_stmt nobody = STMT0(Q_T_STANDBY_NOBODY);
	const struct db_stmt reload = STMT0(Q_T_RELOAD);

	(void)operator_asks(name ? &nobody : &none);
	(void)operator_asks(&reload);
}

static void
on_probed(void *arg, struct db_outcome *o)
{
	*(bool *)arg = true;
}

/* The server takes the new setting when it comes to it: only a commit tells. */
static void
hang(void)
{
	static const struct db_stmt write = STMT0(Q_T_FLAKY_RESET);
	struct db_stats st;
	bool is_answered = true;

	set_standby("nobody");
	wanted = -1;
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		db_pool_stats(probe, &st);
		if (st.waiting > 0)
			break;
		if (is_answered) {
			is_answered = false;
			(void)db_submit(probe, &write, 1, on_probed,
			    &is_answered);
		}
		wait_ms(10);
	}
	CHECK_INT(st.waiting, 1);
	/* What is asked from now on has nobody to tell here. */
	db_pool_free(probe);
	probe = NULL;
}

static int64_t
backends(void)
{
	const struct db_stmt stmt = STMT(Q_T_BACKENDS, "test-db");
	struct answer a = operator_asks(&stmt);

	return i64_of(&a, "n");
}

static struct db_stats
stats(void)
{
	struct db_stats st;

	db_pool_stats(pool, &st);
	return st;
}

static void
wait_for_waiting(size_t n)
{
	int64_t until_ms = loop_now_ms(loop) + PATIENCE_MS;

	while (stats().waiting != n && loop_now_ms(loop) < until_ms)
		wait_ms(10);
	CHECK_INT(stats().waiting, n);
}

static void
begin_standby(const struct db_opts *opts)
{
	struct db_opts o = opts_default();
	struct answer made;

	begin_with(opts);
	o.application_name = "operator";
	o.max_conns = 1;
	CHECK_INT(db_pool_new(loop, &o, &other), RC_OK);
	o.application_name = "probe";
	CHECK_INT(db_pool_new(loop, &o, &probe), RC_OK);
	make_table();
	CHECK_INT(ASK(&made, STMT0(Q_T_FLAKY_COUNT)), RC_OK);
}

static void
end_standby(void)
{
	set_standby(NULL);
	wait_for_waiting(0);
	db_pool_free(probe);
	db_pool_free(other);
	probe = NULL;
	end();
}

static struct db_req *
insert(struct answer *a, size_t id)
{
	static char text[MANY + 1][8];

	CHECK(id <= MANY);
	(void)snprintf(text[id], sizeof(text[id]), "%zu", id);
	return SEND(a, STMT(Q_T_INSERT, text[id], "v", NULL));
}

static void
wait_answered(const struct answer *a)
{
	int64_t until_ms = loop_now_ms(loop) + PATIENCE_MS;

	wanted = -1;
	while (a->calls == 0 && loop_now_ms(loop) < until_ms)
		wait_ms(5);
	CHECK_INT(a->calls, 1);
}

/* None is given up, though the limits of silence are over again and again, and
 * all get their answer in the end. */
static void
hanging_commits_are_kept(void)
{
	struct db_opts o = opts_default();
	struct answer a[MANY];

	o.statement_timeout_ms = 600;
	o.silence_ms = 200;
	o.max_conns = 4;
	begin_standby(&o);
	hang();
	for (size_t i = 0; i < MANY; i++)
		insert(&a[i], i);
	wait_for_waiting(4);
	wait_ms(2500); /* three times what silence is suffered otherwise */
	CHECK_INT(stats().waiting, 4);
	CHECK_INT(stats().resets, 0);
	CHECK(backends() <= 5); /* with the one that asks */
	CHECK(strstr(db_pool_trouble(pool), "standby") != NULL);
	set_standby(NULL);
	for (size_t i = 0; i < MANY; i++) {
		wait_answered(&a[i]);
		CHECK_INT(a[i].code, RC_OK);
	}
	CHECK(db_pool_trouble(pool) == NULL);
	CHECK_INT(count_rows(), MANY);
	CHECK(stats().open <= 4);
	end_standby();
}

static void
reads_go_on_and_writes_stay_queued(void)
{
	struct db_opts o = opts_default();
	struct answer a[MANY], late, read;

	o.max_conns = 5;
	o.queue_deadline_ms = 2000;
	begin_standby(&o);
	hang();
	for (size_t i = 0; i < 4; i++)
		insert(&a[i], i);
	/* One is kept for reading from the start. */
	SEND(&read, STMT0(Q_T_COUNT));
	wait_answered(&read);
	CHECK_INT(read.code, RC_OK);
	wait_for_waiting(4);
	insert(&late, MANY);
	for (int i = 0; i < 20; i++) {
		SEND(&read, STMT0(Q_T_COUNT));
		wait_answered(&read);
		CHECK_INT(read.code, RC_OK);
		CHECK_INT(i64_of(&read, "n"), 0); /* nothing is visible yet */
	}
	wait_answered(&late);
	CHECK_INT(late.code, RC_BUSY);
	CHECK_STR(late.error.message, "commits wait for a synchronous standby");
	set_standby(NULL);
	for (size_t i = 0; i < 4; i++)
		wait_answered(&a[i]);
	/* What was told that it did not happen did not. */
	CHECK_INT(count_rows(), 4);
	end_standby();
}

/* Who asked is told in time that the outcome is unknown; the session stays. */
static void
who_asked_is_told(void)
{
	struct db_opts o = opts_default();
	struct answer a;
	struct db_req *r;

	o.commit_wait_ms = 1500;
	begin_standby(&o);
	hang();
	r = insert(&a, 1);
	wait_answered(&a);
	CHECK_INT(a.code, RC_UNAVAILABLE);
	CHECK_STR(a.error.message,
	    "its commit waits for a synchronous standby");
	CHECK_INT(stats().waiting, 1);
	db_forget(r); /* late, and no harm */
	set_standby(NULL);
	wait_for_waiting(0);
	CHECK_INT(a.calls, 1);
	CHECK_INT(count_rows(), 1);
	CHECK_INT(stats().resets, 0);
	end_standby();
}

/* A statement that only takes long is no commit that waits. */
static void
slow_statement_does_not_wait(void)
{
	struct answer slow, insertion;
	struct db_opts o = opts_default();

	begin_standby(&o);
	SEND(&slow, STMT(Q_T_SLEEP, "2.5"));
	wait_ms(1800);
	CHECK_INT(stats().waiting, 0);
	CHECK(db_pool_trouble(pool) == NULL);
	insert(&insertion, 1);
	wait_answered(&insertion);
	CHECK_INT(insertion.code, RC_OK);
	wait_answered(&slow);
	CHECK_INT(slow.code, RC_OK);
	end_standby();
}

static void
pool_ends_with_hanging_commits(void)
{
	struct db_opts o = opts_default();
	struct answer a;

	begin_standby(&o);
	hang();
	insert(&a, 1);
	wait_for_waiting(1);
	db_pool_free(pool);
	pool = NULL;
	CHECK_INT(a.calls, 1);
	CHECK_INT(a.code, RC_CANCELLED);
	set_standby(NULL);
	db_pool_free(probe);
	db_pool_free(other);
	probe = NULL;
	end();
}

CHECK_MAIN(CHECK_ROW(hanging_commits_are_kept),
    CHECK_ROW(reads_go_on_and_writes_stay_queued), CHECK_ROW(who_asked_is_told),
    CHECK_ROW(slow_statement_does_not_wait),
    CHECK_ROW(pool_ends_with_hanging_commits))
