/*
 * approvals: the start steps of the approvals' routes.
 */
#ifndef APISERVER_HANDLERS_APPROVALS_APPROVALS_H
#define APISERVER_HANDLERS_APPROVALS_APPROVALS_H

#include "common/op/op.h"

op_step approval_list;
op_step approval_get;
op_step approval_approve;
op_step approval_reject;
/* The same decisions, by the job that waits. */
op_step job_approve;
op_step job_reject;

#endif
