/*
 * Routes of the approvals.
 */
#include "apiserver/handlers/approvals/approvals.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define APPROVALS "/api/v1/approvals"
#define JOBS "/api/v1/jobs"

static const struct route rows[] = {
    {"GET", APPROVALS, "approval.read", approval_list},
    {"GET", APPROVALS "/{id}", "approval.read", approval_get},
    {"POST", APPROVALS "/{id}/approve", "approval.approve", approval_approve,
	"approval_approved profile_edit_applied"},
    {"POST", APPROVALS "/{id}/reject", "approval.reject", approval_reject,
	"approval_rejected renewal_job_cancelled"},
    {"POST", JOBS "/{id}/approve", "approval.approve", job_approve,
	"approval_approved"},
    {"POST", JOBS "/{id}/reject", "approval.reject", job_reject,
	"approval_rejected renewal_job_cancelled"},
};

const struct route_area routes_approvals = ROUTE_API_AREA("approvals", rows);
