/*
 * A db_result is libpq's PGresult under a name of our own: no copy is made
 * and no struct is wrapped around it.
 */
#include <libpq-fe.h>
#include <stdlib.h>

#include "common/base/enc.h"
#include "common/db/db.h"
#include "common/log/log.h"

static const PGresult *
pg(const struct db_result *r)
{
	return (const PGresult *)r;
}

static void
clear(void *p)
{
	PQclear(p);
}

void
db_results_keep(struct db_outcome *o, struct arena *a)
{
	struct db_result **kept;

	if (o->nresults == 0)
		return;
	kept = arena_alloc(a, o->nresults * sizeof(struct db_result *));
	for (size_t i = 0; i < o->nresults; i++) {
		kept[i] = o->results[i];
		arena_defer(a, clear, kept[i]);
		o->results[i] = NULL; /* not the pool's any more */
	}
	o->results = kept;
}

size_t
db_nrows(const struct db_result *r)
{
	return (size_t)PQntuples(pg(r));
}

size_t
db_naffected(const struct db_result *r)
{
	/* libpq's declaration lacks the const. */
	return strtoul(PQcmdTuples((PGresult *)r), NULL, 10);
}

int
db_col(const struct db_result *r, const char *name)
{
	int col = PQfnumber(pg(r), name);

	if (col < 0)
		log_fatal("DB-COLUMN", "no column %s in the result", name);
	return col;
}

static int
cell(const struct db_result *r, size_t row, int col)
{
	if (row >= db_nrows(r) || col < 0 || col >= PQnfields(pg(r)))
		log_fatal("DB-CELL", "no row %zu column %d in the result", row,
		    col);
	return (int)row;
}

bool
db_is_null(const struct db_result *r, size_t row, int col)
{
	return PQgetisnull(pg(r), cell(r, row, col), col) != 0;
}

const char *
db_text(const struct db_result *r, size_t row, int col)
{
	return PQgetvalue(pg(r), cell(r, row, col), col);
}

const char *
db_text_copy(struct arena *a, const struct db_result *r, size_t row,
    const char *name)
{
	int col = db_col(r, name);

	return db_is_null(r, row, col) ? NULL
				       : arena_strdup(a, db_text(r, row, col));
}

int64_t
db_i64(const struct db_result *r, size_t row, int col)
{
	const char *text = db_text(r, row, col);
	int64_t value;
	rc ret;

	if (text[0] == '\0')
		return 0;
	ret = enc_parse_i64(text, INT64_MIN, INT64_MAX, &value);
	if (ret != RC_OK)
		log_fatal("DB-CELL", "column %s is not an integer",
		    PQfname(pg(r), col));
	return value;
}

bool
db_bool(const struct db_result *r, size_t row, int col)
{
	return db_text(r, row, col)[0] == 't';
}
