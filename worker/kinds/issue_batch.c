#include "worker/kinds/issue_batch.h"

#include <string.h>
#include <time.h>

int64_t
issue_clock_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct issue_job *
issue_find(struct issue_batch *b, const char *id)
{
	size_t from = 0, to = b->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		int order = strcmp(id, b->jobs[mid].id);

		if (order == 0)
			return &b->jobs[mid];
		if (order < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return NULL;
}

void
issue_set(struct issue_job *j, enum issue_aside aside, const char *reason)
{
	j->fate = ISSUE_ASIDE;
	j->aside = aside;
	j->reason = reason;
}

void
issue_set_all(struct issue_batch *b, enum issue_aside aside, const char *reason)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->jobs[i].fate == ISSUE_OPEN)
			issue_set(&b->jobs[i], aside, reason);
}

static void
release_all(struct op *op, struct issue_batch *b, const char *detail)
{
	issue_set_all(b, ASIDE_RELEASE,
	    op_printf(op, "given back by worker %s: %s",
		lease_name(b->env->lease), detail));
}

void
issue_host_fault(struct op *op, enum host_fault_kind kind, const char *detail)
{
	struct issue_batch *b = op_state(op, sizeof(*b));

	host_fault_raise(b->env->host, kind, b->issuer_id, detail);
	release_all(op, b, detail);
}

bool
issue_host_stops(struct op *op)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const char *why = host_faults_why(b->env->host, b->issuer_id);

	if (why)
		release_all(op, b, why);
	return why != NULL;
}

bool
issue_read_csr(struct op *op, struct issue_job *j)
{
	const char *why = "";
	rc ret;

	ret = csr_parse(op_arena(op), j->csr_pem, strlen(j->csr_pem), &j->csr,
	    &why);
	if (ret != RC_OK) {
		issue_set(j, ASIDE_FAIL,
		    op_printf(op, "the CSR is not usable: %s", why));
		return false;
	}
	ret = csr_verify(&j->csr);
	if (ret != RC_OK)
		issue_set(j, ASIDE_FAIL,
		    "the CSR's signature does not verify: it was not made "
		    "with the key it carries");
	return ret == RC_OK;
}

bool
issue_read_profile(struct op *op, struct issue_job *j,
    const struct certprofile **out)
{
	struct issue_batch *b = op_state(op, sizeof(*b));
	const char *why;
	rc ret;

	*out = NULL;
	if (!j->profile)
		return true;
	if (!b->profile_text || strcmp(b->profile_text, j->profile) != 0) {
		b->profile_text = j->profile;
		b->profile_why = NULL;
		ret = certprofile_read(op_arena(op), j->profile, &b->profile,
		    &why);
		if (ret != RC_OK)
			b->profile_why = why;
	}
	why = b->profile_why;
	if (!why) {
		ret = certprofile_allows_request(op_arena(op), &b->profile,
		    &j->csr, &why);
		if (ret == RC_OK) {
			*out = &b->profile;
			return true;
		}
	}
	issue_set(j, ASIDE_FAIL, why);
	return false;
}

bool
issue_rules_allow(struct op *op, struct issue_job *j)
{
	if (!j->broken_rule)
		return true;
	issue_set(j, ASIDE_FAIL,
	    op_printf(op,
		"policy %s (Critical) does not allow it: %s; change the "
		"certificate, or the policy (certctl policies update ID), then "
		"renew it",
		j->broken_rule, j->broken_message));
	return false;
}
