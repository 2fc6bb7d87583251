/*
 * Routes of network scans and SCEP probes.
 */
#include "apiserver/handlers/network/network.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define TARGETS "/api/v1/network-scan-targets"
/* The contract's errors of these have no request_id. */
#define BRIEF \
	{ \
		.renderer = &render_brief \
	}

RESOURCE_STEPS(scan_target, resource_scan_targets)

static const struct route rows[] = {
    {"GET", TARGETS, "network_scan.read", scan_target_list, .own = BRIEF,
	.resource = &resource_scan_targets},
    {"POST", TARGETS, "network_scan.edit", scan_target_create,
	"network_scan_target_created", .own = BRIEF,
	.resource = &resource_scan_targets},
    {"GET", TARGETS "/{id}", "network_scan.read", scan_target_get, .own = BRIEF,
	.resource = &resource_scan_targets},
    {"PUT", TARGETS "/{id}", "network_scan.edit", scan_target_update,
	"network_scan_target_updated", .own = BRIEF,
	.resource = &resource_scan_targets},
    {"DELETE", TARGETS "/{id}", "network_scan.edit", scan_target_delete,
	"network_scan_target_deleted", .own = BRIEF,
	.resource = &resource_scan_targets},
    {"POST", TARGETS "/{id}/scan", "network_scan.run", network_scan,
	"network_scan_requested", .own = BRIEF},
    {"POST", "/api/v1/network-scan/scep-probe", "network_scan.run", scep_probe,
	"scep_probe_requested", .own = BRIEF},
    {"GET", "/api/v1/network-scan/scep-probes", "network_scan.read",
	scep_probe_list, .own = BRIEF},
};

const struct route_area routes_network = ROUTE_API_AREA("network", rows);
