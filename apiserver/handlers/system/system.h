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
op_step admin_processes_start;
op_step admin_conditions_start;
op_step admin_duties_start;
op_step admin_duty_run_start;
op_step admin_recovery_start;
op_step admin_recover_start;
op_step stats_summary_start;
op_step stats_by_status_start;
op_step stats_expiration_start;
op_step stats_jobs_start;
op_step stats_issued_start;
op_step metrics_json_start;
op_step metrics_prometheus_start;
op_step openapi_start;

/* The names of apiserver/conditions.def, each followed by a blank, and the
 * severity of each likewise. */
extern const char *const conditions_names;
extern const char *const conditions_severities;

#endif
