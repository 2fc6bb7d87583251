#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/db/db_int.h"
#include "common/log/log.h"

static size_t
text_size(const struct db_stmt *stmts, size_t nstmts, size_t *out_nparams)
{
	size_t bytes = 0, nparams = 0;

	for (size_t i = 0; i < nstmts; i++) {
		for (size_t j = 0; j < stmts[i].nparams; j++) {
			if (stmts[i].params[j])
				bytes += strlen(stmts[i].params[j]) + 1;
		}
		nparams += stmts[i].nparams;
	}
	*out_nparams = nparams;
	return bytes;
}

static void
check_stmt(const struct db_stmt *s)
{
	if ((unsigned)s->q >= Q_COUNT)
		log_fatal("DB-STATEMENT", "no statement %u", (unsigned)s->q);
	if (s->nparams != sql_statements[s->q].nparams)
		log_fatal("DB-STATEMENT", "%s takes %zu parameters, not %zu",
		    sql_statements[s->q].name, sql_statements[s->q].nparams,
		    s->nparams);
}

/* Block: request, statements, results, parameter pointers, texts. */
struct db_req *
db_req_new(const struct db_stmt *stmts, size_t nstmts)
{
	size_t nparams, bytes = text_size(stmts, nstmts, &nparams);
	struct db_req *r;
	const char **params;
	char *text;

	r = mem_zalloc(sizeof(*r) + nstmts * sizeof(r->stmts[0]) +
		       nstmts * sizeof(*r->results) +
		       nparams * sizeof(*params) + bytes);
	r->nstmts = nstmts;
	r->results = (PGresult **)&r->stmts[nstmts];
	params = (const char **)&r->results[nstmts];
	text = (char *)&params[nparams];
	for (size_t i = 0; i < nstmts; i++) {
		check_stmt(&stmts[i]);
		r->stmts[i].stmt = stmts[i];
		r->stmts[i].stmt.params = params;
		r->is_look |= stmts[i].q == Q_DB_SESSIONS;
		r->is_write |= !sql_statements[stmts[i].q].is_read;
		for (size_t j = 0; j < stmts[i].nparams; j++, params++) {
			const char *from = stmts[i].params[j];
			size_t size;

			if (!from)
				continue;
			size = strlen(from) + 1;
			memcpy(text, from, size);
			*params = text;
			text += size;
		}
	}
	return r;
}

void
db_req_free(struct db_req *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nstmts; i++)
		PQclear(r->results[i]);
	free(r->error);
	free(r);
}

void
db_req_reset(struct db_req *r)
{
	for (size_t i = 0; i < r->nstmts; i++) {
		PQclear(r->results[i]);
		r->results[i] = NULL;
		r->stmts[i].has_prepare = false;
	}
	free(r->error);
	r->error = NULL;
	r->code = RC_OK;
}

static void
copy_text(char *to, size_t size, const char *from)
{
	size_t len = from ? strnlen(from, size - 1) : 0;

	if (len > 0)
		memcpy(to, from, len);
	to[len] = '\0';
}

static bool
error_begin(struct db_req *r, size_t statement)
{
	if (r->error)
		return false;
	r->error = mem_zalloc(sizeof(*r->error));
	/* What fails at the commit is reported with the last statement. */
	r->error->statement = statement < r->nstmts ? statement : r->nstmts - 1;
	return true;
}

void
db_req_fail(struct db_req *r, size_t statement, const char *sqlstate,
    const char *message)
{
	if (!error_begin(r, statement))
		return;
	copy_text(r->error->sqlstate, sizeof(r->error->sqlstate), sqlstate);
	copy_text(r->error->message, sizeof(r->error->message), message);
}

void
db_req_fail_result(struct db_req *r, size_t statement, const PGresult *res)
{
	struct db_error *e;

	if (!error_begin(r, statement))
		return;
	e = r->error;
	copy_text(e->sqlstate, sizeof(e->sqlstate),
	    PQresultErrorField(res, PG_DIAG_SQLSTATE));
	copy_text(e->message, sizeof(e->message),
	    PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
	copy_text(e->constraint, sizeof(e->constraint),
	    PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME));
	copy_text(e->table, sizeof(e->table),
	    PQresultErrorField(res, PG_DIAG_TABLE_NAME));
	copy_text(e->detail, sizeof(e->detail),
	    PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL));
	/* libpq's own errors have no fields. */
	if (e->message[0] == '\0')
		copy_text(e->message, sizeof(e->message),
		    PQresultErrorMessage(res));
}

void
db_req_deliver(struct db_req *r)
{
	struct db_outcome o = {.code = r->code};

	r->state = DB_REQ_DELIVERING;
	if (r->done) {
		if (r->error)
			o.error = *r->error;
		if (r->code == RC_OK) {
			/* db_result is PGresult under its own name. */
			o.results = (struct db_result **)r->results;
			o.nresults = r->nstmts;
		}
		r->done(r->arg, &o);
	}
	db_req_free(r);
}
