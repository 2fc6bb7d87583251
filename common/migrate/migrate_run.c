/*
 * Statements run one by one, and what is said of those that fail.
 */
#include <stdio.h>
#include <string.h>

#include "common/migrate/migrate_int.h"

/* Messages of libpq have several lines, and the first says it. */
void
migrate_complain(const char *what, const char *why)
{
	(void)fprintf(stderr, "migrate: %s: %.*s\n", what,
	    (int)strcspn(why, "\n"), why);
}

PGresult *
migrate_run(PGconn *pg, enum query q, const char *param)
{
	return PQexecParams(pg, sql_statements[q].text,
	    (int)sql_statements[q].nparams, NULL, param ? &param : NULL, NULL,
	    NULL, 0);
}

bool
migrate_is_good(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

rc
migrate_execute(PGconn *pg, enum query q, const char *param)
{
	PGresult *res = migrate_run(pg, q, param);
	bool good = migrate_is_good(res);

	PQclear(res);
	if (!good)
		migrate_complain(sql_statements[q].name, PQerrorMessage(pg));
	return good ? RC_OK : RC_DATA;
}

void
migrate_roll_back(PGconn *pg)
{
	PQclear(migrate_run(pg, Q_MIGRATE_ROLLBACK, NULL));
}
