/*
 * system: the endpoints that speak of the server itself.
 */
#ifndef APISERVER_HANDLERS_SYSTEM_SYSTEM_H
#define APISERVER_HANDLERS_SYSTEM_SYSTEM_H

#include "common/op/op.h"

/* The steps of routes.c. */
op_step system_health_start;
op_step system_ready_start;
op_step system_version_start;
op_step auth_info_start;
op_step auth_check_start;
op_step admin_processes_start;
op_step admin_duties_start;
op_step admin_duty_run_start;
op_step metrics_prometheus_start;

#endif
