/*
 * explain: why a certificate, job or target is not ready.
 */
#ifndef APISERVER_HANDLERS_EXPLAIN_EXPLAIN_H
#define APISERVER_HANDLERS_EXPLAIN_EXPLAIN_H

#include "common/op/op.h"

/* The steps of routes.c. */
op_step explain_certificate_start;
op_step explain_job_start;
op_step explain_target_start;

#endif
