/*
 * migrate: bring a database's schema to what this program needs.
 *
 * Blocking, before any other loop runs; all but the check on a libpq connection
 * of its own.  Files
 * NNNN_name.up.sql are applied in order, each in a transaction together with
 * its row in schema_migrations; then the functions in code/ are installed in a
 * schema of their own, beside those of other versions.  All under an advisory
 * lock, so that several processes may start it at once.  Progress is printed,
 * one line a step.
 */
#ifndef COMMON_MIGRATE_MIGRATE_H
#define COMMON_MIGRATE_MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/db/db.h"

/* The migration this program was written for; a test compares it with the
 * directory. */
#define MIGRATE_SCHEMA_VERSION "0019_crl_keys"

/*
 * Functions of other versions that nothing used for grace_ms are removed.
 * RC_UNAVAILABLE: no connection; RC_IO: a file; RC_CONFLICT: the files are
 * another version's; RC_DATA: the database refused a statement.  The reason is
 * printed to standard error.
 */
rc migrate_up(const char *url, const char *dir, int64_t grace_ms) MUST_CHECK;
/* Removes the functions of every version and reverts the last n.  Unless it is
 * forced, RC_CONFLICT where programs live in this database, each named. */
rc migrate_down(const char *url, const char *dir, int n,
    bool is_forced) MUST_CHECK;
/*
 * Whether the schema has what this program needs, its functions among it; a
 * newer one will do.  opts: of a plain pool.  Waits up to wait_ms for the
 * database to answer.  RC_UNAVAILABLE, or RC_INVALID when something is missing;
 * both after a log line that says what to do.
 */
rc migrate_check(const struct db_opts *opts, int64_t wait_ms) MUST_CHECK;

#endif
