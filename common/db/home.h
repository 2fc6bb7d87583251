/*
 * home: the database server that a process is with.
 *
 * All pools of a process share one.  Each new session is asked which server it
 * leads to (session.c), and only those of one server at a time are kept: the
 * same system identifier and timeline, or a later timeline of the same history,
 * to which all pools then go together.  What comes back with an older one is
 * refused by name, however well it answers.  Call from the event loop only.
 */
#ifndef COMMON_DB_HOME_H
#define COMMON_DB_HOME_H

struct db_home; /* defined in home.c */

/* It outlives the pools that were given it. */
struct db_home *db_home_new(void);
/* NULL is a no-op. */
void db_home_free(struct db_home *h);
/* "db1 port 5432, system 7300, timeline 2"; "" while there was none. */
const char *db_home_text(const struct db_home *h);

#endif
