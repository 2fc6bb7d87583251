/*
 * migrate_int: what the files of the module know of each other.  migrate.c
 * calls migrate_code.c, and both migrate_run.c.
 */
#ifndef COMMON_MIGRATE_MIGRATE_INT_H
#define COMMON_MIGRATE_MIGRATE_INT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "sql_gen.h" /* enum query: Q_*, made by tools/sqlgen.py */

/* --- migrate_run.c --- */

/* One line to standard error. */
void migrate_complain(const char *what, const char *why);
/* param NULL: the statement has none.  The caller clears the result. */
PGresult *migrate_run(PGconn *pg, enum query q, const char *param);
bool migrate_is_good(const PGresult *res);
/* RC_DATA, after a word, when the database refuses it. */
rc migrate_execute(PGconn *pg, enum query q, const char *param) MUST_CHECK;
/* After a failure that was told: what goes wrong here is no news. */
void migrate_roll_back(PGconn *pg);

/* --- migrate_code.c --- */

/*
 * Installs the functions in dir/code unless they are there, and removes those
 * of versions that nothing used for grace_ms.  RC_IO; RC_CONFLICT: they are not
 * those this program was built with; RC_DATA.
 */
rc migrate_code_up(PGconn *pg, const char *dir, int64_t grace_ms) MUST_CHECK;
/* Removes the functions of every version. */
rc migrate_code_down(PGconn *pg) MUST_CHECK;

#endif
