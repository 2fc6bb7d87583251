/*
 * network: scans of the network and probes of SCEP servers, over the API.
 */
#ifndef APISERVER_HANDLERS_NETWORK_NETWORK_H
#define APISERVER_HANDLERS_NETWORK_NETWORK_H

#include "apiserver/resources/resource.h"
#include "common/http/outbound.h"
#include "common/op/op.h"

extern const struct resource resource_scan_targets;

op_step network_scan;
op_step scep_probe;
op_step scep_probe_list;

/* Where scans and probes may go; the workers have the last word. */
struct outbound network_outbound(const struct op *op);

#endif
