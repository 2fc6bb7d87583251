/*
 * migrate_int: what the files of the module know of each other.
 */
#ifndef COMMON_MIGRATE_MIGRATE_INT_H
#define COMMON_MIGRATE_MIGRATE_INT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "sql_gen.h" /* enum query: Q_*, made by tools/sqlgen.py */

/* --- migrate.c --- */

/* One line to standard error. */
void migrate_complain(const char *what, const char *why);
/* param NULL: the statement has none.  The caller clears the result. */
PGresult *migrate_run(PGconn *pg, enum query q, const char *param);
bool migrate_is_good(const PGresult *res);
/* RC_DATA, after a word, when the database refuses it. */
rc migrate_execute(PGconn *pg, enum query q, const char *param) MUST_CHECK;

/* --- migrate_code.c --- */

/*
 * Installs the functions in dir/code unless they are there, and removes those
 * of versions that nothing used for grace_ms.  RC_IO; RC_CONFLICT: they are not
 * those this program was built with; RC_DATA.
 */
rc migrate_code_up(PGconn *pg, const char *dir, int64_t grace_ms) MUST_CHECK;
/* Removes the functions of every version. */
rc migrate_code_down(PGconn *pg) MUST_CHECK;
/* Whether the functions of this program are there and may be called; RC_DATA.
 */
rc migrate_code_check(PGconn *pg, bool *out_is_there) MUST_CHECK;

#endif
