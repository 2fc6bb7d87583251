-- What the tables call by themselves: defaults and triggers.  They are those of the code that was installed last, and serve
-- the programs of every version that still runs.
--
-- The locks are taken at once and held for moments; each is waited for so briefly that who waits for us meanwhile is never
-- taken for a deadlock's victim.
SET LOCAL lock_timeout = '100ms';
LOCK TABLE managed_certificates, agents, certificate_target_mappings, deployment_targets, served_certificates, jobs, issuers,
    renewal_policies, notification_events, policy_rules, discovered_certificates, endpoint_health_checks,
    audit_blocks, audit_epochs, acme_accounts, acme_orders, api_keys, actor_roles, role_permissions, roles, replacements, duties
    IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE audit_attachments, audit_events IN ACCESS EXCLUSIVE MODE;

-- --- defaults ---
ALTER TABLE audit_events ALTER COLUMN id SET DEFAULT id_new('audit'), ALTER COLUMN epoch SET DEFAULT audit_epoch();
ALTER TABLE audit_attachments ALTER COLUMN id SET DEFAULT id_new('att');
SELECT audit_partitions_ensure();

-- --- spelling ---
CREATE OR REPLACE TRIGGER certificates_canonical BEFORE INSERT OR UPDATE OF status ON managed_certificates FOR EACH ROW
    WHEN (NEW.status NOT IN ('Pending', 'Active', 'Expiring', 'Expired', 'RenewalInProgress', 'Failed', 'Revoked', 'Archived'))
    EXECUTE FUNCTION row_canonical('{Pending,Active,Expiring,Expired,RenewalInProgress,Failed,Revoked,Archived}');
CREATE OR REPLACE TRIGGER agents_canonical BEFORE INSERT OR UPDATE OF status ON agents FOR EACH ROW
    WHEN (NEW.status NOT IN ('Online', 'Offline', 'Degraded')) EXECUTE FUNCTION row_canonical('{Online,Offline,Degraded}');
CREATE OR REPLACE TRIGGER jobs_canonical BEFORE INSERT OR UPDATE OF status, type ON jobs FOR EACH ROW
    WHEN (NEW.status NOT IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running', 'Completed', 'Failed', 'Cancelled')
        OR NEW.type NOT IN ('Issuance', 'Renewal', 'Deployment', 'Validation'))
    EXECUTE FUNCTION row_canonical('{Pending,AwaitingCSR,AwaitingApproval,Running,Completed,Failed,Cancelled}',
        '{Issuance,Renewal,Deployment,Validation}');
CREATE OR REPLACE TRIGGER discovered_canonical BEFORE INSERT OR UPDATE OF status ON discovered_certificates FOR EACH ROW
    WHEN (NEW.status NOT IN ('Unmanaged', 'Managed', 'Dismissed')) EXECUTE FUNCTION row_canonical('{Unmanaged,Managed,Dismissed}');

-- --- what was ordered ---
-- By its name the last of the triggers that set renew_after; jobs_begin_anew is by its name before the one that checks a
-- job's status.
CREATE OR REPLACE TRIGGER certificates_renewal_wanted BEFORE UPDATE OF common_name, sans, issuer_id, certificate_profile_id
    ON managed_certificates FOR EACH ROW
    WHEN (NEW.common_name <> OLD.common_name OR NEW.sans IS DISTINCT FROM OLD.sans OR NEW.issuer_id <> OLD.issuer_id
        OR NEW.certificate_profile_id IS DISTINCT FROM OLD.certificate_profile_id)
    EXECUTE FUNCTION certificates_renewal_wanted();
CREATE OR REPLACE TRIGGER certificates_ordered_anew AFTER UPDATE OF common_name, sans, issuer_id, certificate_profile_id
    ON managed_certificates FOR EACH ROW
    WHEN (NEW.common_name <> OLD.common_name OR NEW.sans IS DISTINCT FROM OLD.sans OR NEW.issuer_id <> OLD.issuer_id
        OR NEW.certificate_profile_id IS DISTINCT FROM OLD.certificate_profile_id)
    EXECUTE FUNCTION certificates_ordered_anew();
CREATE OR REPLACE TRIGGER jobs_begin_anew BEFORE UPDATE OF status ON jobs FOR EACH ROW
    WHEN (NEW.is_stale AND NEW.checkpoint IS NULL AND NEW.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval'))
    EXECUTE FUNCTION jobs_begin_anew();

-- --- the files of targets ---
CREATE OR REPLACE TRIGGER target_files_take AFTER INSERT ON certificate_target_mappings FOR EACH ROW
    EXECUTE FUNCTION target_files_take();
CREATE OR REPLACE TRIGGER target_files_retake AFTER UPDATE OF config, agent_id, retired_at ON deployment_targets FOR EACH ROW
    WHEN (NEW.config IS DISTINCT FROM OLD.config OR NEW.agent_id <> OLD.agent_id OR NEW.retired_at IS DISTINCT FROM OLD.retired_at)
    EXECUTE FUNCTION target_files_take();

-- --- counters ---
-- Who is without them for a time has the numbers counted anew; of nothing they are known.
DELETE FROM duty_marks m WHERE m.name = 'stats' AND (NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgname = 'stats_agents_added')
    OR NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgname = 'stats_acme_added') AND EXISTS (SELECT FROM acme_accounts));
INSERT INTO duty_marks (name) SELECT 'stats' WHERE NOT EXISTS (SELECT FROM managed_certificates) AND NOT EXISTS (SELECT FROM jobs)
    AND NOT EXISTS (SELECT FROM agents) AND NOT EXISTS (SELECT FROM notification_events)
    AND NOT EXISTS (SELECT FROM stat_totals) ON CONFLICT DO NOTHING;
DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT w.*, o.* FROM (VALUES ('managed_certificates', 'stats_certificates()'), ('jobs', 'stats_jobs()')) AS w (t, function)
        CROSS JOIN (VALUES ('added', 'INSERT', 'REFERENCING NEW TABLE AS came'), ('removed', 'DELETE', 'REFERENCING OLD TABLE AS went'),
            ('changed', 'UPDATE', 'REFERENCING OLD TABLE AS went NEW TABLE AS came'), ('emptied', 'TRUNCATE', '')) AS o (name, op, tables)
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER stats_%s AFTER %s ON %I %s FOR EACH STATEMENT EXECUTE FUNCTION %s',
            r.name, r.op, r.t, r.tables, r.function);
    END LOOP;
END $$;
DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT w.*, o.* FROM (VALUES ('agents', 'stats_agents(%L)'), ('notification_events', 'stats_notifications(%L)')) AS w (t, call)
        CROSS JOIN (VALUES ('added', 'INSERT', 'NEW', '1'), ('removed', 'DELETE', 'OLD', '-1')) AS o (name, op, which, sign)
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER stats_%s_%s AFTER %s ON %I REFERENCING %s TABLE AS moved FOR EACH STATEMENT'
            ' EXECUTE FUNCTION ', r.t, r.name, r.op, r.t, r.which) || format(r.call, r.sign);
        EXECUTE format('CREATE OR REPLACE TRIGGER stats_%s_emptied AFTER TRUNCATE ON %I FOR EACH STATEMENT'
            ' EXECUTE FUNCTION stats_emptied()', r.t, r.t);
    END LOOP;
END $$;
DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT * FROM (VALUES ('acme_accounts', 'acme_account'), ('acme_orders', 'acme_order')) AS w (t, kind) LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER stats_acme_added AFTER INSERT ON %I REFERENCING NEW TABLE AS came
            FOR EACH STATEMENT EXECUTE FUNCTION stats_acme_moved(%L)', r.t, r.kind);
        EXECUTE format('CREATE OR REPLACE TRIGGER stats_acme_changed AFTER UPDATE ON %I REFERENCING OLD TABLE AS went NEW TABLE AS came
            FOR EACH STATEMENT EXECUTE FUNCTION stats_acme_moved(%L)', r.t, r.kind);
        EXECUTE format('CREATE OR REPLACE TRIGGER stats_acme_removed AFTER DELETE ON %I REFERENCING OLD TABLE AS went
            FOR EACH STATEMENT EXECUTE FUNCTION stats_acme_moved(%L)', r.t, r.kind);
        EXECUTE format('CREATE OR REPLACE TRIGGER stats_acme_emptied AFTER TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION stats_emptied()', r.t);
    END LOOP;
END $$;
CREATE OR REPLACE TRIGGER stats_acme_ended AFTER UPDATE ON acme_orders REFERENCING OLD TABLE AS went NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION stats_acme_orders_ended();
CREATE OR REPLACE TRIGGER stats_agent_retired AFTER UPDATE OF retired_at ON agents FOR EACH ROW
    WHEN ((NEW.retired_at IS NULL) <> (OLD.retired_at IS NULL)) EXECUTE FUNCTION stats_agent_retired();
CREATE OR REPLACE TRIGGER stats_alerts AFTER UPDATE ON notification_events REFERENCING OLD TABLE AS went NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION stats_alerts();
CREATE OR REPLACE TRIGGER discovered_added AFTER INSERT ON discovered_certificates
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION discovered_counts_keep();
CREATE OR REPLACE TRIGGER discovered_moved AFTER UPDATE ON discovered_certificates
    REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION discovered_counts_keep();
CREATE OR REPLACE TRIGGER discovered_removed AFTER DELETE ON discovered_certificates
    REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION discovered_counts_keep();
CREATE OR REPLACE TRIGGER discovered_emptied AFTER TRUNCATE ON discovered_certificates
    FOR EACH STATEMENT EXECUTE FUNCTION discovered_counts_keep();

CREATE OR REPLACE TRIGGER health_checks_added AFTER INSERT ON endpoint_health_checks
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION health_check_counts_keep('1');
CREATE OR REPLACE TRIGGER health_checks_removed AFTER DELETE ON endpoint_health_checks
    REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION health_check_counts_keep('-1');
CREATE OR REPLACE TRIGGER health_checks_became AFTER UPDATE ON endpoint_health_checks
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION health_check_counts_keep('1');
CREATE OR REPLACE TRIGGER health_checks_were AFTER UPDATE ON endpoint_health_checks
    REFERENCING OLD TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION health_check_counts_keep('-1');
CREATE OR REPLACE TRIGGER health_checks_emptied AFTER TRUNCATE ON endpoint_health_checks
    FOR EACH STATEMENT EXECUTE FUNCTION health_check_counts_keep('0');
CREATE OR REPLACE TRIGGER health_checks_begin_anew BEFORE UPDATE OF endpoint, expected_fingerprint, certificate_id, enabled,
    check_interval_seconds ON endpoint_health_checks FOR EACH ROW
    WHEN (NEW.endpoint <> OLD.endpoint OR NEW.expected_fingerprint <> OLD.expected_fingerprint OR NEW.enabled <> OLD.enabled
        OR NEW.certificate_id IS DISTINCT FROM OLD.certificate_id OR NEW.check_interval_seconds <> OLD.check_interval_seconds)
    EXECUTE FUNCTION health_check_begin_anew();

DO $$ DECLARE r record; BEGIN
    FOR r IN SELECT w.*, unnest(w.tables) AS t FROM (VALUES ('agents', '{agents}'::text[]), ('audit', '{audit_events}'), ('jobs', '{jobs}'),
        ('discovered', '{discovered_certificates}'), ('revocations', '{certificate_revocations}'),
        ('certificates', '{managed_certificates, certificate_target_mappings, deployment_targets, served_certificates, issuers,
            renewal_policies}')) AS w (list, tables)
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER lists_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I FOR EACH STATEMENT
            WHEN (pg_current_xact_id_if_assigned() IS NOT NULL) EXECUTE FUNCTION lists_changed(%L)', r.t, format('public.%s_changes', r.list));
    END LOOP;
END $$;

-- --- live events ---
-- The rest of them are with the counters.  A heartbeat changes none of what these look at.
CREATE OR REPLACE TRIGGER events_certificate_edited AFTER UPDATE OF name, common_name, sans, environment, owner_id, team_id, issuer_id,
    renewal_policy_id, certificate_profile_id, tags ON managed_certificates FOR EACH ROW
    WHEN ((NEW.name, NEW.common_name, NEW.sans, NEW.environment, NEW.owner_id, NEW.team_id, NEW.issuer_id, NEW.renewal_policy_id,
        NEW.certificate_profile_id, NEW.tags) IS DISTINCT FROM (OLD.name, OLD.common_name, OLD.sans, OLD.environment, OLD.owner_id,
        OLD.team_id, OLD.issuer_id, OLD.renewal_policy_id, OLD.certificate_profile_id, OLD.tags))
    EXECUTE FUNCTION events_certificate_edited();
CREATE OR REPLACE TRIGGER events_agent_added AFTER INSERT ON agents FOR EACH ROW EXECUTE FUNCTION events_agent();
CREATE OR REPLACE TRIGGER events_agent_changed AFTER UPDATE OF status, retired_at ON agents FOR EACH ROW
    WHEN (NEW.status <> OLD.status OR (NEW.retired_at IS NULL) <> (OLD.retired_at IS NULL)) EXECUTE FUNCTION events_agent();
CREATE OR REPLACE TRIGGER events_deployment AFTER UPDATE OF deployed_version_id, deploy_failures ON certificate_target_mappings FOR EACH ROW
    WHEN (NEW.deployed_version_id IS DISTINCT FROM OLD.deployed_version_id AND NEW.deployed_version_id IS NOT NULL
        OR NEW.deploy_failures > OLD.deploy_failures) EXECUTE FUNCTION events_deployment();
CREATE OR REPLACE TRIGGER events_health_check_added AFTER INSERT OR DELETE ON endpoint_health_checks FOR EACH ROW
    EXECUTE FUNCTION events_health_check();
CREATE OR REPLACE TRIGGER events_health_check_changed AFTER UPDATE OF status ON endpoint_health_checks FOR EACH ROW
    WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION events_health_check();
CREATE OR REPLACE TRIGGER events_replacement_added AFTER INSERT OR DELETE ON replacements FOR EACH ROW EXECUTE FUNCTION events_replacement();
CREATE OR REPLACE TRIGGER events_replacement_changed AFTER UPDATE OF state, is_walked, moving, waiting, failed, issued, done, skipped, returned
    ON replacements FOR EACH ROW
    WHEN ((NEW.state, NEW.is_walked, NEW.moving, NEW.waiting, NEW.failed, NEW.issued, NEW.done, NEW.skipped, NEW.returned)
        <> (OLD.state, OLD.is_walked, OLD.moving, OLD.waiting, OLD.failed, OLD.issued, OLD.done, OLD.skipped, OLD.returned))
    EXECUTE FUNCTION events_replacement();
CREATE OR REPLACE TRIGGER events_duty AFTER UPDATE OF last_outcome ON duties FOR EACH ROW
    WHEN (NEW.is_asked AND NEW.last_outcome <> OLD.last_outcome) EXECUTE FUNCTION events_duty();
CREATE OR REPLACE TRIGGER events_access AFTER UPDATE OF key_hash, old_hash, old_until, expires_at, admin OR DELETE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION events_access();
DO $$ DECLARE v_table text; BEGIN
    FOREACH v_table IN ARRAY '{actor_roles,role_permissions,roles}'::text[] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER events_access AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH STATEMENT
            EXECUTE FUNCTION events_access()', v_table);
    END LOOP;
END $$;

-- --- when renewal falls due ---
CREATE OR REPLACE TRIGGER certificates_renew_after BEFORE INSERT ON managed_certificates FOR EACH ROW
    WHEN (NEW.expires_at IS NOT NULL AND NEW.renew_after IS NULL) EXECUTE FUNCTION certificates_renew_after();
CREATE OR REPLACE TRIGGER certificates_renew_after_moved BEFORE UPDATE OF renewal_policy_id, issuer_id ON managed_certificates
    FOR EACH ROW
    WHEN (NEW.expires_at IS NOT NULL AND (NEW.renewal_policy_id <> OLD.renewal_policy_id
        OR (NEW.issuer_id <> OLD.issuer_id AND NEW.renew_after IS NULL)))
    EXECUTE FUNCTION certificates_renew_after();
-- Who writes expiring_at itself is left alone.
CREATE OR REPLACE TRIGGER certificates_expiring_at BEFORE INSERT ON managed_certificates FOR EACH ROW
    WHEN (NEW.expires_at IS NOT NULL AND NEW.expiring_at IS NULL) EXECUTE FUNCTION certificates_expiring_at();
CREATE OR REPLACE TRIGGER certificates_expiring_at_moved BEFORE UPDATE OF renewal_policy_id, valid_from, expires_at ON managed_certificates
    FOR EACH ROW
    WHEN (NEW.expiring_at IS NOT DISTINCT FROM OLD.expiring_at AND (NEW.renewal_policy_id <> OLD.renewal_policy_id
        OR NEW.valid_from IS DISTINCT FROM OLD.valid_from OR NEW.expires_at IS DISTINCT FROM OLD.expires_at))
    EXECUTE FUNCTION certificates_expiring_at();
CREATE OR REPLACE TRIGGER certificates_renewal_floor BEFORE UPDATE OF last_renewal_at ON managed_certificates FOR EACH ROW
    WHEN (NEW.renew_after < NEW.last_renewal_at + policy_renewal_floor_below())
    EXECUTE FUNCTION certificates_renewal_floor();
CREATE OR REPLACE TRIGGER policies_changed AFTER UPDATE OF renewal_window_days, renewal_percent ON renewal_policies
    FOR EACH ROW
    WHEN (OLD.renewal_window_days <> NEW.renewal_window_days OR OLD.renewal_percent IS DISTINCT FROM NEW.renewal_percent)
    EXECUTE FUNCTION policies_changed();

-- --- rules ---
CREATE OR REPLACE TRIGGER rules_changed BEFORE UPDATE OF type, config, enabled, severity ON policy_rules FOR EACH ROW
    WHEN ((OLD.type, OLD.config, OLD.enabled, OLD.severity) IS DISTINCT FROM (NEW.type, NEW.config, NEW.enabled, NEW.severity))
    EXECUTE FUNCTION rules_changed();

-- --- lanes ---
CREATE OR REPLACE TRIGGER issuers_lane AFTER INSERT ON issuers FOR EACH ROW EXECUTE FUNCTION lanes_for_issuer();

-- --- what no event shows ---
-- Looked at are those alone that name one of these keys, or another in capitals, or that hold an object.
DO $$ BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER audit_events_redact BEFORE INSERT ON audit_events FOR EACH ROW '
        'WHEN (NEW.details ?| %L OR NEW.details::text ~ %L) EXECUTE FUNCTION audit_redact()',
        ARRAY(SELECT unnest(h.keys) FROM audit_hidden() AS h), '.[{]|[A-Z][^"]*": ');
END $$;

-- --- what nobody may change ---
-- A statement that names a partition meets the trigger of the rows only.
CREATE OR REPLACE TRIGGER audit_events_worm_trigger BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change('audit_events');
CREATE OR REPLACE TRIGGER audit_events_epoch BEFORE INSERT ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_epoch_is_newest();
CREATE OR REPLACE TRIGGER audit_events_worm_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change('audit_events');
CREATE OR REPLACE TRIGGER audit_attachments_worm BEFORE UPDATE OR TRUNCATE ON audit_attachments
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change('audit_attachments');
CREATE OR REPLACE TRIGGER audit_blocks_worm BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change('audit_blocks');
CREATE OR REPLACE TRIGGER audit_epochs_worm BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_epochs
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change('audit_epochs');
