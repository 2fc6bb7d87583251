#include "common/migrate/migrate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code_gen.h" /* CODE_SCHEMA, made by tools/codeschema.py */
#include "common/base/clock.h"
#include "common/db/url.h"
#include "common/log/log.h"
#include "common/migrate/migrate_files.h"
#include "common/migrate/migrate_int.h"
#include "common/policy/policy.h"

/* --- the connection --- */

static void
ignore_notice(void *arg, const char *message)
{
}

/* Inherited PG* variables would fill in what the URL leaves open. */
static void
drop_environment(void)
{
	PQconninfoOption *options = PQconndefaults();

	for (PQconninfoOption *o = options; o && o->keyword; o++) {
		if (o->envvar)
			(void)unsetenv(o->envvar);
	}
	PQconninfoFree(options);
}

/* libpq's least; each address gets it, where the URL says nothing. */
#define CONNECT_TIMEOUT_S "2"

static PGconn *
connect_to(const char *url)
{
	/* The URL comes last and wins. */
	const char *const keys[] = {"connect_timeout", "dbname", NULL};
	const char *const values[] = {CONNECT_TIMEOUT_S, url, NULL};
	PGconn *pg;

	drop_environment();
	pg = PQconnectdbParams(keys, values, 1);
	if (pg)
		PQsetNoticeProcessor(pg, ignore_notice, NULL);
	return pg;
}

/* --- one file --- */

static rc
apply_text(PGconn *pg, const char *name, const char *text, enum query book)
{
	PGresult *res;
	bool good;
	rc ret;

	ret = migrate_execute(pg, Q_MIGRATE_BEGIN, NULL);
	if (ret != RC_OK)
		return ret;
	res = PQexec(pg, text); /* any number of statements */
	good = migrate_is_good(res);
	PQclear(res);
	if (!good) {
		migrate_complain(name, PQerrorMessage(pg));
		ret = RC_DATA;
	} else {
		ret = migrate_execute(pg, book, name);
	}
	if (ret == RC_OK)
		return migrate_execute(pg, Q_MIGRATE_COMMIT, NULL);
	migrate_roll_back(pg);
	return ret;
}

static rc
apply_file(PGconn *pg, const char *dir, const char *name, bool is_up)
{
	int64_t start_ms = clock_boot_ms();
	char *text;
	rc ret;

	ret = migrate_read_file(dir, name, is_up, &text);
	if (ret != RC_OK) {
		migrate_complain(name, "its file cannot be read");
		return ret;
	}
	ret = apply_text(pg, name, text,
	    is_up ? Q_MIGRATE_BOOK : Q_MIGRATE_UNBOOK);
	free(text);
	if (ret == RC_OK) {
		(void)printf("migrate: %s %s in %lld ms\n",
		    is_up ? "applied" : "reverted", name,
		    (long long)(clock_boot_ms() - start_ms));
		(void)fflush(stdout);
	}
	return ret;
}

/* --- all of them --- */

static bool
is_applied(const PGresult *applied, const char *name)
{
	for (int i = 0; i < PQntuples(applied); i++) {
		if (strcmp(PQgetvalue(applied, i, 0), name) == 0)
			return true;
	}
	return false;
}

static rc
apply_missing(PGconn *pg, const char *dir, const PGresult *applied)
{
	struct migrate_names names;
	size_t done = 0;
	rc ret;

	ret = migrate_list(dir, &names);
	if (ret != RC_OK) {
		migrate_complain(dir, "no migrations can be read there");
		return ret;
	}
	for (size_t i = 0; i < names.n && ret == RC_OK; i++) {
		if (is_applied(applied, names.items[i]))
			continue;
		ret = apply_file(pg, dir, names.items[i], true);
		done++;
	}
	if (ret == RC_OK && done == 0)
		(void)printf("migrate: all %zu migrations are applied\n",
		    names.n);
	migrate_names_fini(&names);
	return ret;
}

static rc
revert_last(PGconn *pg, const char *dir, const PGresult *applied, int n)
{
	int total = PQntuples(applied);
	rc ret = RC_OK;

	for (int i = total - 1; i >= 0 && i >= total - n && ret == RC_OK; i--)
		ret = apply_file(pg, dir, PQgetvalue(applied, i, 0), false);
	return ret;
}

/* Programs call the functions that are about to go.  RC_CONFLICT: some live,
 * and were named. */
static rc
refuse_beside_programs(PGconn *pg)
{
	char alive_s[16];
	PGresult *res = migrate_run(pg, Q_MIGRATE_HAS_PROCESSES, NULL);
	rc ret = RC_OK;

	if (migrate_is_good(res) && PQgetvalue(res, 0, 0)[0] == 't') {
		PQclear(res);
		(void)snprintf(alive_s, sizeof(alive_s), "%d", POLICY_ALIVE);
		res = migrate_run(pg, Q_MIGRATE_PROCESSES, alive_s);
		for (int i = 0; i < PQntuples(res); i++) {
			(void)fprintf(stderr,
			    "migrate: %s %s on %s (process %s) is running\n",
			    PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
			    PQgetvalue(res, i, 2), PQgetvalue(res, i, 3));
			ret = RC_CONFLICT;
		}
	}
	if (!migrate_is_good(res)) {
		migrate_complain("processes", PQerrorMessage(pg));
		ret = RC_DATA;
	}
	PQclear(res);
	if (ret == RC_CONFLICT)
		migrate_complain("nothing was reverted",
		    "it would take the functions away from these programs; "
		    "stop them, or add --force");
	return ret;
}

static rc
take_down(PGconn *pg, const char *dir, const PGresult *applied, int n,
    bool is_forced)
{
	rc ret = is_forced ? RC_OK : refuse_beside_programs(pg);

	/* Functions know the tables' rows. */
	if (ret == RC_OK)
		ret = migrate_code_down(pg);
	return ret == RC_OK ? revert_last(pg, dir, applied, n) : ret;
}

/* What is asked of the database; n_down 0: up. */
struct wish {
	const char *dir;
	int64_t grace_ms;
	int n_down;
	bool is_forced;
};

static rc
migrate_locked(PGconn *pg, const struct wish *wish)
{
	PGresult *applied = NULL;
	rc ret;

	ret = migrate_execute(pg, Q_MIGRATE_TABLE, NULL);
	if (ret == RC_OK)
		ret = migrate_execute(pg, Q_MIGRATE_TABLE_GRANT, NULL);
	if (ret != RC_OK)
		return ret;
	applied = migrate_run(pg, Q_MIGRATE_APPLIED, NULL);
	if (!migrate_is_good(applied)) {
		migrate_complain("schema_migrations", PQerrorMessage(pg));
		ret = RC_DATA;
	} else if (wish->n_down == 0) {
		ret = apply_missing(pg, wish->dir, applied);
		if (ret == RC_OK)
			ret = migrate_code_up(pg, wish->dir, wish->grace_ms);
	} else {
		ret = take_down(pg, wish->dir, applied, wish->n_down,
		    wish->is_forced);
	}
	PQclear(applied);
	return ret;
}

/* The lock is the session's, and a pooler may give it to somebody else.  It is
 * told by the process that serves us: the log-in named another. */
static rc
refuse_pooler(PGconn *pg)
{
	PGresult *res = migrate_run(pg, Q_SESSION_PID, NULL);
	rc ret = RC_OK;

	if (!migrate_is_good(res)) {
		migrate_complain("database", PQerrorMessage(pg));
		ret = RC_DATA;
	} else if (strtol(PQgetvalue(res, 0, 0), NULL, 10) !=
		   PQbackendPID(pg)) {
		migrate_complain("database",
		    "there is a pooler in between; migrations need "
		    "PostgreSQL itself");
		ret = RC_INVALID;
	}
	PQclear(res);
	return ret;
}

static rc
migrate(const char *url, const struct wish *wish)
{
	const char *fault = db_url_fault(url);
	rc ret = RC_UNAVAILABLE;
	PGconn *pg;

	if (fault) {
		migrate_complain("CERTCTL_DATABASE_URL cannot be used", fault);
		return RC_INVALID;
	}
	pg = connect_to(url);
	if (!pg || PQstatus(pg) != CONNECTION_OK) {
		migrate_complain("database",
		    pg ? PQerrorMessage(pg) : "out of memory");
	} else {
		ret = refuse_pooler(pg);
		if (ret == RC_OK)
			ret = migrate_execute(pg, Q_MIGRATE_LOCK, NULL);
		if (ret == RC_OK)
			ret = migrate_locked(pg, wish);
		if (ret == RC_OK)
			ret = migrate_execute(pg, Q_MIGRATE_UNLOCK, NULL);
	}
	PQfinish(pg); /* which gives back the lock in any case */
	return ret;
}

rc
migrate_up(const char *url, const char *dir, int64_t grace_ms)
{
	const struct wish wish = {.dir = dir, .grace_ms = grace_ms};

	return migrate(url, &wish);
}

rc
migrate_down(const char *url, const char *dir, int n, bool is_forced)
{
	const struct wish wish = {.dir = dir,
	    .n_down = n,
	    .is_forced = is_forced};

	return n < 1 ? RC_INVALID : migrate(url, &wish);
}
