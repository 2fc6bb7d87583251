/*
 * Routes of the audit trail.
 */
#include "apiserver/handlers/audit/audit.h"
#include "apiserver/policy/route.h"
#include "common/base/attr.h"

#define AUDIT "/api/v1/audit"

static const struct route rows[] = {
    {"GET", AUDIT, "audit.read", audit_list, .reads = LIST_AUDIT},
    {"GET", AUDIT "/export", "audit.export", audit_export, "audit.export"},
    {"GET", AUDIT "/seal", "audit.read", audit_seal_state},
    {"GET", AUDIT "/blocks", "audit.read", audit_blocks},
    {"GET", AUDIT "/blocks/{n}/marks", "audit.read", audit_block_marks},
    {"GET", AUDIT "/rows", "audit.read", audit_rows},
    {"GET", AUDIT "/{id}", "audit.read", audit_get},
    {"GET", AUDIT "/{id}/attachment", "audit.read", audit_attachment},
    {"GET", AUDIT "/{id}/proof", "audit.read", audit_proof},
};

const struct route_area routes_audit = ROUTE_API_AREA("audit", rows);
