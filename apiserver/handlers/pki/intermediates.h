/*
 * intermediates: the steps of the hierarchies of intermediate CAs.
 */
#ifndef APISERVER_HANDLERS_PKI_INTERMEDIATES_H
#define APISERVER_HANDLERS_PKI_INTERMEDIATES_H

#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

struct cJSON;

/* The object as it is answered. */
extern const struct field intermediate_fields[];
extern const size_t intermediate_nfields;

op_step intermediate_create_start;
op_step intermediate_list_start;
op_step intermediate_get_start;
op_step intermediate_retire_start;
op_step intermediate_revoke_start;

#endif
