/*
 * A lease of one local CA's issuance jobs: check, journal, sign.
 *
 * The order is the promise: the serial was fixed by the claim, the journal
 * holds serial and hash of the to-be-signed bytes before the first signature
 * of the batch, and the same job gives the same bytes in every attempt.  Work
 * stops after a few milliseconds to let the loop renew the worker's lease.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/fault.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "common/pki/cert/cert.h"
#include "common/pki/cert/leaf_ext.h"
#include "common/policy/policy.h"
#include "worker/issuers/crl_urls.h"
#include "worker/kinds/issue_batch.h"

#define CA_POLL_MS 10
#define EKUS_MAX 16

/* What the profile asks for; the same for most jobs of a batch. */
struct leaf_rules {
	const char *text;                           /* it was read from this */
	const char **ekus, **crl_urls, **ocsp_urls; /* NULL-terminated */
	bool must_staple;
	const char *why; /* NULL: good */
};

static op_step issue_wait_ca;
static op_step issue_check;
static op_step issue_journal;
static op_step issue_sign;

/* --- the CA --- */

static void
give_back_ca(void *arg)
{
	struct issue_batch *b = arg;

	if (b->ca)
		local_ca_unref(b->ca);
}

enum op_next
issue_local(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const char *why;
	rc ret;

	arena_defer(op_arena(op), give_back_ca, b);
	ret = local_ca_get(b->env->cas, b->issuer_id, b->ca_fingerprint, &b->ca,
	    &why);
	/* Whatever else it says, it says again. */
	return op_goto(op, ret == RC_OK ? issue_check : issue_wait_ca);
}

static enum op_next
issue_wait_ca(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const char *why;
	rc ret;

	ISSUE_TRUST_OR_RETURN(op, b);
	ret = local_ca_get(b->env->cas, b->issuer_id, NULL, &b->ca, &why);
	switch (ret) {
	case RC_OK:
		return op_goto(op, issue_check);
	case RC_BUSY:
	case RC_UNAVAILABLE:
	case RC_TIMEOUT:
		return op_sleep(op, CA_POLL_MS, issue_wait_ca);
	case RC_IO:
		issue_host_fault(op, HOST_CA,
		    op_printf(op, HOST_CA_WORDS, why));
		return op_goto(op, issue_finish);
	default:
		issue_set_all(b, ASIDE_RETRY,
		    op_printf(op, "the CA cannot be used: %s", why));
		return op_goto(op, issue_finish);
	}
}

/* --- checking --- */

static rc
read_list(struct arena *a, const struct cJSON *object, const char *name,
    size_t max_items, size_t max, const char ***out)
{
	const char **items = NULL, **list;
	size_t n = 0;
	rc ret;

	ret = json_str_list(a, object, name, max_items, max, &items, &n);
	if (ret == RC_NOT_FOUND)
		n = 0;
	else if (ret != RC_OK)
		return ret;
	list = arena_alloc(a, (n + 1) * sizeof(list[0]));
	for (size_t i = 0; i < n; i++)
		list[i] = items[i];
	*out = list;
	return RC_OK;
}

static void
read_rules(struct arena *a, const char *text, struct leaf_rules *r)
{
	const struct cJSON *object;
	const char *why;
	rc ret;

	*r = (struct leaf_rules){.text = text};
	ret = json_parse(a, text, strlen(text), &object, &why);
	if (ret == RC_OK)
		ret = read_list(a, object, "ekus", EKUS_MAX, 64, &r->ekus);
	if (ret == RC_OK)
		ret = read_list(a, object, "crl_urls", LEAF_CRL_URLS_MAX,
		    LEAF_CRL_URL_MAX, &r->crl_urls);
	if (ret == RC_OK)
		ret = read_list(a, object, "ocsp_urls", LEAF_CRL_URLS_MAX,
		    LEAF_CRL_URL_MAX, &r->ocsp_urls);
	if (ret == RC_OK)
		ret = json_bool(object, "must_staple", &r->must_staple);
	if (ret != RC_OK && ret != RC_NOT_FOUND)
		r->why = "the profile's extended key usages, or the issuer's "
			 "CRL distribution points or OCSP responders, are not "
			 "lists of texts "
			 "(at most 16 and 8)";
}

/* Nonsense in the row, which only another hand can have put there: NULL when
 * there is none. */
static const char *
find_nonsense(const struct issue_job *j)
{
	if (!j->csr_pem)
		return "the job has no CSR";
	if (!j->serial_hex || strlen(j->serial_hex) != 40 ||
	    !enc_is_lower_hex(j->serial_hex, 40))
		return "the job's serial number is not 40 hex digits";
	if (j->not_after_unix <= j->not_before_unix)
		return "the certificate would end before it begins: the "
		       "validity of issuer, profile or CA leaves nothing";
	if (strlen(j->id) > JOURNAL_JOB_ID_MAX ||
	    j->id[strcspn(j->id, " \t\r\n\v\f")] != '\0')
		return "the job's id does not fit the issuance journal";
	return NULL;
}

/* What would serve for no time to speak of is not signed: false. */
static bool
leaves_time(struct op *op, const struct issue_batch *b, struct issue_job *j)
{
	int64_t now = clock_wall_us() / 1000000;
	int64_t left = j->not_after_unix - now;

	if (j->not_after_unix >= b->ca->not_after_unix &&
	    left < POLICY_LIFE_LEAST) {
		issue_set(j, ASIDE_FAIL,
		    op_printf(op,
			"the CA ends in %" PRId64
			" s, and with it the certificate: a life under %d s is "
			"not given (see docs/operator/ca.md for its successor)",
			left > 0 ? left : 0, POLICY_LIFE_LEAST));
		return false;
	}
	if (left > 0)
		return true;
	/* It waited for longer than it lives: the next claim fixes it anew. */
	issue_set(j, ASIDE_RELEASE, NULL);
	return false;
}

static void
build_tbs(struct op *op, struct issue_batch *b, struct issue_job *j,
    const struct leaf_rules *r)
{
	struct leaf_spec spec = {
	    .serial_hex = j->serial_hex,
	    .not_before_unix = j->not_before_unix,
	    .not_after_unix = j->not_after_unix,
	    .ekus = r->ekus,
	    .crl_urls = r->crl_urls,
	    .ocsp_urls = r->ocsp_urls,
	    .must_staple = r->must_staple,
	    .csr = &j->csr,
	};
	rc ret;

	ret = certbuild_tbs(b->ca->builder, op_arena(op), &spec, &j->tbs);
	if (ret != RC_OK) {
		issue_set(j, ASIDE_FAIL,
		    "no certificate can be made of the CSR: it names nothing, "
		    "or profile or issuer ask for a key usage or URL that is "
		    "none");
		return;
	}
	enc_sha256_hex(j->tbs.p, j->tbs.len, j->tbs_sha256);
}

/* The claim made the leaf of the profile as it was then. */
static bool
profile_allows(struct op *op, const struct issue_batch *b, struct issue_job *j,
    const struct leaf_rules *rules)
{
	const struct certprofile_leaf leaf = {
	    .life_s = j->not_after_unix - j->not_before_unix + 1,
	    .short_s = POLICY_SHORT_LIVED,
	    .ekus = rules->ekus,
	    .must_staple = rules->must_staple,
	    .ends_with_ca = j->not_after_unix >= b->ca->not_after_unix,
	};
	const struct certprofile *profile;
	const char *why;
	rc ret;

	if (!issue_read_profile(op, j, &profile))
		return false;
	if (!profile)
		return true;
	ret = certprofile_allows_leaf(op_arena(op), profile, &leaf, &why);
	if (ret != RC_OK)
		issue_set(j, ASIDE_FAIL, why);
	return ret == RC_OK;
}

static void
check_job(struct op *op, struct issue_batch *b, struct issue_job *j,
    struct leaf_rules *rules)
{
	const char *text = j->extensions ? j->extensions : "{}";
	const char *why;

	if (j->is_cancelled || lease_is_cancelled(b->env->lease, j->id)) {
		issue_set(j, ASIDE_CANCEL, "cancelled before it was signed");
		return;
	}
	/* Fixed for a CA that did not exist yet, or was replaced since: the
	 * next claim fixes it anew. */
	if (strcmp(j->ca, b->ca->fingerprint) != 0) {
		issue_set(j, ASIDE_RELEASE, NULL);
		return;
	}
	why = find_nonsense(j);
	if (!why) {
		if (!rules->text || strcmp(rules->text, text) != 0) {
			read_rules(op_arena(op), text, rules);
			if (!rules->why)
				crl_urls_name(op_arena(op), rules->crl_urls,
				    b->issuer_id, b->ca->list);
		}
		why = rules->why;
	}
	if (why) {
		issue_set(j, ASIDE_FAIL, why);
		return;
	}
	if (!issue_rules_allow(op, j) || !leaves_time(op, b, j) ||
	    !issue_read_csr(op, j) || !profile_allows(op, b, j, rules))
		return;
	if (ca_limits_allow(b->ca->limits, &j->csr, rules->ekus, &why) != RC_OK)
		issue_set(j, ASIDE_FAIL, why);
	else
		build_tbs(op, b, j, rules);
}

static enum op_next
issue_check(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	int64_t from_us = issue_clock_us(), us = 0;
	struct leaf_rules rules = {0};

	ISSUE_TRUST_OR_RETURN(op, b);
	while (b->at < b->n && us < KIND_SLICE_MS * 1000) {
		check_job(op, b, &b->jobs[b->at++], &rules);
		us = issue_clock_us() - from_us;
	}
	b->phase_us[PHASE_CHECK] += us;
	if (b->at < b->n)
		return op_goto(op, issue_check);
	b->at = 0;
	return op_goto(op, issue_journal);
}

/* --- journal and signature --- */

static struct journal_entry
entry_of(const struct issue_job *j)
{
	return (struct journal_entry){j->serial_hex, j->tbs_sha256, j->id,
	    j->certificate_id};
}

static rc
append(struct issue_batch *b, struct arena *a)
{
	struct journal_entry *entries =
	    arena_alloc(a, JOURNAL_BATCH_MAX * sizeof(entries[0]));
	size_t n = 0;
	rc ret = RC_OK;

	for (size_t i = 0; i < b->n; i++) {
		const struct issue_job *j = &b->jobs[i];

		if (j->fate != ISSUE_OPEN)
			continue;
		entries[n++] = entry_of(j);
		if (n == JOURNAL_BATCH_MAX) {
			ret = journal_append(b->ca->journal, n, entries);
			n = 0;
		}
		if (ret != RC_OK)
			return ret;
	}
	return n > 0 ? journal_append(b->ca->journal, n, entries) : RC_OK;
}

static enum op_next
issue_journal(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	int64_t from_us = issue_clock_us();
	rc ret;

	/* Now or never: from here on a certificate may exist. */
	ISSUE_TRUST_OR_RETURN(op, b);
	for (size_t i = 0; i < b->n; i++) {
		struct issue_job *j = &b->jobs[i];

		if (j->fate == ISSUE_OPEN &&
		    lease_is_cancelled(b->env->lease, j->id))
			issue_set(j, ASIDE_CANCEL,
			    "cancelled before it was signed");
	}
	ret = append(b, op_arena(op));
	b->phase_us[PHASE_JOURNAL] = issue_clock_us() - from_us;
	if (ret != RC_OK) {
		issue_host_fault(op, HOST_JOURNAL,
		    op_printf(op,
			"the issuance journal in %s cannot be written: %s",
			b->env->journal_dir,
			ret == RC_IO ? strerror(errno) : rc_name(ret)));
		return op_goto(op, issue_finish);
	}
	fault_point("worker.journalled");
	return op_goto(op, issue_sign);
}

static void
sign_job(struct op *op, struct issue_batch *b, struct issue_job *j)
{
	struct span der;
	char *pem;
	rc ret;

	if (j->fate != ISSUE_OPEN)
		return;
	ret = certbuild_sign(b->ca->builder, op_arena(op), j->tbs, &der);
	if (ret == RC_OK)
		ret = cert_to_pem(op_arena(op), der.p, der.len, &pem);
	if (ret != RC_OK) {
		issue_set(j, ASIDE_RETRY, "the CA's key could not sign");
		return;
	}
	enc_sha256_hex(der.p, der.len, j->fingerprint);
	j->der = der;
	j->pem = pem;
	j->fate = ISSUE_SIGNED;
}

/* They are good without: a recovery revokes what it can't put back. */
static void
keep_leaves(struct issue_batch *b, struct arena *a)
{
	struct journal_leaf *leaves =
	    arena_alloc(a, JOURNAL_BATCH_MAX * sizeof(leaves[0]));
	size_t n = 0;
	rc ret = RC_OK;

	for (size_t i = 0; i < b->n && ret == RC_OK; i++) {
		const struct issue_job *j = &b->jobs[i];

		if (j->fate != ISSUE_SIGNED)
			continue;
		leaves[n++] = (struct journal_leaf){entry_of(j), j->key_holder,
		    b->ca->fingerprint, j->der.p, j->der.len, j->row};
		if (n == JOURNAL_BATCH_MAX) {
			ret = journal_append_leaves(b->ca->journal, n, leaves);
			n = 0;
		}
	}
	if (ret == RC_OK)
		ret = journal_append_leaves(b->ca->journal, n, leaves);
	if (ret != RC_OK)
		log_warn("JOURNAL-LEAVES",
		    "issuer %s: %s; after a restore from an older backup "
		    "certctl recover revokes these certificates instead of "
		    "putting them back",
		    b->issuer_id, rc_name(ret));
}

static enum op_next
issue_sign(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	int64_t from_us = issue_clock_us(), us = 0;

	ISSUE_TRUST_OR_RETURN(op, b);
	while (b->at < b->n && us < KIND_SLICE_MS * 1000) {
		sign_job(op, b, &b->jobs[b->at++]);
		us = issue_clock_us() - from_us;
	}
	b->phase_us[PHASE_SIGN] += us;
	if (b->at < b->n)
		return op_goto(op, issue_sign);
	keep_leaves(b, op_arena(op));
	fault_point("worker.signed");
	return op_goto(op, issue_finish);
}
