-- Who may call what: nobody but the owner, and each process what it needs.  The
-- default of a column runs as who writes the row, a trigger's function needs no
-- right.  Roles that do not exist are skipped, so that a single-role database
-- works too.
DO $$
DECLARE
    r record;
    f text;
BEGIN
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
    FOR r IN SELECT v.role, v.functions FROM (VALUES
        ('certctl_apiserver', '{
            agent_work, agents_with_work, apiserver_seen, approval_decide, audit_epoch, audit_epoch_look,
            audit_kept_from, audit_leaf, audit_merkle_level, audit_merkle_path, audit_rows_of, audit_us, bulk_run,
            certificate_archive, certificate_deploy, certificate_merge, certificates_revoke, crl_is_behind, crl_request,
            csr_submit, duty_run_request, engine_now, enum_canonical, id_new, job_cancel, job_report, job_verify,
            jobs_enqueue_issue, renew_after_of}'),
        ('certctl_scheduler', '{
            audit_chain_verify, audit_epoch, audit_epoch_look, audit_is_sealed_before, audit_seal, duties_register,
            duty_agent_health, duty_agent_rescue, duty_audit_retention, duty_certificate_status, duty_crl_refresh,
            duty_expiry_alerts, duty_idempotency_cleanup, duty_job_retention, duty_job_timeouts, duty_process_rows,
            duty_redeploy, duty_renewal_budget, duty_renewal_scan, duty_short_lived_expiry, duty_version_retention, engine_now,
            jobs_claim, lanes_due, leadership_hold, leadership_is, leadership_release, leases_free, renewals_left,
            scheduler_seen, tasks_claim, tasks_due}'),
        ('certctl_worker', '{
            audit_epoch, audit_epoch_look, ca_certificate_store, ca_root_store, crl_begin, crl_failed,
            crl_revocations, crl_store, engine_now, issue_complete, issue_complete_outside, issue_outside_set_aside,
            issue_placing, issue_set_aside, tasks_done, worker_leave, worker_renew}')) AS v (role, functions) JOIN pg_roles p ON p.rolname = v.role
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), r.role);
        FOREACH f IN ARRAY r.functions::text[] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %I', current_schema(), f, r.role);
        END LOOP;
    END LOOP;
END $$;
