DROP FUNCTION certificates_refresh, jobs_enqueue_issue, duty_renewal_scan, deployments_fan_out, duty_redeploy, job_finish,
    jobs_lock, job_cancel, worker_renew, worker_leave, scheduler_seen, apiserver_seen, leadership_hold, leadership_release,
    leadership_is, lanes_due, tasks_due, renewals_left, serial_new, jobs_claim, tasks_claim, leases_free, issue_complete,
    issue_set_aside, ca_root_store, ca_certificate_store, csr_submit, agent_work, agents_with_work, job_report, job_verify, duty_job_timeouts,
    duty_agent_health, duty_agent_rescue, duty_certificate_status, duty_process_rows;
