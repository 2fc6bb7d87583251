/*
 * Routes of the approvals.
 */
#include "apiserver/handlers/approvals/approvals.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define APPROVALS "/api/v1/approvals"
#define JOBS "/api/v1/jobs"

static const struct route rows[] = {
    {"GET", APPROVALS, ROUTE_PERMISSION, "approval.read", approval_list, 0},
    {"GET", APPROVALS "/{id}", ROUTE_PERMISSION, "approval.read", approval_get,
	0},
    {"POST", APPROVALS "/{id}/approve", ROUTE_PERMISSION, "approval.approve",
	approval_approve, 0},
    {"POST", APPROVALS "/{id}/reject", ROUTE_PERMISSION, "approval.reject",
	approval_reject, 0},
    {"POST", JOBS "/{id}/approve", ROUTE_PERMISSION, "approval.approve",
	job_approve, 0},
    {"POST", JOBS "/{id}/reject", ROUTE_PERMISSION, "approval.reject",
	job_reject, 0},
};

const struct route_area routes_approvals = {"approvals", rows, ARRAY_LEN(rows)};
