/*
 * Routes of the jobs.
 */
#include "apiserver/handlers/jobs/jobs.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define JOBS "/api/v1/jobs"

static const struct route rows[] = {
    {"GET", JOBS, "job.read", job_list, .reads = LIST_JOBS},
    {"GET", JOBS "/{id}", "job.read", job_get},
    {"POST", JOBS "/{id}/cancel", "job.cancel", job_cancel,
	"job_cancel_requested renewal_job_cancelled deployment_job_cancelled "
	"approval_expired"},
};

const struct route_area routes_jobs = ROUTE_API_AREA("jobs", rows);
