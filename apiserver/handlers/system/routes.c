/*
 * Routes of the server itself: probes, version, who am I, who runs,
 * metrics.
 */
#include "apiserver/handlers/system/system.h"
#include "apiserver/policy/route.h"

static const struct route rows[] = {
    {"GET", "/health", ROUTE_PUBLIC, NULL, system_health_start, 0,
	ROUTE_UNRATED},
    {"GET", "/ready", ROUTE_PUBLIC, NULL, system_ready_start, 0, ROUTE_UNRATED},
    {"GET", "/api/v1/version", ROUTE_PUBLIC, NULL, system_version_start, 0},
    {"GET", "/api/v1/auth/info", ROUTE_PUBLIC, NULL, auth_info_start, 0},
    {"GET", "/api/v1/auth/check", ROUTE_SIGNED_IN, NULL, auth_check_start, 0},
    {"GET", "/api/v1/admin/processes", ROUTE_PERMISSION, "metrics.read",
	admin_processes_start, 0},
    {"GET", "/api/v1/admin/scheduler", ROUTE_PERMISSION, "metrics.read",
	admin_duties_start, 0},
    /* The catalogue of permissions has none for the scheduler; this one of
     * its administrators' is the nearest. */
    {"POST", "/api/v1/admin/scheduler/run-now/{duty}", ROUTE_PERMISSION,
	"crl.admin", admin_duty_run_start, 0},
    {"GET", "/api/v1/metrics/prometheus", ROUTE_PERMISSION, "metrics.read",
	metrics_prometheus_start, 0},
};

const struct route_area routes_system = {"system", rows, ARRAY_LEN(rows)};
