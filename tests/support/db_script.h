/*
 * db_script: a database pool that follows a script, for tests without
 * PostgreSQL.
 *
 * It defines the functions of common/db/db.h itself; a program that contains
 * it links those instead of the real pool (its object wins over the static
 * library, whose pool is then not linked at all).  Works on a real and on a
 * simulated loop.  Answers come on a later turn, as the real ones do.
 *
 *	p = db_script_new(loop);
 *	db_script_expect(p, Q_CERT_FOR_RENEWAL, "cert-1");
 *	db_script_rows(p, "id|revoked", "cert-1|f");
 *	db_script_expect(p, Q_JOB_INSERT_RENEW, "*|cert-1");
 *	db_script_error(p, "23505", "duplicate key", "jobs_dedupe");
 *	... run ...
 *	CHECK(db_script_is_done(p));
 *
 * A request that the script does not expect is printed, ends as RC_INTERNAL,
 * and makes db_script_is_done false for good.
 */
#ifndef TESTS_SUPPORT_DB_SCRIPT_H
#define TESTS_SUPPORT_DB_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/db/db.h"

/* Free it with db_pool_free. */
struct db_pool *db_script_new(struct loop *l);

/*
 * The next request is this statement.  params: one fnmatch(3) pattern a
 * parameter, separated by '|'; \N is SQL NULL, NULL is any parameters, ""
 * is none at all.  The answer follows by one of the functions below; without
 * one it is no rows, none affected.
 */
void db_script_expect(struct db_pool *p, enum query q, const char *params);
/* One more statement of the same request. */
void db_script_also(struct db_pool *p, enum query q, const char *params);

/* Answers of the statement expected last.  cols: names separated by '|';
 * rows: lines of cells separated by '|', \N is SQL NULL, "" is no rows; a \v
 * in a cell becomes a newline. */
void db_script_rows(struct db_pool *p, const char *cols, const char *rows);
void db_script_affected(struct db_pool *p, size_t n);
/* The request fails at this statement.  sqlstate "" is a lost connection;
 * constraint may be NULL. */
void db_script_error(struct db_pool *p, const char *sqlstate,
    const char *message, const char *constraint);
/* The request ends with this code without reaching the server. */
void db_script_code(struct db_pool *p, rc code);
/* The request is answered only after that time; < 0: never. */
void db_script_after(struct db_pool *p, int64_t ms);

/*
 * A standing rule: whenever no expectation is left, or the next one is for
 * another statement, fn answers this one, by calling the functions above.
 */
typedef void db_script_fn(void *arg, struct db_pool *p,
    const struct db_stmt *stmt);
void db_script_on(struct db_pool *p, enum query q, db_script_fn *fn, void *arg);

/* Every expectation was met and nothing else was asked; prints what not. */
bool db_script_is_done(const struct db_pool *p);
/* Requests whose answer nobody waits for any more (db_forget). */
size_t db_script_forgotten(const struct db_pool *p);
/* Requests asked and not answered yet. */
size_t db_script_in_flight(const struct db_pool *p);

#endif
