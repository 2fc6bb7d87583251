/*
 * crl_build: makes the revocation list of an issuer whose CA is ours.
 * Its subject is the list's name: one issuer has a list for each key that signs
 * or signed for it, all of the same revocations.
 *
 * Its number and the revocations are read in one transaction, so that of two
 * lists the one with the higher number knows at least as much; the store
 * keeps the higher one.  The task's row goes with the store.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/pki/cert/crl.h"
#include "worker/kinds/crl_keep.h"

#define CA_POLL_MS 10
#define VALIDITY_SECONDS (24 * 3600)

struct crl_build {
	int64_t began_ms;
	int64_t this_update, number;
	const char *snapshot, *ca_fingerprint;
	const char *former_key; /* NULL: the key that signs now */
	struct crl_entry *entries;
	size_t n, skipped;   /* skipped: what is no serial */
	struct local_ca *ca; /* referenced until the op ends */
};

static op_step crl_loaded;
static op_step crl_make;
static op_step crl_stored;

static struct crl_build *
build_of(struct op *op)
{
	return op_state(op, sizeof(struct crl_build));
}

static void
give_back(void *arg)
{
	struct crl_build *b = arg;

	if (b->ca)
		local_ca_unref(b->ca);
}

enum op_next
crl_build_begin(struct op *op)
{
	struct task *t = op_owner(op);
	struct crl_build *b = build_of(op);
	const char *worker = lease_incarnation(t->env->lease);

	if (t->issuer_id[0] == '\0')
		return op_fail(op, RC_NOT_IMPLEMENTED,
		    "the task names no issuer");
	b->began_ms = clock_boot_ms();
	arena_defer(op_arena(op), give_back, b);

	const char *const lease[] = {worker, t->lease_text, t->id, t->subject};
	const struct db_stmt stmts[] = {
	    {Q_CRL_BEGIN, 4, lease},
	    {Q_CRL_REVOCATIONS, 3, lease},
	};
	return op_batch(op, crl_loaded, ARRAY_LEN(stmts), stmts);
}

static enum op_next
fail(struct op *op, rc code, const char *why)
{
	return crl_keep_failure(op, build_of(op)->began_ms, code, why);
}

/* --- the revocations --- */

static void
read_entries(struct op *op, struct crl_build *b)
{
	const struct db_result *r = op_result(op, 1);
	int serial = db_col(r, "serial"), at = db_col(r, "revoked_at"),
	    reason = db_col(r, "reason");
	size_t rows = db_nrows(r);

	b->entries =
	    arena_alloc(op_arena(op), (rows + 1) * sizeof(*b->entries));
	for (size_t i = 0; i < rows; i++) {
		struct crl_entry *e = &b->entries[b->n];

		/* Nothing that stands in the table keeps the others out of
		 * the list. */
		if (crl_serial_read(db_text(r, i, serial), e->serial) !=
		    RC_OK) {
			b->skipped++;
			continue;
		}
		e->revoked_at_unix = db_i64(r, i, at);
		e->reason = crl_reason(db_text(r, i, reason));
		/* Written with and without leading zeros it may stand there
		 * twice; the rows come by serial. */
		if (b->n == 0 ||
		    memcmp(e[-1].serial, e->serial, sizeof(e->serial)) != 0)
			b->n++;
	}
}

static enum op_next
crl_loaded(struct op *op)
{
	struct crl_build *b = build_of(op);
	const struct db_result *head = op_result(op, 0);

	if (db_nrows(head) == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	b->number = db_i64(head, 0, db_col(head, "crl_number"));
	b->this_update = db_i64(head, 0, db_col(head, "this_update"));
	b->snapshot = db_text(head, 0, db_col(head, "snapshot"));
	b->ca_fingerprint = db_text(head, 0, db_col(head, "ca_fingerprint"));
	if (!db_is_null(head, 0, db_col(head, "former_key")))
		b->former_key = db_text(head, 0, db_col(head, "former_key"));
	read_entries(op, b);
	return op_goto(op, crl_make);
}

/* --- the list --- */

static enum op_next
refuse_list(struct op *op, rc code)
{
	const struct crl_build *b = build_of(op);

	/* Trying again would not help the first of these. */
	if (code == RC_FORBIDDEN)
		return fail(op, RC_NOT_IMPLEMENTED,
		    "the key usage of the CA's certificate has no cRLSign: "
		    "give the sub-CA one that has");
	if (code == RC_TOO_LARGE)
		return fail(op, code,
		    op_printf(op,
			"%zu revoked certificates do not fit into a list of "
			"16 MiB",
			b->n));
	return fail(op, code, "the revocation list could not be signed");
}

static enum op_next
store(struct op *op, struct span der)
{
	struct task *t = op_owner(op);
	struct crl_build *b = build_of(op);
	const struct crl_made made = {
	    .der = der,
	    .number = b->number,
	    .this_update_unix = b->this_update,
	    .next_update_unix = b->this_update + VALIDITY_SECONDS,
	    .nentries = b->n,
	    .ca_fingerprint = b->ca->fingerprint,
	    .snapshot = b->snapshot,
	    .why_older = "a later list stood there already",
	    .began_ms = b->began_ms,
	};

	if (!lease_is_trusted(t->env->lease))
		return lease_refuse(op);
	/* Published all the same: what it revokes counts more.  A former key's
	 * list has no journal, and the same revocations as the present one's.
	 */
	if (b->ca->journal &&
	    journal_keep_list(b->ca->journal, der.p, der.len) != RC_OK)
		log_warn("JOURNAL-CRL",
		    "issuer %s: its revocation list is not kept beside the "
		    "issuance journal; after a restore from an older backup "
		    "its revocations may be missing",
		    t->issuer_id);
	return crl_keep(op, &made, crl_stored);
}

static enum op_next
crl_make(struct op *op)
{
	struct task *t = op_owner(op);
	struct crl_build *b = build_of(op);
	struct crl_spec spec = {
	    .number = b->number,
	    .this_update_unix = b->this_update,
	    .next_update_unix = b->this_update + VALIDITY_SECONDS,
	    .entries = b->entries,
	    .n = b->n,
	};
	struct span tbs, der;
	const char *why;
	rc ret;

	if (b->former_key)
		ret = local_ca_get_former(t->env->cas, t->issuer_id,
		    b->former_key, &b->ca, &why);
	else
		ret = local_ca_get(t->env->cas, t->issuer_id, b->ca_fingerprint,
		    &b->ca, &why);
	/* The database is asked once for the certificate it has: a root that
	 * was made meanwhile is what is loaded now. */
	b->ca_fingerprint = NULL;
	if (ret == RC_BUSY || ret == RC_UNAVAILABLE || ret == RC_TIMEOUT)
		return op_sleep(op, CA_POLL_MS, crl_make);
	if (ret == RC_IO)
		host_fault_raise(t->env->host, HOST_CA, t->issuer_id,
		    op_printf(op, HOST_CA_WORDS, why));
	if (ret != RC_OK)
		return fail(op, ret, why);
	ret = crl_tbs(b->ca->builder, op_arena(op), &spec, &tbs);
	if (ret == RC_OK)
		ret = certbuild_sign(b->ca->builder, op_arena(op), tbs, &der);
	if (ret != RC_OK)
		return refuse_list(op, ret);
	return store(op, der);
}

static enum op_next
crl_stored(struct op *op)
{
	struct task *t = op_owner(op);
	const struct crl_build *b = build_of(op);
	const char *outcome = op_text(op, 0, "outcome");

	if (strcmp(outcome, "lost") == 0)
		return op_fail(op, RC_LEASE_LOST, "the task is not ours");
	if (b->skipped > 0)
		log_warn("CRL-SERIALS",
		    "issuer %s: %zu rows of certificate_revocations are not "
		    "in its list: their serials are no numbers",
		    t->issuer_id, b->skipped);
	log_info("CRL-DONE", "list %s: number %" PRId64 ", %zu revoked, %s",
	    t->subject, b->number, b->n, outcome);
	return op_done(op);
}
