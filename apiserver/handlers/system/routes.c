/*
 * Routes of the server itself: probes, version, metrics, who runs and how.
 */
#include "apiserver/handlers/system/system.h"
#include "apiserver/policy/route.h"

#define PUBLIC \
	{ \
		.access = ROUTE_PUBLIC, .preflight = ROUTE_ANY_ORIGIN \
	}

static const struct route probe_rows[] = {
    {"GET", "/health", NULL, system_health_start,
	.own = {.preflight = ROUTE_ANY_ORIGIN}},
    {"GET", "/ready", NULL, system_ready_start,
	.own = {.preflight = ROUTE_ANY_ORIGIN}},
};

/* Whatever lies outside of the other areas is theirs. */
const struct route_area routes_probes = {
    .name = "probes",
    .prefix = "/",
    .rules = {.access = ROUTE_PUBLIC,
	.renderer = &render_api,
	.body = ROUTE_NO_BODY,
	.rate = ROUTE_UNRATED,
	.preflight = ROUTE_NO_PREFLIGHT,
	.head = ROUTE_NO_HEAD,
	.deadline_ms = 30000},
    .routes = probe_rows,
    .n = ARRAY_LEN(probe_rows),
};

static const struct route rows[] = {
    {"GET", "/api/v1/openapi.json", NULL, openapi_start, .own = PUBLIC},
    {"GET", "/api/v1/version", NULL, system_version_start, .own = PUBLIC},
    {"GET", "/api/v1/stats/summary", "stats.read", stats_summary_start},
    {"GET", "/api/v1/stats/certificates-by-status", "stats.read",
	stats_by_status_start},
    {"GET", "/api/v1/stats/expiration-timeline", "stats.read",
	stats_expiration_start},
    {"GET", "/api/v1/stats/job-trends", "stats.read", stats_jobs_start},
    {"GET", "/api/v1/stats/issuance-rate", "stats.read", stats_issued_start},
    {"GET", "/api/v1/metrics", "metrics.read", metrics_json_start},
    {"GET", "/api/v1/metrics/prometheus", "metrics.read",
	metrics_prometheus_start},
};

static const struct route admin_rows[] = {
    {"GET", "/api/v1/admin/processes", "metrics.read", admin_processes_start},
    {"GET", "/api/v1/admin/conditions", "metrics.read", admin_conditions_start},
    {"GET", "/api/v1/admin/scheduler", "metrics.read", admin_duties_start},
    /* The catalogue of permissions has none for the scheduler; this one of
     * its administrators' is the nearest. */
    {"POST", "/api/v1/admin/scheduler/run-now/{duty}", "crl.admin",
	admin_duty_run_start, "duty_run_requested"},
    {"GET", "/api/v1/admin/recovery", "metrics.read", admin_recovery_start},
    {"POST", "/api/v1/admin/recovery", "crl.admin", admin_recover_start,
	"database_recovered served_unknown_found"},
};

const struct route_area routes_system = ROUTE_API_AREA("system", rows);
const struct route_area routes_admin = ROUTE_API_AREA_BELOW("admin",
    "/api/v1/admin/", &render_brief, ROUTE_NO_HEAD, admin_rows);
