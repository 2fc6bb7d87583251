/*
 * health_checks: the steps of the health checks' routes.
 */
#ifndef APISERVER_HANDLERS_HEALTH_CHECKS_HEALTH_CHECKS_H
#define APISERVER_HANDLERS_HEALTH_CHECKS_HEALTH_CHECKS_H

#include "common/op/op.h"

op_step health_check_list;
op_step health_check_create;
op_step health_check_get;
op_step health_check_update;
op_step health_check_delete;
op_step health_check_history;
op_step health_check_summary;
op_step health_check_acknowledge;

#endif
