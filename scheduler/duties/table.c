#include "scheduler/duties/duties.h"

#define SECONDS(n) ((int64_t)(n)*1000)

/* name, interval (a key of cfg_keys.def), bound on one run, first step, and
 * why it is off (none: always on) */
const struct duty_def duty_table[] = {
    {"agent_health", "agent_health_check_interval", SECONDS(60),
	duty_agent_health},
    {"agent_rescue", "agent_rescue_interval", SECONDS(120), duty_agent_rescue},
    {"audit_chain_verify", "audit_chain_verify_interval", SECONDS(300),
	duty_audit_chain_verify},
    {"audit_sealing", "audit_seal_interval", SECONDS(30), duty_audit_sealing},
    {"audit_retention", "audit_retention_interval", SECONDS(60),
	duty_audit_retention, duty_audit_retention_off},
    {"certificate_status", "status_repair_interval", SECONDS(120),
	duty_certificate_status},
    {"crl_behind", "crl_behind_interval", SECONDS(10), duty_crl_behind},
    {"crl_refresh", "crl_generation_interval", SECONDS(60), duty_crl_refresh},
    {"expiry_alerts", "expiry_alert_interval", SECONDS(300),
	duty_expiry_alerts},
    {"idempotency_cleanup", "idempotency_cleanup_interval", SECONDS(60),
	duty_idempotency_cleanup},
    {"job_backstop", "job_processor_interval", SECONDS(10), duty_job_backstop},
    {"job_retention", "job_retention_interval", SECONDS(20), duty_job_retention,
	duty_job_retention_off},
    {"job_timeouts", "job_timeout_interval", SECONDS(120), duty_job_timeouts},
    {"process_rows", "process_rows_interval", SECONDS(60), duty_process_rows},
    {"redeploy", "redeploy_interval", SECONDS(60), duty_redeploy},
    /* Its budget is its interval. */
    {"renewal_scan", "renewal_check_interval", 0, duty_renewal_scan},
    {"short_lived_expiry", "short_lived_expiry_interval", SECONDS(30),
	duty_short_lived_expiry},
    {"version_retention", "version_retention_interval", SECONDS(20),
	duty_version_retention, duty_version_retention_off},
};
const size_t duty_table_n = sizeof(duty_table) / sizeof(duty_table[0]);
