/*
 * Routes of the policy rules' violations.
 */
#include "apiserver/handlers/policies/policies.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

static const struct route rows[] = {
    {"GET", "/api/v1/policies/{id}/violations", "policy.read", rule_violations},
    {"GET", "/api/v1/certificates/{id}/violations", "policy.read",
	cert_violations},
};

const struct route_area routes_policies = ROUTE_API_AREA("policies", rows);
