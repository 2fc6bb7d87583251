/*
 * POST /network-scan-targets/{id}/scan: a scan now, whatever the target's
 * interval says.  The answer is the scan as it begins, or the one that is
 * under way; what it finds is told of by GET /discovery-scans.
 */
#include "apiserver/edge/request.h"
#include "apiserver/handlers/discovery/discovery.h"
#include "apiserver/handlers/network/network.h"
#include "apiserver/resources/page.h"
#include "apiserver/resources/shape.h"

static op_step scan_asked;

enum op_next
network_scan(struct op *op)
{
	return OP_QUERY(op, Q_NETWORK_SCAN_ASK, scan_asked, req_param(op, "id"),
	    page_actor(op), req_actor_type(op));
}

static enum op_next
scan_asked(struct op *op)
{
	if (op_rows(op) == 0)
		return op_fail(op, RC_NOT_FOUND, "%s not found",
		    resource_scan_targets.label);
	req_hint(op, 0, NULL, NULL);
	return page_reply_one(op, 202, discovery_scan_fields,
	    discovery_scan_nfields);
}

/* --- what the document says of it --- */

const struct shape shape_network_scan = {
    .does = "Scan a target now",
    .status = 202,
    .answer = SHAPE_OBJECT,
    .fields = SHAPE_TABLE_OF(discovery_scan_fields, discovery_scan_nfields),
};
