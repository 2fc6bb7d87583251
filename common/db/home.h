/*
 * home: the database server that a process is with.
 *
 * All pools of a process share one.  Each new session is asked which server it
 * leads to (session.c), and only those of one server at a time are kept: the
 * same system identifier and timeline, or a later timeline of the same history,
 * to which all pools then go together.  What comes back with an older one is
 * refused by name, however well it answers.  They also begin their attempts
 * with one host, the last that answered any of them, so that a silent one is
 * waited for once.  Call from the event loop only.
 */
#ifndef COMMON_DB_HOME_H
#define COMMON_DB_HOME_H

#include <stdbool.h>

struct db_home; /* defined in home.c */

/* It outlives the pools that were given it. */
struct db_home *db_home_new(void);
/* NULL is a no-op. */
void db_home_free(struct db_home *h);
/* "db1 port 5432, system 7300, timeline 2"; "" while there was none. */
const char *db_home_text(const struct db_home *h);
/* What tells that server from any other; false: there was none yet. */
bool db_home_where(const struct db_home *h, const char **out_system,
    int *out_timeline);
/*
 * Somebody who can be believed is on this timeline of the same system.  If it
 * is later than ours, the process never saw a promotion: its pools leave and
 * look for a server that is as far.  What is older is refused as long as
 * somebody goes on saying so, and for half a minute after the last time: while
 * others write there, what we wrote here would be lost.  To be called each time
 * it is heard.
 */
void db_home_seek(struct db_home *h, int timeline);

#endif
