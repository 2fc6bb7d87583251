/*
 * duties: the table of all duties and their first steps, one file each.
 */
#ifndef SCHEDULER_DUTIES_DUTIES_H
#define SCHEDULER_DUTIES_DUTIES_H

#include <stddef.h>

#include "common/op/op.h"
#include "scheduler/duty.h"

/* Rows one statement touches at most: short transactions, whose locks nobody
 * waits for long. */
#define DUTY_CHUNK 1000
#define DUTY_CHUNK_TEXT "1000"

/* Retention takes less at a time: nobody waits for it. */
#define DUTY_GENTLE_TEXT "500"

extern const struct duty_def duty_table[];
extern const size_t duty_table_n;

op_step duty_agent_health;
op_step duty_agent_rescue;
op_step duty_audit_chain_verify;
op_step duty_audit_sealing;
op_step duty_audit_retention;
op_step duty_certificate_status;
op_step duty_crl_behind;
op_step duty_crl_refresh;
op_step duty_expiry_alerts;
op_step duty_idempotency_cleanup;
op_step duty_job_backstop;
op_step duty_job_retention;
op_step duty_job_timeouts;
op_step duty_process_rows;
op_step duty_redeploy;
op_step duty_renewal_scan;
op_step duty_short_lived_expiry;
op_step duty_version_retention;

/* Why a duty of the table is off; NULL: it is on. */
const char *duty_audit_retention_off(const struct duty_settings *s);
const char *duty_job_retention_off(const struct duty_settings *s);
const char *duty_version_retention_off(const struct duty_settings *s);

#endif
