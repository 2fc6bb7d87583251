CREATE OR REPLACE FUNCTION certificates_revoke(p_ids text[], p_reason text, p_actor text, p_actor_type text)
RETURNS TABLE (certificate_id text, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
    v_jobs text[];
BEGIN
    -- What is final needs no lock: it stays so.
    SELECT array_agg(l.id) INTO v_ids FROM (SELECT c.id FROM managed_certificates c
        WHERE c.id = ANY (p_ids) AND c.status NOT IN ('Revoked', 'Archived') ORDER BY c.id FOR NO KEY UPDATE) l;
    PERFORM 1 FROM jobs j WHERE j.certificate_id = ANY (v_ids)
        AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running') ORDER BY j.id FOR NO KEY UPDATE;
    SELECT array_agg(c.id) INTO v_ids FROM managed_certificates c WHERE c.id = ANY (v_ids)
        AND (EXISTS (SELECT 1 FROM certificate_versions v WHERE v.certificate_id = c.id)
            OR EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = c.id AND j.type IN ('Issuance', 'Renewal')
                AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running')));

    UPDATE managed_certificates c SET status = 'Revoked', revoked_at = v_now, revocation_reason = p_reason, updated_at = v_now
        WHERE c.id = ANY (v_ids);
    WITH listed AS (
        INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, revoked_at, issuer_id)
        SELECT id_new('rev'), v.certificate_id, v.serial_number, p_reason, p_actor, v_now, v.issuer_id
        FROM certificate_versions v
        WHERE v.certificate_id = ANY (v_ids) AND v.not_after > v_now
        ON CONFLICT DO NOTHING
        RETURNING certificate_id, serial_number
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT p_actor, p_actor_type, 'certificate_revoked', 'certificate', r.id,
        jsonb_build_object('reason', p_reason, 'serial_numbers', coalesce(l.serials, '[]'))
    FROM unnest(v_ids) AS r (id)
    LEFT JOIN (SELECT n.certificate_id, jsonb_agg(n.serial_number) AS serials FROM listed n GROUP BY 1) l ON l.certificate_id = r.id
    ORDER BY r.id;

    SELECT array_agg(j.id ORDER BY j.id) INTO v_jobs FROM jobs j
        WHERE j.certificate_id = ANY (v_ids) AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval');
    IF v_jobs IS NOT NULL THEN
        PERFORM job_finish(v_jobs, array_fill('Cancelled'::text, ARRAY[cardinality(v_jobs)]),
            array_fill('certificate revoked by ' || p_actor, ARRAY[cardinality(v_jobs)]));
    END IF;
    UPDATE jobs j SET cancel_requested_at = v_now
        WHERE j.certificate_id = ANY (v_ids) AND j.status = 'Running' AND j.type IN ('Issuance', 'Renewal')
            AND j.cancel_requested_at IS NULL;
    UPDATE certificate_target_mappings m SET desired_version_id = m.deployed_version_id
        WHERE m.certificate_id = ANY (v_ids) AND m.desired_version_id IS DISTINCT FROM m.deployed_version_id
            -- What an agent is installing will be what the target has.
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.status = 'Running'
                AND j.dedupe_key = 'deploy:' || m.certificate_id || ':' || m.target_id);

    RETURN QUERY SELECT c.id, CASE WHEN c.id = ANY (v_ids) THEN 'revoked' WHEN c.status = 'Revoked' THEN 'already_revoked'
            WHEN c.status = 'Archived' THEN 'archived' ELSE 'no_version' END
        FROM managed_certificates c WHERE c.id = ANY (p_ids) ORDER BY c.id;
END $$;
DROP FUNCTION renewals_due(timestamptz, int);
CREATE FUNCTION renewals_due(p_now timestamptz, p_limit int) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_sort = off AS $$
    SELECT array_agg(d.id) FROM (
        SELECT c.id FROM managed_certificates c
        WHERE c.renew_after <= p_now AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed')
        ORDER BY c.renew_after LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED) d
$$;
CREATE OR REPLACE FUNCTION duty_renewal_scan(p_limit int)
RETURNS TABLE (due bigint, enqueued bigint, agents text[], seen bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_seen text[];
    v_ids text[];
    v_aside text[];
BEGIN
    v_seen := renewals_due(v_now, p_limit);
    IF v_seen IS NULL THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint, '{}'::text[], 0::bigint;
        RETURN;
    END IF;
    SELECT array_agg(c.id) INTO v_ids FROM managed_certificates c
    JOIN renewal_policies p ON p.id = c.renewal_policy_id AND p.auto_renew
    JOIN issuers i ON i.id = c.issuer_id AND i.enabled
    WHERE c.id = ANY (v_seen);
    -- Policy and issuer stay as they are until this commits, so that whoever
    -- switches them on sees what was set aside.  One that is being changed now
    -- is not waited for.
    IF coalesce(cardinality(v_ids), 0) < cardinality(v_seen) THEN
        SELECT array_agg(a.id) INTO v_aside FROM (SELECT c.id FROM managed_certificates c
            JOIN renewal_policies p ON p.id = c.renewal_policy_id
            JOIN issuers i ON i.id = c.issuer_id
            WHERE c.id = ANY (v_seen) AND NOT (p.auto_renew AND i.enabled)
            FOR SHARE OF p, i SKIP LOCKED) a;
        UPDATE managed_certificates c SET renew_after = NULL WHERE c.id = ANY (v_aside);
    END IF;
    RETURN QUERY SELECT coalesce(cardinality(v_ids), 0)::bigint, count(e.job_id),
        coalesce(array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL), '{}'),
        cardinality(v_seen)::bigint
    FROM jobs_enqueue_issue(coalesce(v_ids, '{}'), 'system', false, true) e;
    -- One whose status was written by hand while a job is under way.
    PERFORM certificates_refresh(array_agg(c.id)) FROM managed_certificates c
        WHERE c.id = ANY (v_ids) AND c.status <> 'RenewalInProgress' HAVING count(*) > 0;
    -- What could not be enqueued for any other reason is looked at again when
    -- a failed renewal would be.
    UPDATE managed_certificates c SET renew_after = v_now + make_interval(secs => greatest(p.retry_interval_seconds, 60))
    FROM renewal_policies p
    WHERE c.id = ANY (v_seen) AND c.renew_after <= v_now AND p.id = c.renewal_policy_id
        AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed');
END $$;
DROP FUNCTION jobs_enqueue(text[], text, text, bool, bool, bool, bool);
CREATE FUNCTION jobs_enqueue(p_ids text[], p_actor text, p_actor_type text, p_force bool, p_allow_expired bool, p_is_audited bool)
RETURNS TABLE (certificate_id text, outcome text, job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_prefix text := 'job-' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '000-';
BEGIN
    PERFORM 1 FROM unnest(p_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id ORDER BY c.id FOR NO KEY UPDATE OF c;
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT v.id, v.issuer_id, v.profile_id, v.type, v.status, v.max_attempts, v.verdict, v.verdict = 'enqueued' AS is_wanted
        FROM (SELECT c.id, c.issuer_id, c.certificate_profile_id AS profile_id,
                CASE WHEN c.expires_at IS NULL THEN 'Issuance' ELSE 'Renewal' END AS type,
                CASE WHEN pr.requires_approval THEN 'AwaitingApproval' ELSE 'AwaitingCSR' END AS status,
                least(coalesce(p.max_retries, 3), 10) + 1 AS max_attempts,
                CASE WHEN c.status = 'Archived' THEN 'archived'
                    WHEN c.status = 'Revoked' THEN 'revoked'
                    WHEN c.status = 'Expired' AND NOT p_allow_expired THEN 'expired'
                    WHEN c.status = 'RenewalInProgress' AND NOT p_force THEN 'in_progress'
                    WHEN NOT i.enabled THEN 'issuer_disabled'
                    ELSE 'enqueued' END AS verdict
            FROM (SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id)) g
            JOIN managed_certificates c ON c.id = g.id
            JOIN issuers i ON i.id = c.issuer_id
            JOIN renewal_policies p ON p.id = c.renewal_policy_id
            LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id) v
    ), made AS (
        INSERT INTO jobs (id, type, certificate_id, agent_id, status, max_attempts, scheduled_at, created_at,
            run_after, issuer_id, dedupe_key, requested_by)
        SELECT v_prefix || nextval('id_seq'), w.type, w.id, w.holder, w.status, w.max_attempts, v_now, v_now, v_now,
            w.issuer_id, 'issue:' || w.id || ':' || coalesce(w.holder, ''), p_actor
        FROM (SELECT DISTINCT a.id, t.agent_id AS holder, a.type, a.status, a.max_attempts, a.issuer_id
            FROM asked a
            LEFT JOIN (certificate_target_mappings m
                JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL AND t.enabled)
                ON m.certificate_id = a.id
            WHERE a.is_wanted
            ORDER BY a.id, t.agent_id) w
        ON CONFLICT (dedupe_key) WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval') DO NOTHING
        RETURNING id, certificate_id, agent_id, status
    ), requested AS (
        INSERT INTO issuance_approval_requests (id, certificate_id, job_id, profile_id, requested_by, created_at, updated_at)
        SELECT 'ar-' || gen_random_uuid(), n.certificate_id, n.id, a.profile_id, p_actor, v_now, v_now
        FROM made n JOIN asked a ON a.id = n.certificate_id
        WHERE n.status = 'AwaitingApproval'
        RETURNING id, certificate_id, job_id
    ), marked AS (
        UPDATE managed_certificates c SET status = 'RenewalInProgress', updated_at = v_now
        FROM (SELECT DISTINCT n.certificate_id FROM made n) n
        WHERE c.id = n.certificate_id AND c.status <> 'RenewalInProgress'
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, 'renewal_job_created', 'certificate', n.certificate_id,
            jsonb_build_object('job_id', n.id, 'agent_id', n.agent_id)
        FROM made n WHERE p_is_audited
        UNION ALL
        SELECT p_actor, p_actor_type, 'approval_requested', 'approval', r.id,
            jsonb_build_object('certificate_id', r.certificate_id, 'job_id', r.job_id)
        FROM requested r
    )
    SELECT a.id, CASE WHEN a.is_wanted AND n.id IS NULL THEN 'in_progress' ELSE a.verdict END, n.id, n.agent_id::text
    FROM asked a LEFT JOIN made n ON n.certificate_id = a.id
    ORDER BY a.id, n.id;
END $$;
REVOKE ALL ON FUNCTION renewals_due(timestamptz, int), jobs_enqueue(text[], text, text, bool, bool, bool) FROM PUBLIC;
ALTER TABLE managed_certificates DROP CONSTRAINT managed_certificates_id_check,
    ADD CONSTRAINT managed_certificates_id_check CHECK (id ~ '^[A-Za-z0-9._-]{1,128}$' AND id NOT IN ('.', '..'));
