/*
 * The functions of this version: installing them, and removing those of
 * versions that nobody uses.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "code_gen.h" /* CODE_SCHEMA, made by tools/codeschema.py */
#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/migrate/migrate_files.h"
#include "common/migrate/migrate_int.h"
#include "common/policy/policy_sql.h"

/* The locks of a busy database come within moments, or a few times later. */
enum { INSTALL_TRIES = 50, INSTALL_PAUSE_MS = 200, HASH_DIGITS = 12 };

static const char schema_prefix[] = "certctl_";

/* --- what is there --- */

/* Whether the functions of this program are there and may be called; RC_DATA.
 */
static rc
code_check(PGconn *pg, bool *out_is_there)
{
	PGresult *res = migrate_run(pg, Q_MIGRATE_CODE_IS_THERE, CODE_SCHEMA);
	rc ret = RC_DATA;

	if (migrate_is_good(res) && PQntuples(res) == 1) {
		*out_is_there = PQgetvalue(res, 0, 0)[0] == 't';
		ret = RC_OK;
	} else {
		migrate_complain("functions", PQerrorMessage(pg));
	}
	PQclear(res);
	return ret;
}

/* What the program itself holds, which stands first, and that of files. */
static rc
join_code(const char *files, char **out_text)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	bool is_whole;

	if (!f)
		return RC_IO;
	policy_sql(f);
	is_whole = fputs(files, f) >= 0;
	if (fclose(f) != 0 || !is_whole) {
		free(text);
		return RC_IO;
	}
	*out_text = text;
	return RC_OK;
}

/* The text must be that of this program: it would not find another. */
static rc
read_code(const char *dir, char **out_text)
{
	char hex[65], name[sizeof(schema_prefix) + HASH_DIGITS];
	char why[128];
	char *files, *text;
	rc ret;

	ret = migrate_read_code(dir, &files);
	if (ret != RC_OK) {
		migrate_complain(dir, "no functions can be read in code/");
		return ret;
	}
	ret = join_code(files, &text);
	free(files);
	if (ret != RC_OK) {
		migrate_complain(dir, "no memory for its functions");
		return ret;
	}
	enc_sha256_hex(text, strlen(text), hex);
	(void)snprintf(name, sizeof(name), "%s%.*s", schema_prefix, HASH_DIGITS,
	    hex);
	if (strcmp(name, CODE_SCHEMA) != 0) {
		(void)snprintf(why, sizeof(why),
		    "its code/ is %s, and this program needs " CODE_SCHEMA,
		    name);
		migrate_complain(dir, why);
		free(text);
		return RC_CONFLICT;
	}
	*out_text = text;
	return RC_OK;
}

/* --- installing --- */

/* Somebody's transaction was in the way. */
static bool
is_worth_another_try(const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return state &&
	       (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0);
}

/* RC_BUSY: again, please. */
static rc
run_code(PGconn *pg, const char *text)
{
	PGresult *res = PQexec(pg, text); /* any number of statements */
	rc ret = RC_OK;

	if (!migrate_is_good(res)) {
		ret = is_worth_another_try(res) ? RC_BUSY : RC_DATA;
		if (ret == RC_DATA)
			migrate_complain(CODE_SCHEMA, PQerrorMessage(pg));
	}
	PQclear(res);
	return ret;
}

static rc
install_once(PGconn *pg, const char *text)
{
	rc ret;

	ret = migrate_execute(pg, Q_MIGRATE_BEGIN, NULL);
	if (ret != RC_OK)
		return ret;
	ret = migrate_execute(pg, Q_MIGRATE_CODE_ENTER, CODE_SCHEMA);
	if (ret == RC_OK)
		ret = migrate_execute(pg, Q_MIGRATE_CODE_MAKE, NULL);
	if (ret == RC_OK)
		ret = run_code(pg, text);
	if (ret == RC_OK)
		ret = migrate_execute(pg, Q_MIGRATE_CODE_PROVE, NULL);
	if (ret == RC_OK)
		ret = migrate_execute(pg, Q_MIGRATE_CODE_TAKE_OVER, NULL);
	if (ret == RC_OK)
		ret = migrate_execute(pg, Q_MIGRATE_CODE_BOOK, CODE_SCHEMA);
	if (ret == RC_OK)
		return migrate_execute(pg, Q_MIGRATE_COMMIT, NULL);
	migrate_roll_back(pg);
	return ret;
}

static rc
install(PGconn *pg, const char *text)
{
	const struct timespec pause = {.tv_nsec = INSTALL_PAUSE_MS * 1000000L};
	int64_t start_ms = clock_boot_ms();
	rc ret = RC_BUSY;

	for (int i = 0; i < INSTALL_TRIES && ret == RC_BUSY; i++) {
		if (i > 0)
			(void)nanosleep(&pause, NULL);
		ret = install_once(pg, text);
	}
	if (ret == RC_BUSY)
		migrate_complain(CODE_SCHEMA,
		    "tables stay locked by others; try again later");
	if (ret == RC_OK)
		(void)printf("migrate: installed functions " CODE_SCHEMA
			     " in %lld ms\n",
		    (long long)(clock_boot_ms() - start_ms));
	return ret;
}

/* --- with what is installed --- */

/* One statement in a transaction that finds the functions of this program; the
 * caller clears *out_result. */
static rc
run_installed(PGconn *pg, enum query q, const char *param,
    PGresult **out_result)
{
	rc ret;

	*out_result = NULL;
	ret = migrate_execute(pg, Q_MIGRATE_BEGIN, NULL);
	if (ret != RC_OK)
		return ret;
	ret = migrate_execute(pg, Q_MIGRATE_CODE_ENTER, CODE_SCHEMA);
	if (ret == RC_OK) {
		*out_result = migrate_run(pg, q, param);
		if (!migrate_is_good(*out_result)) {
			migrate_complain(sql_statements[q].name,
			    PQerrorMessage(pg));
			ret = RC_DATA;
		}
	}
	if (ret == RC_OK)
		return migrate_execute(pg, Q_MIGRATE_COMMIT, NULL);
	migrate_roll_back(pg);
	return ret;
}

/* For roles that were made since the installation. */
static rc
grant_rights(PGconn *pg)
{
	PGresult *res;
	rc ret;

	ret = run_installed(pg, Q_MIGRATE_CODE_GRANT, NULL, &res);
	PQclear(res);
	return ret;
}

static rc
drop_unused(PGconn *pg, int64_t grace_ms)
{
	char grace[32];
	PGresult *res;
	rc ret;

	(void)snprintf(grace, sizeof(grace), "%" PRId64, grace_ms);
	ret = run_installed(pg, Q_MIGRATE_CODE_DROP_UNUSED, grace, &res);
	for (int i = 0; ret == RC_OK && i < PQntuples(res); i++)
		(void)printf("migrate: removed functions %s, unused\n",
		    PQgetvalue(res, i, 0));
	PQclear(res);
	return ret;
}

rc
migrate_code_up(PGconn *pg, const char *dir, int64_t grace_ms)
{
	bool is_there = false;
	char *text;
	rc ret;

	ret = read_code(dir, &text);
	if (ret != RC_OK)
		return ret;
	ret = code_check(pg, &is_there);
	if (ret == RC_OK && is_there) {
		(void)printf(
		    "migrate: functions " CODE_SCHEMA " are installed\n");
		ret = grant_rights(pg);
	} else if (ret == RC_OK) {
		ret = install(pg, text);
	}
	free(text);
	return ret == RC_OK ? drop_unused(pg, grace_ms) : ret;
}

rc
migrate_code_down(PGconn *pg)
{
	rc ret;

	ret = migrate_execute(pg, Q_MIGRATE_CODE_DROP_ALL, NULL);
	if (ret == RC_OK)
		(void)printf("migrate: removed the functions of every "
			     "version\n");
	return ret;
}
