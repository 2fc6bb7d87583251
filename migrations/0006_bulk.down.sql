DROP FUNCTION bulk_run(text, jsonb, text[], jsonb, text, text, bool, text, text),
    certificates_bulk_renew(jsonb, text[], text, text, bool),
    certificates_bulk_revoke(jsonb, text[], text, text, text, bool),
    certificates_bulk_reassign(text[], text, text, text, text, bool),
    certificates_matching(jsonb, text[]), certificates_revoke(text[], text, text, text),
    bulk_audit(text, text, text, jsonb, text), bulk_answer(text, bigint, bigint, bigint, text, text);
CREATE OR REPLACE FUNCTION jobs_enqueue_issue(p_ids text[], p_requested_by text, p_force bool, p_allow_expired bool)
RETURNS TABLE (certificate_id text, outcome text, job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
BEGIN
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (p_ids) ORDER BY c.id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT c.id, c.issuer_id, c.expires_at, c.certificate_profile_id AS profile_id,
            coalesce(pr.requires_approval, false) AS needs_approval,
            least(coalesce(p.max_retries, 3), 10) + 1 AS max_attempts,
            CASE WHEN c.status = 'Archived' THEN 'archived'
                WHEN c.status = 'Revoked' THEN 'revoked'
                WHEN c.status = 'Expired' AND NOT p_allow_expired THEN 'expired'
                WHEN c.status = 'RenewalInProgress' AND NOT p_force THEN 'in_progress'
                WHEN NOT i.enabled THEN 'issuer_disabled'
                ELSE 'enqueued' END AS verdict
        FROM managed_certificates c
        JOIN issuers i ON i.id = c.issuer_id
        JOIN renewal_policies p ON p.id = c.renewal_policy_id
        LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id
        WHERE c.id = ANY (p_ids)
    ), holders AS (
        SELECT DISTINCT a.id, t.agent_id AS holder
        FROM asked a
        LEFT JOIN (certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL AND t.enabled)
            ON m.certificate_id = a.id
        WHERE a.verdict = 'enqueued'
    ), made AS (
        INSERT INTO jobs (id, type, certificate_id, agent_id, status, max_attempts, scheduled_at, created_at,
            run_after, issuer_id, dedupe_key, requested_by)
        SELECT id_new('job'), CASE WHEN a.expires_at IS NULL THEN 'Issuance' ELSE 'Renewal' END, a.id, h.holder,
            CASE WHEN a.needs_approval THEN 'AwaitingApproval' ELSE 'AwaitingCSR' END,
            a.max_attempts, v_now, v_now, v_now, a.issuer_id,
            'issue:' || a.id || ':' || coalesce(h.holder, ''), p_requested_by
        FROM asked a JOIN holders h ON h.id = a.id
        -- A certificate whose holders lost all their targets still has a row
        -- with no holder; one with holders has none.
        WHERE h.holder IS NOT NULL OR NOT EXISTS (SELECT 1 FROM holders o WHERE o.id = a.id AND o.holder IS NOT NULL)
        ORDER BY a.id, h.holder
        ON CONFLICT (dedupe_key) WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval') DO NOTHING
        RETURNING id, certificate_id, agent_id, status
    ), requested AS (
        INSERT INTO issuance_approval_requests (id, certificate_id, job_id, profile_id, requested_by, created_at, updated_at)
        SELECT 'ar-' || gen_random_uuid(), made.certificate_id, made.id, a.profile_id, p_requested_by, v_now, v_now
        FROM made JOIN asked a ON a.id = made.certificate_id
        WHERE made.status = 'AwaitingApproval'
        RETURNING id, certificate_id, job_id
    ), marked AS (
        UPDATE managed_certificates c SET status = 'RenewalInProgress', updated_at = v_now
        WHERE c.id IN (SELECT made.certificate_id FROM made) AND c.status <> 'RenewalInProgress'
        RETURNING c.id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_requested_by, CASE WHEN p_requested_by = 'system' THEN 'System' ELSE 'APIKey' END,
            'renewal_job_created', 'certificate', made.certificate_id,
            jsonb_build_object('job_id', made.id, 'agent_id', made.agent_id)
        FROM made
        UNION ALL
        SELECT p_requested_by, CASE WHEN p_requested_by = 'system' THEN 'System' ELSE 'APIKey' END,
            'approval_requested', 'approval', r.id, jsonb_build_object('certificate_id', r.certificate_id, 'job_id', r.job_id)
        FROM requested r
        RETURNING 1
    )
    SELECT a.id, CASE WHEN a.verdict = 'enqueued' AND made.id IS NULL THEN 'in_progress' ELSE a.verdict END,
        made.id, made.agent_id::text
    FROM asked a LEFT JOIN made ON made.certificate_id = a.id
    WHERE (SELECT count(*) FROM marked) >= 0 AND (SELECT count(*) FROM audited) >= 0
    ORDER BY a.id, made.id;
END $$;
DROP FUNCTION jobs_enqueue(text[], text, text, bool, bool, bool);
DROP TABLE idempotency_keys, audit_attachments;
DROP FUNCTION audit_attachments_refuse_change();
