/*
 * replacements: all certificates of one issuer become another's, in waves.
 * The scheduler does the work (migrations/code/12_replacements.sql); here it is
 * planned, begun, turned and looked at.
 */
#ifndef APISERVER_HANDLERS_REPLACEMENTS_REPLACEMENTS_H
#define APISERVER_HANDLERS_REPLACEMENTS_REPLACEMENTS_H

#include "apiserver/resources/field.h"
#include "common/op/op.h"

/* How far one is. */
extern const struct field replacement_fields[];
extern const size_t replacement_nfields;

op_step replacement_list;
op_step replacement_get;
op_step replacement_certificates;
op_step replacement_plan;
op_step replacement_excluded;
op_step replacement_create;
op_step replacement_pause;
op_step replacement_resume;
op_step replacement_cancel;

#endif
