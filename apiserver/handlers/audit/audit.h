/*
 * audit: the start steps of the audit trail's routes.
 */
#ifndef APISERVER_HANDLERS_AUDIT_AUDIT_H
#define APISERVER_HANDLERS_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

/* The event as it is answered. */
extern const struct field audit_fields[];
extern const size_t audit_nfields;

enum { AUDIT_FILTERS = 7 };

/*
 * category, since, until, actor, action, resource_type, resource_id as the
 * statements take them; since and until by these names.  NULL, or why the
 * request is refused.
 */
const char *audit_filters_read(struct op *op, const char *since,
    const char *until, const char *params[AUDIT_FILTERS]);

/* The times around the one that an event's id contains; false when it is no
 * such id, and both are NULL then. */
bool audit_id_times(struct op *op, const char *id, const char **out_from,
    const char **out_to);

op_step audit_list;
op_step audit_get;
op_step audit_export;
op_step audit_seal_state;
op_step audit_blocks;
op_step audit_block_marks;
op_step audit_rows;
op_step audit_proof;
op_step audit_attachment;

#endif
