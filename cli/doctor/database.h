/*
 * database: PostgreSQL as the processes here find it: asked by the URL and the
 * role of each, read-only.
 */
#ifndef CLI_DOCTOR_DATABASE_H
#define CLI_DOCTOR_DATABASE_H

#include <stdint.h>

#include "cli/doctor/host.h"

/* What one role found. */
struct database_facts {
	const char *role;
	bool is_superuser;
	bool may_create; /* roles or databases, or pass rules of rows */
	bool reads_ca_keys;
	bool knows_jobs; /* has the rights of a process of ours */
	int version;     /* 150004 */
	bool fsync;
	bool full_page_writes;
	const char *synchronous_commit;
	int64_t idle_timeout_ms; /* 0: none */
	int64_t max_connections;
	int64_t now; /* Unix seconds */
};

void doctor_check_database(struct doctor *d, const struct host *h);

/* The judgements, for tests: of a process's role there, and of the server,
 * which was asked between those two moments (Unix seconds). */
void database_judge_role(struct doctor *d, enum host_role role,
    const char *name, const struct database_facts *f);
void database_judge_server(struct doctor *d, const char *name,
    const struct database_facts *f, int64_t before, int64_t after);

#endif
