/*
 * Routes of what explains.  Each tells of all that its object depends on, as
 * the conditions do: so it asks for their permission beside the object's.
 */
#include "apiserver/handlers/explain/explain.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define EXPLAIN "/api/v1/explain"

static const struct route rows[] = {
    {"GET", EXPLAIN "/certificate/{id}", "cert.read", explain_certificate_start,
	.also = "metrics.read"},
    {"GET", EXPLAIN "/job/{id}", "job.read", explain_job_start,
	.also = "metrics.read"},
    {"GET", EXPLAIN "/target/{id}", "target.read", explain_target_start,
	.also = "metrics.read"},
};

const struct route_area routes_explain = ROUTE_API_AREA("explain", rows);
