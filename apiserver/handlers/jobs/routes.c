/*
 * Routes of the jobs.
 */
#include "apiserver/handlers/jobs/jobs.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define JOBS "/api/v1/jobs"

static const struct route rows[] = {
    {"GET", JOBS, ROUTE_PERMISSION, "job.read", job_list, 0},
    {"GET", JOBS "/{id}", ROUTE_PERMISSION, "job.read", job_get, 0},
    {"POST", JOBS "/{id}/cancel", ROUTE_PERMISSION, "job.cancel", job_cancel,
	0},
};

const struct route_area routes_jobs = {"jobs", rows, ARRAY_LEN(rows)};
