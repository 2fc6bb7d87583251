/*
 * Routes of the health checks; they answer whether checks are made or not.
 */
#include "apiserver/handlers/health_checks/health_checks.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define CHECKS "/api/v1/health-checks"
/* The contract's errors of these have no request_id. */
#define BRIEF \
	{ \
		.renderer = &render_brief \
	}

static const struct route rows[] = {
    {"GET", CHECKS, "healthcheck.read", health_check_list, .own = BRIEF},
    {"GET", CHECKS "/summary", "healthcheck.read", health_check_summary,
	.own = BRIEF},
    {"POST", CHECKS, "healthcheck.edit", health_check_create,
	"health_check_created", .own = BRIEF},
    {"GET", CHECKS "/{id}", "healthcheck.read", health_check_get, .own = BRIEF},
    {"PUT", CHECKS "/{id}", "healthcheck.edit", health_check_update,
	"health_check_updated", .own = BRIEF},
    {"DELETE", CHECKS "/{id}", "healthcheck.delete", health_check_delete,
	"health_check_deleted", .own = BRIEF},
    {"GET", CHECKS "/{id}/history", "healthcheck.read", health_check_history,
	.own = BRIEF},
    {"POST", CHECKS "/{id}/acknowledge", "healthcheck.acknowledge",
	health_check_acknowledge, "health_check_acknowledged", .own = BRIEF},
};

const struct route_area routes_health_checks =
    ROUTE_API_AREA("health_checks", rows);
