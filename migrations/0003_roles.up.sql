-- Least rights for each process.  The roles are made by whoever runs the
-- cluster (see docs/operator/database.md); a role that does not exist is
-- skipped, so that a single-role database works too.

DO $$
DECLARE
    r text;
BEGIN
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT SELECT ON tenants, teams, owners, certificate_profiles, agent_groups, renewal_policies, issuers, lanes,
            ca_certificates, agents, agent_group_members, deployment_targets, managed_certificates, certificate_versions,
            certificate_target_mappings, certificate_revocations, jobs, tasks, workers, schedulers, apiservers, leadership,
            duties, roles, permissions, role_permissions, actor_roles, api_keys, audit_events TO certctl_apiserver;
        GRANT INSERT, UPDATE, DELETE ON teams, owners, certificate_profiles, agent_groups, renewal_policies, issuers, agents,
            agent_group_members, deployment_targets, certificate_target_mappings, actor_roles, api_keys TO certctl_apiserver;
        GRANT INSERT, UPDATE ON managed_certificates, certificate_revocations TO certctl_apiserver;
        GRANT INSERT ON tasks, audit_events, lanes TO certctl_apiserver;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO certctl_apiserver;
        GRANT EXECUTE ON FUNCTION engine_now(), id_new(text), enum_canonical(text, text[]), jobs_enqueue_issue(text[], text, bool, bool),
            job_cancel(text, text), apiserver_seen(text, text, text, int, text, text), csr_submit(text, text, text, text, text),
            agent_work(text, int), agents_with_work(text[]), job_report(text, text, text, text, text),
            job_verify(text, text, text, bool, text, text),
            renew_after_of(text, timestamptz, timestamptz, int, int) TO certctl_apiserver;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT SELECT ON leadership, duties, lanes, workers, schedulers TO certctl_scheduler;
        GRANT INSERT, UPDATE ON duties TO certctl_scheduler;
        GRANT EXECUTE ON FUNCTION engine_now(), scheduler_seen(text, text, text, int, text, text), leadership_hold(text, text, int),
            leadership_release(text, text), leadership_is(bigint, text), lanes_due(text[], timestamptz[], text[]), tasks_due(),
            renewals_left(int),
            jobs_claim(text, bigint, text, text, int, timestamptz, text), tasks_claim(text, bigint, text, int),
            leases_free(text, bigint, text, bigint[]), duty_renewal_scan(int), duty_redeploy(int),
            duty_job_timeouts(bigint, bigint, int), duty_agent_health(bigint), duty_agent_rescue(bigint, int),
            duty_certificate_status(int), duty_process_rows() TO certctl_scheduler;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_worker') THEN
        GRANT SELECT ON jobs, tasks, issuers, ca_certificates, ca_keys, managed_certificates, certificate_profiles TO certctl_worker;
        GRANT DELETE, UPDATE ON tasks TO certctl_worker;
        GRANT UPDATE (test_status, last_tested_at) ON issuers TO certctl_worker;
        GRANT EXECUTE ON FUNCTION engine_now(), worker_renew(text, text, text, int, text, int), worker_leave(text),
            issue_complete(text, bigint, text[], text[], text[], text[], int[], text),
            issue_set_aside(text, bigint, text[], text[], text[]),
            ca_root_store(text, text, text, timestamptz, timestamptz, bytea),
            ca_certificate_store(text, text, text, text, timestamptz, timestamptz) TO certctl_worker;
    END IF;
    -- Trigger functions and defaults run as the calling role.
    FOREACH r IN ARRAY '{certctl_apiserver,certctl_scheduler,certctl_worker}'::text[] LOOP
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', r);
            EXECUTE format('GRANT EXECUTE ON FUNCTION certificates_canonical(), agents_canonical(), jobs_canonical(), '
                'lanes_for_issuer(), certificates_renew_after(), policies_renew_after(), audit_refuse_change() TO %I', r);
        END IF;
    END LOOP;
END $$;
