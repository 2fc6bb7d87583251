/*
 * Routes of discoveries: what was found, and by which scans.
 */
#include "apiserver/handlers/discovery/discovery.h"
#include "apiserver/policy/route.h"

#define FOUND "/api/v1/discovered-certificates"

/* The contract's errors here have no "request_id". */
#define BRIEF .own = {.renderer = &render_brief}

static const struct route rows[] = {
    {"POST", "/api/v1/agents/{id}/discoveries", "discovery.run",
	discovery_report_start, "discovery_scan_completed",
	.own = {.access = ROUTE_AGENT, .renderer = &render_brief}},
    {"GET", FOUND, "discovery.read", discovered_list_start, BRIEF,
	.reads = LIST_DISCOVERED},
    {"GET", FOUND "/{id}", "discovery.read", discovered_get_start, BRIEF},
    {"POST", FOUND "/{id}/claim", "discovery.claim", discovered_claim_start,
	"discovery_cert_claimed", BRIEF},
    {"POST", FOUND "/{id}/dismiss", "discovery.claim", discovered_dismiss_start,
	"discovery_cert_dismissed", BRIEF},
    {"GET", "/api/v1/discovery-scans", "discovery.read", discovery_scans_start,
	BRIEF},
    {"GET", "/api/v1/discovery-summary", "discovery.read",
	discovery_summary_start, BRIEF},
};

const struct route_area routes_discovery = ROUTE_API_AREA("discovery", rows);
