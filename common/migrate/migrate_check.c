/*
 * The check at start: whether the database has what this program needs.
 *
 * It asks by a pool of its own, on a loop of its own, so that a host that is
 * silent, or a name that is not found, costs what it costs every other pool.
 */
#include <string.h>

#include "code_gen.h" /* CODE_SCHEMA, made by tools/codeschema.py */
#include "common/db/db.h"
#include "common/log/log.h"
#include "common/migrate/migrate.h"

enum { RETRY_MS = 100, SLOW_MS = 5000 };

struct check {
	struct loop *loop;
	struct db_pool *pool;
	struct timer *limit, *retry;
	rc ret;
};

static void
end(struct check *c, rc ret)
{
	c->ret = ret;
	loop_stop(c->loop);
}

static bool
is_applied(const struct db_result *r, const char *name)
{
	for (size_t i = 0; i < db_nrows(r); i++) {
		if (strcmp(db_text(r, i, db_col(r, "version")), name) == 0)
			return true;
	}
	return false;
}

/* The database refused a statement, and would again. */
static bool
is_missing(const struct db_outcome *o)
{
	return o->code != RC_OK && o->code != RC_UNAVAILABLE &&
	       o->code != RC_BUSY && o->code != RC_CANCELLED;
}

static rc
read_answer(const struct db_outcome *o)
{
	if (is_missing(o)) {
		log_error("SCHEMA-MISSING",
		    "this database has no schema of ours; run "
		    "certctl-apiserver --migrate-only as its owner");
		return RC_INVALID;
	}
	if (!is_applied(o->results[0], MIGRATE_SCHEMA_VERSION)) {
		log_error("SCHEMA-OLD",
		    "migration %s is missing in this database; run "
		    "certctl-apiserver --migrate-only as its owner",
		    MIGRATE_SCHEMA_VERSION);
		return RC_INVALID;
	}
	if (!db_bool(o->results[1], 0, db_col(o->results[1], "is_there"))) {
		log_error("CODE-MISSING",
		    "the functions of this version, " CODE_SCHEMA
		    ", are not installed in this database; run "
		    "certctl-apiserver --migrate-only of this version as its "
		    "owner");
		return RC_INVALID;
	}
	return RC_OK;
}

static void
on_answered(void *arg, struct db_outcome *o)
{
	struct check *c = arg;

	if (o->code == RC_CANCELLED)
		return; /* the pool's end */
	if (o->code == RC_OK || is_missing(o))
		end(c, read_answer(o));
	else
		timer_arm(c->retry, RETRY_MS);
}

static void
ask(void *arg)
{
	static const char *const schema[] = {CODE_SCHEMA};
	const struct db_stmt stmts[] = {{Q_MIGRATE_APPLIED, 0, NULL},
	    {Q_MIGRATE_CODE_IS_THERE, 1, schema}};
	struct check *c = arg;

	(void)db_submit(c->pool, stmts, ARRAY_LEN(stmts), on_answered, c);
}

static void
on_limit(void *arg)
{
	log_error("DB-UNREACHABLE", "the database does not answer");
	end(arg, RC_UNAVAILABLE);
}

rc
migrate_check(const struct db_opts *opts, int64_t wait_ms)
{
	struct db_opts full = *opts;
	struct check c = {0};
	rc ret;

	full.queue_deadline_ms = wait_ms;
	full.statement_timeout_ms = SLOW_MS;
	ret = loop_new(&c.loop);
	if (ret == RC_OK)
		ret = db_pool_new(c.loop, &full, &c.pool);
	if (ret == RC_OK) {
		c.limit = timer_new(c.loop, on_limit, &c);
		c.retry = timer_new(c.loop, ask, &c);
		timer_arm(c.limit, wait_ms);
		ask(&c);
		ret = loop_run(c.loop);
	}
	db_pool_free(c.pool);
	timer_free(c.limit);
	timer_free(c.retry);
	loop_free(c.loop);
	return ret == RC_OK ? c.ret : ret;
}
