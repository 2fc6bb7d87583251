#include "cli/doctor/database.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "cli/doctor/api.h"
#include "common/db/url.h"
#include "sql_gen.h"

enum { VERSION_LEAST = 150000, IDLE_MOST_MS = 300000 };

/* --- judgement --- */

void
database_judge_role(struct doctor *d, enum host_role role, const char *name,
    const struct database_facts *f)
{
	size_t before = d->n;

	if (f->is_superuser)
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database_role, name,
		    "its role %s is a superuser", f->role);
	else if (f->may_create)
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database_role, name,
		    "its role %s may make roles or databases, or pass the "
		    "rules of rows",
		    f->role);
	if (f->reads_ca_keys && role != HOST_WORKER && !f->is_superuser)
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database_role, name,
		    "its role %s can read ca_keys, which only workers need",
		    f->role);
	if (d->n == before)
		doctor_say(d, DOCTOR_OK, DOCTOR_database_role, name,
		    "its role %s may do no more than it needs", f->role);
	doctor_say(d,
	    f->knows_jobs && (role != HOST_WORKER || f->reads_ca_keys)
		? DOCTOR_OK
		: DOCTOR_ERROR,
	    DOCTOR_database_rights, name, "its role %s %s", f->role,
	    f->knows_jobs && (role != HOST_WORKER || f->reads_ca_keys)
		? "has the rights of its process"
		: "lacks rights that its process needs");
}

static void
judge_settings(struct doctor *d, const char *name,
    const struct database_facts *f)
{
	size_t before = d->n;

	if (!f->fsync || !f->full_page_writes)
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database_settings, name,
		    "%s is off: a crash of the host loses what was answered, "
		    "or the whole database",
		    f->fsync ? "full_page_writes" : "fsync");
	if (strcmp(f->synchronous_commit, "off") == 0)
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database_settings, name,
		    "synchronous_commit is off: a crash loses what was "
		    "answered");
	if (f->idle_timeout_ms == 0 || f->idle_timeout_ms > IDLE_MOST_MS)
		doctor_say(d, DOCTOR_WARNING, DOCTOR_database_settings, name,
		    "idle_in_transaction_session_timeout is %s: a transaction "
		    "that somebody left open holds back the audit trail's "
		    "sealing, and vacuum",
		    f->idle_timeout_ms ? "above 5 minutes" : "0");
	if (d->n == before)
		doctor_say(d, DOCTOR_OK, DOCTOR_database_settings, name,
		    "what is answered is durable (max_connections %lld)",
		    (long long)f->max_connections);
}

void
database_judge_server(struct doctor *d, const char *name,
    const struct database_facts *f, int64_t before, int64_t after)
{
	doctor_say(d, f->version >= VERSION_LEAST ? DOCTOR_OK : DOCTOR_ERROR,
	    DOCTOR_database_version, name, "PostgreSQL is %d.%d",
	    f->version / 10000, f->version % 10000);
	judge_settings(d, name, f);
	doctor_check_clock(d, DOCTOR_clock_database, name, f->now, before,
	    after);
}

/* --- asking --- */

/* The columns of doctor_database. */
enum {
	ROLE,
	IS_SUPERUSER,
	MAY_CREATE,
	READS_CA_KEYS,
	KNOWS_JOBS,
	FSYNC,
	FULL_PAGE_WRITES,
	SYNCHRONOUS_COMMIT,
	IDLE_TIMEOUT,
	MAX_CONNECTIONS,
	NOW
};
static void
read_facts(struct doctor *d, PGconn *conn, const PGresult *r,
    struct database_facts *f)
{
#define TEXT(col) arena_strdup(d->arena, PQgetvalue(r, 0, (col)))
#define IS(col) (PQgetvalue(r, 0, (col))[0] == 't')
#define NUMBER(col) ((int64_t)strtoll(PQgetvalue(r, 0, (col)), NULL, 10))
	f->role = TEXT(ROLE);
	f->is_superuser = IS(IS_SUPERUSER);
	f->may_create = IS(MAY_CREATE);
	f->reads_ca_keys = IS(READS_CA_KEYS);
	f->knows_jobs = IS(KNOWS_JOBS);
	f->version = PQserverVersion(conn);
	f->fsync = IS(FSYNC);
	f->full_page_writes = IS(FULL_PAGE_WRITES);
	f->synchronous_commit = TEXT(SYNCHRONOUS_COMMIT);
	f->idle_timeout_ms = NUMBER(IDLE_TIMEOUT);
	f->max_connections = NUMBER(MAX_CONNECTIONS);
	f->now = NUMBER(NOW);
#undef TEXT
#undef IS
#undef NUMBER
}

/* The server is judged once. */
static void
ask(struct doctor *d, const struct host_process *p, PGconn *conn, bool is_first)
{
	struct database_facts f;
	int64_t before = time(NULL);
	PGresult *r = PQexec(conn, sql_statements[Q_DOCTOR_DATABASE].text);

	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1) {
		read_facts(d, conn, r, &f);
		doctor_say(d, DOCTOR_OK, DOCTOR_database, p->name,
		    "it is reached as %s", f.role);
		database_judge_role(d, p->role, p->name, &f);
		if (is_first)
			database_judge_server(d, p->name, &f, before,
			    time(NULL));
	} else {
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database, p->name,
		    "it answers no question: %s", PQerrorMessage(conn));
	}
	PQclear(r);
}

/* As its process would, but for what a pooler or a standby is good for: a
 * question that reads. */
static void
check_process(struct doctor *d, const struct host_process *p, bool is_first)
{
	const char *const names[] = {"dbname", "connect_timeout",
	    "application_name", "options", NULL};
	const char *const values[] = {cfg_str(p->cfg, "database_url"), "5",
	    "certctl doctor", "-c statement_timeout=10000", NULL};
	const char *fault = db_url_fault(values[0]);
	PGconn *conn;

	if (fault) {
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database, p->name,
		    "its CERTCTL_DATABASE_URL cannot be used: %s", fault);
		return;
	}
	conn = PQconnectdbParams(names, values, 1);
	if (PQstatus(conn) == CONNECTION_OK)
		ask(d, p, conn, is_first);
	else
		doctor_say(d, DOCTOR_ERROR, DOCTOR_database, p->name,
		    "it is not reached with its settings: %s",
		    PQerrorMessage(conn));
	PQfinish(conn);
}

void
doctor_check_database(struct doctor *d, const struct host *h)
{
	bool asked[HOST_ROLES] = {false};
	size_t n = 0;

	/* One process of each kind: the others have the same role. */
	for (size_t i = 0; i < h->n; i++) {
		const struct host_process *p = &h->all[i];

		if (!p->cfg || p->role == HOST_AGENT || asked[p->role])
			continue;
		asked[p->role] = true;
		check_process(d, p, n++ == 0);
	}
	if (n == 0)
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_database, "",
		    "no process runs here whose settings say how it is "
		    "reached; its role, rights and settings were not looked "
		    "at");
	else
		doctor_say(d, DOCTOR_UNSEEN, DOCTOR_disk, "PostgreSQL",
		    "the disk of its data can't be seen from here");
	if (n > 0)
		doctor_fix(d, "Watch it there; certctl status tells when it is "
			      "full (database_full).");
}
