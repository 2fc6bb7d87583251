/*
 * Routes of the audit trail.
 */
#include "apiserver/handlers/audit/audit.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define AUDIT "/api/v1/audit"

static const struct route rows[] = {
    {"GET", AUDIT, ROUTE_PERMISSION, "audit.read", audit_list, 0},
    {"GET", AUDIT "/export", ROUTE_PERMISSION, "audit.export", audit_export, 0},
    {"GET", AUDIT "/seal", ROUTE_PERMISSION, "audit.read", audit_seal_state, 0},
    {"GET", AUDIT "/blocks", ROUTE_PERMISSION, "audit.read", audit_blocks, 0},
    {"GET", AUDIT "/blocks/{n}/marks", ROUTE_PERMISSION, "audit.read",
	audit_block_marks, 0},
    {"GET", AUDIT "/rows", ROUTE_PERMISSION, "audit.read", audit_rows, 0},
    {"GET", AUDIT "/{id}", ROUTE_PERMISSION, "audit.read", audit_get, 0},
    {"GET", AUDIT "/{id}/attachment", ROUTE_PERMISSION, "audit.read",
	audit_attachment, 0},
    {"GET", AUDIT "/{id}/proof", ROUTE_PERMISSION, "audit.read", audit_proof,
	0},
};

const struct route_area routes_audit = {"audit", rows, ARRAY_LEN(rows)};
