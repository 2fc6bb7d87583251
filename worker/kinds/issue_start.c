/*
 * A lease of issuance jobs begins: its issuer and its jobs are read, and the
 * kind of CA goes on: issue_local, or issue_outside.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/log/log_peer.h"
#include "common/policy/rule_words.h"
#include "worker/kinds/issue_batch.h"

static op_step issue_loaded;

/* --- loading --- */

static enum op_next
issue_begin(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const char *jobs[] = {b->worker, b->lease_text, RULE_WORDS_JSON};
	const char *issuer[] = {b->issuer_id};
	struct db_stmt stmts[] = {
	    {Q_ISSUE_ISSUER, ARRAY_LEN(issuer), issuer},
	    {Q_ISSUE_JOBS, ARRAY_LEN(jobs), jobs},
	};

	b->began_us = issue_clock_us();
	return op_batch(op, issue_loaded, ARRAY_LEN(stmts), stmts);
}

static const char *
text_or_null(const struct db_result *r, size_t row, int col)
{
	return db_is_null(r, row, col) ? NULL : db_text(r, row, col);
}

static int
by_id(const void *a, const void *b)
{
	const struct issue_job *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static void
read_jobs(struct op *op, struct issue_batch *b, const struct db_result *r)
{
	const int id = db_col(r, "id"), csr = db_col(r, "csr_pem"),
		  serial = db_col(r, "serial_number"), ca = db_col(r, "ca"),
		  from = db_col(r, "not_before"), to = db_col(r, "not_after"),
		  ext = db_col(r, "extensions"),
		  certificate = db_col(r, "certificate_id"),
		  holder = db_col(r, "agent_id"), row = db_col(r, "row"),
		  profile = db_col(r, "profile"),
		  rule = db_col(r, "broken_rule"),
		  broken = db_col(r, "broken_message"),
		  cancelled = db_col(r, "is_cancelled");

	b->n = db_nrows(r);
	b->jobs = arena_alloc(op_arena(op), (b->n + 1) * sizeof(b->jobs[0]));
	for (size_t i = 0; i < b->n; i++)
		b->jobs[i] = (struct issue_job){
		    .id = db_text(r, i, id),
		    .csr_pem = text_or_null(r, i, csr),
		    .serial_hex = text_or_null(r, i, serial),
		    .ca = db_text(r, i, ca),
		    .extensions = text_or_null(r, i, ext),
		    .certificate_id = text_or_null(r, i, certificate),
		    .key_holder = text_or_null(r, i, holder),
		    .row = db_text(r, i, row),
		    .profile = text_or_null(r, i, profile),
		    .broken_rule = text_or_null(r, i, rule),
		    .broken_message = db_text(r, i, broken),
		    .not_before_unix =
			db_is_null(r, i, from) ? INT64_MAX : db_i64(r, i, from),
		    .not_after_unix =
			db_is_null(r, i, to) ? 0 : db_i64(r, i, to),
		    .is_cancelled = db_bool(r, i, cancelled),
		};
	qsort(b->jobs, b->n, sizeof(b->jobs[0]), by_id);
}

static enum op_next
issue_loaded(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	struct db_result *issuer = op_result(op, 0);
	const char *type;

	b->phase_us[PHASE_LOAD] = issue_clock_us() - b->began_us;
	read_jobs(op, b, op_result(op, 1));
	if (b->n == 0) {
		log_peer(LOG_INFO, "BATCH-EMPTY", b->issuer_id,
		    "lease %s of %s holds nothing any more", b->lease_text,
		    b->issuer_id);
		return op_done(op);
	}
	fault_point("worker.loaded");
	/* Granted before the leader knew. */
	if (issue_host_stops(op))
		return op_goto(op, issue_finish);
	if (db_nrows(issuer) == 0) {
		issue_set_all(b, ASIDE_FAIL, "its issuer is gone");
		return op_goto(op, issue_finish);
	}
	type = db_text(issuer, 0, db_col(issuer, "type"));
	b->outside = issuer_find(b->env->issuers, type);
	if (b->outside)
		return op_goto(op, issue_outside);
	if (strcmp(type, "GenericCA") == 0) {
		b->ca_fingerprint =
		    db_text(issuer, 0, db_col(issuer, "ca_fingerprint"));
		return op_goto(op, issue_local);
	}
	issue_set_all(b, ASIDE_FAIL,
	    op_printf(op,
		"issuers of type %s are not supported by this version", type));
	return op_goto(op, issue_finish);
}

struct op *
issue_start(const struct kind_env *env, const struct grant *g,
    const struct slot_end *end)
{
	struct op_env op_env = {
	    .loop = env->loop,
	    .pool = env->pool,
	    .deadline_ms = KIND_DEADLINE_MS,
	    .name = "issue",
	    .owner = end->owner,
	    .on_end = end->on_end,
	};
	struct op *op = op_start(&op_env, issue_begin);
	struct issue_batch *b = op_state(op, sizeof(*b));

	b->env = env;
	b->lease_id = g->lease_id;
	b->lease_text = op_printf(op, "%" PRId64, g->lease_id);
	b->worker = lease_incarnation(env->lease);
	b->issuer_id = arena_strdup(op_arena(op), g->issuer_id);
	b->end = *end;
	return op;
}
