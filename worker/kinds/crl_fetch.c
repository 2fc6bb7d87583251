/*
 * crl_fetch: has a CA outside of this process make its revocation list, and
 * stores it to be served, if it is what clients can use (crlresult.h).
 *
 * One runs for an issuer at a time, and serves all revocations that wait; what
 * comes is stored under the task's lease.  A failure is noted and tried again,
 * the list that is served stays meanwhile.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/log/log.h"
#include "common/pki/cert/crlresult.h"
#include "worker/kinds/ca_call.h"
#include "worker/kinds/crl_keep.h"

/* Results of the first batch. */
enum { BEGIN, ISSUED, REVOKED };

struct crl_fetch { /* state of the task's op */
	int64_t began_ms;
	const char *snapshot;
	struct crlresult_rules rules;
	struct crl_entry *expected; /* is to stand in the list */
	struct issuer_revoked *revoked;
	size_t nrevoked;
	struct crlresult list;
	struct ca_call call;
};

static op_step fetch_known;
static op_step fetch_answered;
static op_step fetch_stored;

static struct crl_fetch *
state(struct op *op)
{
	return op_state(op, sizeof(struct crl_fetch));
}

enum op_next
crl_fetch_begin(struct op *op)
{
	struct task *t = op_owner(op);
	const char *const lease[] = {lease_incarnation(t->env->lease),
	    t->lease_text, t->id};
	const struct db_stmt stmts[] = {
	    [BEGIN] = {Q_CRL_FETCH_BEGIN, 3, lease},
	    [ISSUED] = {Q_CRL_FETCH_ISSUED, 3, lease},
	    [REVOKED] = {Q_CRL_REVOCATIONS, 3, lease},
	};

	state(op)->began_ms = clock_boot_ms();
	return op_batch(op, fetch_known, ARRAY_LEN(stmts), stmts);
}

static enum op_next
fail(struct op *op, rc code, const char *why)
{
	return crl_keep_failure(op, state(op)->began_ms, code, why);
}

/* --- what is known --- */

static void
read_issued(struct op *op)
{
	const struct db_result *r = op_result(op, ISSUED);
	int pem = db_col(r, "pem");
	size_t n = db_nrows(r);
	const char **issued =
	    arena_alloc(op_arena(op), (n + 1) * sizeof(*issued));

	for (size_t i = 0; i < n; i++)
		issued[i] = db_text(r, i, pem);
	state(op)->rules.issued = issued;
	state(op)->rules.nissued = n;
}

static void
read_revoked(struct op *op)
{
	struct crl_fetch *f = state(op);
	const struct db_result *r = op_result(op, REVOKED);
	int serial = db_col(r, "serial"), at = db_col(r, "revoked_at"),
	    reason = db_col(r, "reason"), is_over = db_col(r, "is_over");
	size_t rows = db_nrows(r), nexpected = 0;

	f->expected =
	    arena_alloc(op_arena(op), (rows + 1) * sizeof(*f->expected));
	f->revoked =
	    arena_alloc(op_arena(op), (rows + 1) * sizeof(*f->revoked));
	for (size_t i = 0; i < rows; i++) {
		struct crl_entry *e = &f->expected[nexpected];

		if (crl_serial_read(db_text(r, i, serial), e->serial) != RC_OK)
			continue;
		e->revoked_at_unix = db_i64(r, i, at);
		e->reason = crl_reason(db_text(r, i, reason));
		f->revoked[f->nrevoked++] =
		    (struct issuer_revoked){crl_serial_text(op_arena(op),
						e->serial),
			e->revoked_at_unix, e->reason};
		/* What has expired may have left the CA's list. */
		if (!db_bool(r, i, is_over))
			nexpected++;
	}
	f->rules.revoked = f->expected;
	f->rules.nrevoked = nexpected;
}

static void
read_known(struct op *op)
{
	struct crl_fetch *f = state(op);
	const struct db_result *r = op_result(op, BEGIN);
	int served = db_col(r, "ca_fingerprint");

	f->snapshot = db_text(r, 0, db_col(r, "snapshot"));
	f->rules.now_unix = db_i64(r, 0, db_col(r, "now"));
	if (!db_is_null(r, 0, served)) {
		f->rules.served_ca = db_text(r, 0, served);
		f->rules.served_number = db_i64(r, 0, db_col(r, "crl_number"));
		f->rules.served_this_update_unix =
		    db_i64(r, 0, db_col(r, "this_update"));
		f->rules.served_next_update_unix =
		    db_i64(r, 0, db_col(r, "next_update"));
	}
	read_issued(op);
	read_revoked(op);
}

/* --- the CA's turn --- */

static rc
fetch(struct ca_call *c, void *opened)
{
	const struct crl_fetch *f = c->arg;
	rc ret;

	fault_point("worker.crl_fetch.before");
	ret = c->ops->fetch_list(opened, f->revoked, f->nrevoked,
	    ca_call_answer, c);
	if (ret == RC_OK)
		fault_point("worker.crl_fetch.begun");
	return ret;
}

static enum op_next
fetch_known(struct op *op)
{
	struct task *t = op_owner(op);
	struct crl_fetch *f = state(op);
	const struct db_result *r = op_result(op, BEGIN);
	const struct issuer_ops *ops;

	if (db_nrows(r) == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	if (strcmp(db_text(r, 0, db_col(r, "outcome")), "go") != 0)
		return op_done(op); /* put off, or there is none to fetch */
	read_known(op);
	ops = issuer_find(t->env->issuers, db_text(r, 0, db_col(r, "type")));
	if (!ops || !ops->fetch_list)
		return fail(op, RC_NOT_IMPLEMENTED,
		    "this worker fetches no lists of issuers of that type");
	f->call.ops = ops;
	f->call.config = db_text(r, 0, db_col(r, "config"));
	f->call.ask = fetch;
	f->call.arg = f;
	f->call.then = fetch_answered;
	return ca_call_start(op, &f->call);
}

static enum op_next
keep(struct op *op)
{
	struct crl_fetch *f = state(op);
	const struct crl_made made = {
	    .der = f->list.der,
	    .number = f->list.number,
	    .this_update_unix = f->list.this_update_unix,
	    .next_update_unix = f->list.next_update_unix,
	    .nentries = f->list.nentries,
	    .ca_fingerprint = f->list.ca_fingerprint,
	    .snapshot = f->snapshot,
	    .lacks = f->list.lacks,
	    .others = f->list.others,
	    .began_ms = f->began_ms,
	};

	return crl_keep(op, &made, fetch_stored);
}

static enum op_next
fetch_answered(struct op *op)
{
	struct crl_fetch *f = state(op);
	const struct ca_call *c = &f->call;
	const char *why = "";
	rc ret;

	if (c->code != RC_OK)
		return fail(op, c->code, c->why);
	fault_point("worker.crl_fetch.answered");
	if (!c->has_answer)
		return fail(op, RC_TIMEOUT, "no answer came in time");
	if (c->answer.verdict != ISSUER_DONE)
		return fail(op, RC_INVALID, c->answer.words);
	ret = crlresult_read(op_arena(op), &f->rules, c->answer.pem,
	    c->answer.len, &f->list, &why);
	if (ret != RC_OK)
		return fail(op, ret,
		    op_printf(op, "the CA's list is not used: %s", why));
	return keep(op);
}

static enum op_next
fetch_stored(struct op *op)
{
	struct task *t = op_owner(op);
	const struct crl_fetch *f = state(op);
	const char *outcome = op_text(op, 0, "outcome");

	if (strcmp(outcome, "lost") == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	if (f->list.lacks)
		log_warn("CRL-LACKS", "issuer %s: %s", t->issuer_id,
		    f->list.lacks);
	if (f->list.others)
		log_warn("CRL-OTHER-KEY", "issuer %s: %s", t->issuer_id,
		    f->list.others);
	log_info("CRL-DONE",
	    "list %s of its own CA: number %" PRId64 ", %zu revoked, %s",
	    t->subject, f->list.number, f->list.nentries, outcome);
	return op_done(op);
}
