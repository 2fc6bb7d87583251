/*
 * discovery: what the endpoints of discoveries share.
 */
#ifndef APISERVER_HANDLERS_DISCOVERY_DISCOVERY_H
#define APISERVER_HANDLERS_DISCOVERY_DISCOVERY_H

#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/json/json.h"
#include "common/op/op.h"

struct cJSON;

/* Certificates that one report may have. */
#define DISCOVERY_ENTRIES_MAX 1000

/* A scan as it is answered. */
extern const struct field discovery_scan_fields[];
extern const size_t discovery_scan_nfields;

/*
 * One certificate of a report, at_i of its list, checked and written as
 * discovery_store takes it.  Texts are another's, so they are cleaned rather
 * than refused.  Of pem_data only the certificate itself is kept, and what it
 * says goes before what is said of it.  RC_INVALID with *out_why: it is
 * refused; nothing of its texts stands in there.
 */
rc discovery_entry_put(struct arena *a, struct json_w *w,
    const struct cJSON *entry, size_t at_i, const char **out_why) MUST_CHECK;

/* The steps of routes.c. */
op_step discovery_report_start;
op_step discovered_list_start;
op_step discovered_get_start;
op_step discovered_claim_start;
op_step discovered_dismiss_start;
op_step discovery_scans_start;
op_step discovery_summary_start;

#endif
