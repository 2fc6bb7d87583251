/*
 * jobs: the start steps of the jobs' routes.
 */
#ifndef APISERVER_HANDLERS_JOBS_JOBS_H
#define APISERVER_HANDLERS_JOBS_JOBS_H

#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

/* The object as it is answered. */
extern const struct field job_fields[];
extern const size_t job_nfields;

op_step job_list;
op_step job_get;
op_step job_cancel;

#endif
