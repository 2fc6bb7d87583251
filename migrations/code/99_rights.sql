-- Who may do what: nobody but the owner, and each process what it needs.  The default of a column runs as who writes the
-- row, a trigger's function needs no right.  The roles are made by whoever runs the cluster; those that do not exist are
-- skipped, so that a single-role database works too.  Every --migrate-only comes by here, for roles that were made since.
CREATE FUNCTION rights_grant() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    r record;
    f text;
    -- Constants, and what statements reckon with them.
    v_common text[] := ARRAY(SELECT p.proname FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
        AND p.proname ~ '^policy_') || '{back_off, certificate_changes_at, certificate_is_aside, certificate_renews, days, engine_now, id_bound,
            job_is_active, job_issues, job_needs_agent, job_waits_since, jittered, server_meet, stat_day, stat_date, stat_hour}';
BEGIN
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
    FOR r IN SELECT v.role, v.functions FROM (VALUES
        ('certctl_apiserver', '{
            actor_acts_as, actors_are_one, agent_served, agent_work, apiserver_seen, approval_decide, audit_epoch, audit_epoch_look,
            audit_kept_from, audit_leaf, audit_merkle_level, audit_merkle_path, audit_rows_of, audit_us, bulk_run,
            certificate_archive, certificate_deploy, certificate_deployment, certificate_merge, certificate_now, certificate_reason, certificate_renew,
            certificates_matching, certificates_revoke, ca_successor_ask, ca_switch, crl_is_behind, crl_is_fetched, crl_request, csr_submit, discovery_store,
            discovery_triage, duty_is_late,
            duty_run_request, enum_canonical, expiring_at_of, id_new, job_cancel, job_reason, job_report, job_verify, lane_allows,
            lane_tokens, jobs_enqueue, ocsp_answers, ocsp_ask, ocsp_asked, ocsp_forget, ocsp_status, recover, recover_served, renew_after_of, stat_buckets, stat_ended_by, stat_histogram, target_paths, auth_role_gives, auth_held}'),
        ('certctl_scheduler', '{
            audit_chain_verify, audit_epoch, audit_epoch_look, audit_is_sealed_before, audit_seal, duties_register,
            duty_agent_health, duty_agent_rescue, duty_audit_retention, duty_cannot_wait, duty_certificate_status, duty_crl_refresh,
            duty_discovery_retention,
            duty_expiry_alerts, duty_idempotency_cleanup, duty_job_retention, duty_job_timeouts, duty_lock_holders, duty_notification_retention, duty_ocsp_refresh, duty_policy_changes,
            duty_process_rows,
            duty_redeploy, duty_renewal_budget, duty_renewal_scan, duty_short_lived_expiry, duty_stats_fold, duty_version_retention, id_new,
            journal_is_ahead, jobs_claim, jobs_claim_alone, lane_key, lanes_due, leadership_hold, leadership_is, leadership_release, leases_free, renewals_left,
            scheduler_seen, tasks_claim, tasks_due}'),
        ('certctl_worker', '{
            audit_epoch, audit_epoch_look, ca_certificate_store, ca_root_store, crl_begin, crl_failed, crl_fetch_begin, crl_fetch_issued,
            crl_revocations, crl_store, id_new, issue_complete, issue_complete_outside,
            issue_looking, issue_placing, issue_set_aside, issuer_account_keep, issuer_secrets_reseal, crl_check, journal_check, stats_vault_tokens, task_ca_init_end, tasks_done, worker_leave, worker_renew}'),
        ('certctl_apiserver', '{issuer_asks_windows, renewal_window_at}'),
        ('certctl_apiserver', '{intermediate_ca_ask, intermediate_ca_revoke, intermediate_ca_retire}'),
        ('certctl_worker', '{order_is_listed, revocation_begin, revocation_end, renewal_windows_begin, renewal_windows_store}'),
        ('certctl_scheduler', '{duty_renewal_windows}'),
        ('certctl_worker', '{intermediate_ca_chain, intermediate_ca_end}'),
        ('certctl_apiserver', '{acme_actor, acme_nonce_keys_live, acme_rate_take, acme_account_create, acme_account_update, acme_eab_state}'),
        ('certctl_apiserver', '{lane_key, acme_orders_create, acme_orders_look, acme_finalize, acme_authz_deactivate, acme_challenge_answer, acme_certs_of}'),
        ('certctl_scheduler', '{duty_acme_cleanup, duty_event_retention}'),
        ('certctl_apiserver', '{events_conditions, events_look}'),
        ('certctl_apiserver', '{acme_key_change, acme_renewal_info, acme_revoke}'),
        ('certctl_apiserver', '{acme_account_revoke, acme_order_status, acme_policy_default}'),
        ('certctl_apiserver', '{network_scan_ask, scep_probe_id}'), ('certctl_scheduler', '{duty_network_scan}'),
        ('certctl_worker', '{network_scan_store, scep_probe_store}'),
        ('certctl_scheduler', '{duty_health_checks, duty_health_history}'), ('certctl_worker', '{health_checks_store, health_expected}'),
        ('certctl_scheduler', '{duty_event_alerts, duty_policy_scan}'),
        ('certctl_worker', '{stat_ended_by, rule_allows_name, rule_fault, rule_fault_of, rule_lead, rule_say, rule_wants}'),
        ('certctl_apiserver', '{replacement_begin, replacement_excluded, replacement_plan, replacement_rate, replacement_stop, replacement_turn, replacement_turns, replacement_wave}'),
        ('certctl_scheduler', '{duty_replacements}'),
        ('certctl_worker', '{acme_challenge_end, acme_challenge_is_open}'),
        ('certctl_worker', '{ocsp_due, ocsp_keep, ocsp_load, ocsp_responder_fault, ocsp_responder_store, ocsp_store}')) AS v (role, functions)
        JOIN pg_roles p ON p.rolname = v.role
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I, public TO %I', current_schema(), r.role);
        FOREACH f IN ARRAY v_common || r.functions::text[] LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %I', current_schema(), f, r.role);
        END LOOP;
    END LOOP;
    FOR r IN SELECT v.role, v.may, v.relations FROM (VALUES
        ('certctl_apiserver', 'SELECT', 'tenants, teams, owners, certificate_profiles, agent_groups, renewal_policies, issuers, lanes,
            ca_certificates, agents, agent_group_members, deployment_targets, managed_certificates, certificate_versions,
            certificate_requests, certificate_chains, certificate_target_mappings, target_files, certificate_revocations, stat_totals_now, stat_series_now, stat_state, jobs, tasks,
            policy_changes, issuance_approval_requests, workers, schedulers, apiservers, leadership, duties, crl_cache, crl_generation_events, ocsp_response_cache,
            notification_events, roles, permissions, role_permissions, actor_roles, api_keys, audit_events, audit_attachments,
            audit_epochs, audit_blocks, audit_verification, audit_unsealed, conditions, duties_now, recovery,
            served_certificates, served_other, served_unknown, discovered_certificates, discovered_counts, discovery_scans,
            policy_rules, policy_violations'),
        ('certctl_apiserver', 'INSERT, UPDATE, DELETE', 'teams, owners, certificate_profiles, agent_groups, renewal_policies, issuers,
            agents, agent_group_members, deployment_targets, certificate_target_mappings, actor_roles, api_keys, roles, role_permissions, policy_rules'),
        ('certctl_apiserver', 'INSERT, UPDATE', 'managed_certificates, certificate_revocations, issuance_approval_requests'),
        ('certctl_apiserver', 'SELECT, INSERT, UPDATE', 'target_tests'),
        ('certctl_apiserver', 'SELECT', 'intermediate_cas, intermediate_ca_requests'),
        ('certctl_apiserver', 'INSERT', 'tasks, lanes'), ('certctl_apiserver', 'UPDATE (bootstrapped_at)', 'tenants'),
        ('certctl_apiserver', 'UPDATE (status, leased_by, lease_id, attempt_until, attempts, died_with, last_error, payload, run_after)', 'tasks'),
        -- What orders and seals a row is never the writer's choice.
        ('certctl_apiserver', 'INSERT (actor, actor_type, action, resource_type, resource_id, details, event_category)', 'audit_events'),
        ('certctl_apiserver', 'UPDATE (status, retry_count, next_retry_at, last_error, message_id)', 'notification_events'),
        ('certctl_apiserver', 'USAGE', 'SEQUENCE id_seq, lease_seq, audit_seq, role_permissions_id_seq,
            agents_changes, audit_changes, certificates_changes, discovered_changes, jobs_changes'),
        ('certctl_apiserver', 'SELECT', 'network_scan_targets, network_totals, scep_probe_results'),
        ('certctl_apiserver', 'INSERT, UPDATE, DELETE', 'network_scan_targets'),
        ('certctl_apiserver', 'SELECT', 'endpoint_health_checks, endpoint_health_history, health_check_counts'),
        ('certctl_apiserver', 'INSERT, UPDATE, DELETE', 'endpoint_health_checks'),
        ('certctl_apiserver', 'SELECT', 'acme_accounts, acme_eab_keys, acme_orders, acme_authorizations, acme_challenges,
            acme_certificates, acme_nonces, acme_nonce_keys'),
        ('certctl_apiserver', 'SELECT', 'replacements, replacement_items'),
        ('certctl_apiserver', 'SELECT', 'renewal_windows, renewal_window_rests'),
        ('certctl_apiserver', 'INSERT (nonce, expires_at)', 'acme_nonces'),
        ('certctl_apiserver', 'DELETE', 'acme_eab_keys'), ('certctl_apiserver', 'UPDATE (revoked_at, hmac_sealed)', 'acme_eab_keys'),
        ('certctl_apiserver', 'INSERT (key_id, profile_id, owner_id, hmac_sealed, description, created_by, created_at, expires_at, reusable)',
            'acme_eab_keys'),
        ('certctl_worker', 'SELECT', 'acme_accounts, acme_orders, acme_authorizations, acme_challenges, acme_certificates'),
        ('certctl_worker', 'SELECT', 'audit_epochs'), ('certctl_worker', 'SELECT', 'endpoint_health_checks'),
        ('certctl_worker', 'SELECT (id, certificate_id, issuer_id, serial_number, key_holder, fingerprint_sha256, pem_chain, created_at)', 'certificate_versions'),
        ('certctl_apiserver', 'USAGE', 'SEQUENCE revocations_changes'),
        ('certctl_scheduler', 'SELECT', 'journal_ahead, leadership, duties, lanes, workers, schedulers'),
        ('certctl_scheduler', 'INSERT, UPDATE', 'duties'),
        ('certctl_scheduler', 'SELECT, INSERT', 'tasks'),
        ('certctl_scheduler', 'SELECT, UPDATE (status, error, retry_count, last_error, next_retry_at, message_id)', 'notification_events'),
        ('certctl_scheduler', 'USAGE', 'SEQUENCE id_seq'),
        ('certctl_worker', 'SELECT', 'jobs, tasks, issuers, issuer_accounts, ca_certificates, ca_keys, managed_certificates, certificate_profiles,
            certificate_requests, certificate_target_mappings, notification_events, ocsp_responders, ocsp_responder_faults, ocsp_responder_keys, owners'),
        ('certctl_worker', 'SELECT', 'policy_rules, stat_totals_now, stat_series_now, stat_state'),
        ('certctl_worker', 'SELECT', 'intermediate_cas, intermediate_ca_keys, intermediate_ca_requests'),
        ('certctl_worker', 'UPDATE (status, sent_at, error, retry_count, next_retry_at, last_error)', 'notification_events'),
        ('certctl_worker', 'USAGE', 'SEQUENCE id_seq, audit_seq'),
        ('certctl_worker', 'INSERT, DELETE, UPDATE', 'tasks')) AS v (role, may, relations)
        JOIN pg_roles p ON p.rolname = v.role
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', r.may, r.relations, r.role);
    END LOOP;
END $$;
SELECT rights_grant();
