/*
 * rig: what the tests of the worker's kinds stand on: a simulated loop, a
 * scripted database that keeps jobs and CAs like the real one, a lease that
 * is renewed, a bus that remembers hints, and a real CA on a real journal.
 */
#ifndef TESTS_UNIT_WORKER_RIG_H
#define TESTS_UNIT_WORKER_RIG_H

#include <stdbool.h>

#include "common/db/db.h"
#include "common/loop/loop.h"
#include "worker/issuers/local_ca.h"
#include "worker/kinds/host_try.h"
#include "worker/kinds/kind.h"
#include "worker/lease.h"

#define RIG_JOBS_MAX 64

/* A row of jobs, as far as a worker sees it; NULL is SQL NULL. */
struct rig_job {
	const char *id, *csr_pem, *serial, *not_before, *not_after;
	const char *extensions;
	const char *ca; /* NULL: the CA's present fingerprint */
	const char *profile;
	const char *broken_rule;
	bool is_cancelled;
	/* what the worker made of it */
	bool is_completed;
	char pem[4096];
	char outcome[16], error[512], order[256];
};

struct rig {
	struct loop *loop;
	struct db_pool *pool, *lease_pool;
	struct lease *lease;
	struct local_cas *cas;
	struct host_faults *host;
	struct host_try *host_try;
	struct kind_env env;
	char dir[64]; /* journals and files */

	/* the database */
	const char *config, *type;
	char cert_pem[8192], fingerprint[65], key_sealed[8192], chain_pem[8192];
	int64_t sub_not_before;
	const char *list; /* of revocations; NULL: the first key's */
	/* Another worker's root, stored just before ours; NULL: none. */
	const struct rig *faster;
	struct rig_job jobs[RIG_JOBS_MAX];
	size_t njobs;
	const char *culprit;  /* job whose data issue_complete refuses */
	bool culprit_is_held; /* no: somebody holds what it needs */
	const char *held;     /* a job whose own row somebody holds */
	int held_asked;       /* for so many answers more */
	const char *sqlstate; /* of the next `failures` completions */
	int failures;
	bool failures_commit; /* and yet they are committed */
	const char *lost;     /* job that is not ours any more */
	int completions;
	const char *cancel; /* job named by the lease's renewal */
	bool is_down;       /* renewals of the lease fail */

	/* how the op of the lease ended */
	bool has_ended;
	rc code;
	char message[512];
	/* the last hint */
	char hint[4096];
};

struct rig *rig_new(void);
void rig_free(struct rig *r);
/* A good job, "job-<n>". */
struct rig_job *rig_add_job(struct rig *r);
/* Runs a lease of those jobs until its op has ended. */
void rig_issue(struct rig *r);
/* How a lease's op tells the rig. */
struct slot_end rig_end(struct rig *r);
void rig_run_until_ended(struct rig *r);
struct rig_job *rig_find(struct rig *r, const char *id);
/* Lines in the issuance journal without certificates, and the n-th from 0;
 * *out is good until the next. */
size_t rig_journal_lines(const struct rig *r);
void rig_journal_line(const struct rig *r, size_t n, struct journal_line *out);
/* Of the lines with certificates; false when there are no more. */
bool rig_journal_leaf(const struct rig *r, size_t n, struct journal_line *out);
/* A CSR for demo.example: PEM, made once. */
const char *rig_csr(void);
/* Writes a file of mode 0600 under dir; gives its path (static buffer). */
const char *rig_write(const struct rig *r, const char *name, const char *text);

#endif
