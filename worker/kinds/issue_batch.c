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
