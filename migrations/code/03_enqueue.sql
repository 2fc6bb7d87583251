-- From a wish to a job: issuances and renewals, the approval that some wait for, deployments.

-- One issuance or renewal job a certificate and key holder, unless one is under way.  The key holders of a certificate are
-- the agents of its targets; one without targets has none yet, and its job waits for a CSR all the same.  Where the profile
-- demands it the job waits for an approval first, and the request for it is made with the job.  Every path into issuance
-- comes here, for one certificate or a hundred thousand.  Says for every certificate asked for what became of it:
--   enqueued, in_progress, archived, revoked, expired (unless p_allow_expired),
--   issuer_disabled, held (somebody holds a row that its job would refer to).  Unknown ids give no row.
-- p_csr_pems, p_key_sha256s: for each of p_ids, the CSR of who asks for it and keeps its key itself, whatever its targets.
-- The caller has locked the certificates; where it writes one event of its own for all, p_is_audited is false.  Ids are
-- made from one reading of the clock: a reading a row cost as much as finding the row.  No function around this one may
-- force custom plans: the checks of the jobs' foreign keys would be planned anew for every row.
CREATE FUNCTION jobs_enqueue(p_ids text[], p_actor text, p_actor_type text, p_force bool, p_allow_expired bool, p_is_audited bool,
    p_csr_pems text[] DEFAULT NULL, p_key_sha256s text[] DEFAULT NULL)
RETURNS TABLE (certificate_id text, outcome text, job_id text, agent_id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_prefix text := 'job-' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '000-';
BEGIN
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT v.id, v.issuer_id, v.profile_id, v.type, v.status, v.max_attempts, v.verdict, v.verdict = 'enqueued' AS is_wanted
        FROM (SELECT c.id, c.issuer_id, c.certificate_profile_id AS profile_id,
                CASE WHEN c.expires_at IS NULL THEN 'Issuance' ELSE 'Renewal' END AS type,
                CASE WHEN pr.requires_approval THEN 'AwaitingApproval' WHEN p_csr_pems IS NULL THEN 'AwaitingCSR' ELSE 'Pending' END AS status,
                least(coalesce(p.max_retries, policy_retries()), policy_retries_most()) + 1 AS max_attempts,
                CASE WHEN c.status = 'Archived' THEN 'archived'
                    WHEN c.status = 'Revoked' THEN 'revoked'
                    WHEN c.status = 'Expired' AND NOT p_allow_expired THEN 'expired'
                    WHEN c.status = 'RenewalInProgress' AND NOT p_force THEN 'in_progress'
                    WHEN NOT i.enabled THEN 'issuer_disabled'
                    WHEN p_is_audited AND p_actor_type <> 'System' THEN 'enqueued' -- a person's call for one waits
                    WHEN NOT EXISTS (SELECT 1 FROM issuers h WHERE h.id = c.issuer_id FOR KEY SHARE SKIP LOCKED)
                        OR pr.requires_approval AND NOT EXISTS (SELECT 1 FROM certificate_profiles h WHERE h.id = pr.id FOR KEY SHARE SKIP LOCKED)
                        OR EXISTS (SELECT 1 FROM certificate_target_mappings m JOIN deployment_targets t ON t.id = m.target_id
                            WHERE m.certificate_id = c.id AND t.retired_at IS NULL AND t.enabled
                                AND NOT EXISTS (SELECT 1 FROM agents h WHERE h.id = t.agent_id FOR KEY SHARE SKIP LOCKED)) THEN 'held'
                    ELSE 'enqueued' END AS verdict FROM (SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id)) g
            JOIN managed_certificates c ON c.id = g.id JOIN issuers i ON i.id = c.issuer_id
            JOIN renewal_policies p ON p.id = c.renewal_policy_id
            LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id) v
    ), made AS (
        INSERT INTO jobs AS j (id, type, certificate_id, agent_id, status, max_attempts, scheduled_at, created_at,
            run_after, issuer_id, dedupe_key, requested_by)
        SELECT v_prefix || nextval('id_seq'), w.type, w.id, w.holder, w.status, w.max_attempts, v_now, v_now, v_now,
            w.issuer_id, 'issue:' || w.id || ':' || coalesce(w.holder, ''), p_actor
        FROM (SELECT DISTINCT a.id, t.agent_id AS holder, a.type, a.status, a.max_attempts, a.issuer_id
            FROM asked a LEFT JOIN (certificate_target_mappings m
                JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL AND t.enabled)
                ON m.certificate_id = a.id AND p_csr_pems IS NULL WHERE a.is_wanted ORDER BY a.id, t.agent_id) w
        ON CONFLICT (dedupe_key) WHERE job_is_active(status) DO NOTHING
        RETURNING j.id, j.certificate_id, j.agent_id, j.status
    ), requested AS (
        INSERT INTO issuance_approval_requests AS r (id, certificate_id, job_id, profile_id, requested_by, created_at, updated_at)
        SELECT 'ar-' || gen_random_uuid(), n.certificate_id, n.id, a.profile_id, p_actor, v_now, v_now
        FROM made n JOIN asked a ON a.id = n.certificate_id WHERE n.status = 'AwaitingApproval'
        RETURNING r.id, r.certificate_id, r.job_id
    ), brought AS (
        INSERT INTO certificate_requests (job_id, csr_pem, key_sha256)
        SELECT n.id, u.csr_pem, u.key_sha256 FROM unnest(p_ids, p_csr_pems, p_key_sha256s) AS u (id, csr_pem, key_sha256) JOIN made n ON n.certificate_id = u.id
        WHERE p_csr_pems IS NOT NULL
    ), marked AS (
        UPDATE managed_certificates c SET status = 'RenewalInProgress', updated_at = v_now
        FROM (SELECT DISTINCT n.certificate_id FROM made n ORDER BY n.certificate_id) n
        WHERE c.id = n.certificate_id AND c.status <> 'RenewalInProgress'
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, 'renewal_job_created', 'certificate', n.certificate_id,
            jsonb_build_object('job_id', n.id, 'agent_id', n.agent_id) FROM made n WHERE p_is_audited
        UNION ALL
        SELECT p_actor, p_actor_type, 'approval_requested', 'approval', r.id,
            jsonb_build_object('certificate_id', r.certificate_id, 'job_id', r.job_id) FROM requested r
    )
    SELECT a.id, CASE WHEN a.is_wanted AND n.id IS NULL THEN 'in_progress' ELSE a.verdict END, n.id, n.agent_id::text
    FROM asked a LEFT JOIN made n ON n.certificate_id = a.id ORDER BY a.id, n.id;
END $$;

-- For one certificate, by a person; one whose ACME client renews it is asked for, without a job (acme_renew_ask).  With
-- p_force an open job goes that waits for the CSR of somebody who won't send it: an
-- agent that is offline or retired, or that is no agent of the certificate's targets any more.  p_why is what it ends with.
-- Answers as jobs_enqueue and acme_renew_ask.
CREATE FUNCTION certificate_renew(p_id text, p_actor text, p_actor_type text, p_force bool, p_why text)
RETURNS TABLE (certificate_id text, outcome text, job_id text, agent_id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_holders text[]; v_alive text[]; v_ids text[];
BEGIN
    PERFORM 1 FROM managed_certificates c WHERE c.id = p_id FOR NO KEY UPDATE;
    RETURN QUERY SELECT e.certificate_id, e.outcome, NULL::text, NULL::text FROM acme_renew_ask(ARRAY[p_id], p_actor, p_actor_type, true) e;
    IF FOUND THEN RETURN; END IF;
    IF p_force THEN
        SELECT array_agg(a.id), array_agg(a.id) FILTER (WHERE a.status <> 'Offline' AND a.retired_at IS NULL)
            INTO v_holders, v_alive FROM certificate_target_mappings m
        JOIN deployment_targets t ON t.id = m.target_id AND t.enabled AND t.retired_at IS NULL
        JOIN agents a ON a.id = t.agent_id WHERE m.certificate_id = p_id;
        SELECT array_agg(l.id) INTO v_ids FROM (SELECT j.id FROM jobs j
            WHERE j.certificate_id = p_id AND job_issues(j.type) AND j.status = 'AwaitingCSR'
                AND v_holders IS NOT NULL AND j.agent_id = ANY (v_alive) IS NOT TRUE
                AND EXISTS (SELECT 1 FROM issuers i JOIN managed_certificates c ON c.issuer_id = i.id WHERE c.id = p_id AND i.enabled)
            ORDER BY j.id FOR NO KEY UPDATE) l;
        PERFORM jobs_finish(v_ids, 'Cancelled', p_why, p_actor, p_actor_type);
    END IF;
    RETURN QUERY SELECT e.certificate_id, e.outcome, e.job_id, e.agent_id
        FROM jobs_enqueue(ARRAY[p_id], p_actor, p_actor_type, p_force, v_ids IS NOT NULL, true) e;
END $$;

-- --- approval ---
-- A person's decision on a request, named by its id or by its job.  An approved job goes on (to its CSR, or to the queue
-- when it has one), a rejected one is Cancelled.  Nobody decides what they asked for, by the request or by what they made the
-- certificate to be before somebody else, as the scan, asked for it; nor by the key of one who did, or for one whose key
-- they have (one); nor for a certificate of their own.
-- p_why is what a rejected job ends with.  Outcomes: approved, rejected, unknown, decided, self, one, owner, not_waiting;
-- state and job_status are what they were before.
CREATE FUNCTION approval_decide(p_id text, p_job text, p_actor text, p_actor_type text, p_approve bool, p_note text, p_why text,
    OUT outcome text, OUT id text, OUT state text, OUT job_status text, OUT agent_id text, OUT issuer_id text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_note text := nullif(p_note, ''); v_request record; v_job record;
BEGIN
    SELECT r.id, r.job_id INTO v_request FROM issuance_approval_requests r
        WHERE r.approval_kind = 'cert_issuance' AND (r.id = p_id OR (p_id IS NULL AND r.job_id = p_job))
        ORDER BY r.created_at DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT j.status INTO job_status FROM jobs j WHERE j.id = p_job AND p_id IS NULL;
        outcome := CASE WHEN FOUND THEN 'not_waiting' ELSE 'unknown' END;
        RETURN;
    END IF;
    PERFORM jobs_lock(ARRAY[v_request.job_id]);
    SELECT r.* INTO v_request FROM issuance_approval_requests r WHERE r.id = v_request.id FOR NO KEY UPDATE;
    SELECT j.id, j.status, j.agent_id, j.issuer_id, o.name, o.email, c.ordered_by,
            EXISTS (SELECT 1 FROM certificate_requests q WHERE q.job_id = j.id) AS has_csr INTO v_job
        FROM jobs j LEFT JOIN managed_certificates c ON c.id = j.certificate_id LEFT JOIN owners o ON o.id = c.owner_id
        WHERE j.id = v_request.job_id;
    outcome := CASE
        WHEN v_request.state <> 'pending' THEN 'decided'
        WHEN v_job.status <> 'AwaitingApproval' THEN 'not_waiting'
        WHEN p_actor IN (v_request.requested_by, v_job.ordered_by) THEN 'self'
        WHEN lower(p_actor) IN (lower(v_job.name), lower(v_job.email)) THEN 'owner'
        WHEN EXISTS (SELECT 1 FROM unnest(ARRAY[v_request.requested_by, v_job.ordered_by, lower(v_job.name), lower(v_job.email)]) AS w (who)
            WHERE actors_are_one(p_actor, w.who)) THEN 'one'
        WHEN p_approve THEN 'approved'
        ELSE 'rejected' END;
    IF outcome IN ('approved', 'rejected') THEN
        UPDATE issuance_approval_requests r SET state = outcome, decided_by = p_actor, decided_at = v_now, updated_at = v_now,
            decision_note = v_note WHERE r.id = v_request.id;
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
            VALUES (p_actor, p_actor_type, 'approval_' || outcome, 'approval', v_request.id, jsonb_strip_nulls(jsonb_build_object(
                'certificate_id', v_request.certificate_id, 'job_id', v_request.job_id,
                'requested_by', v_request.requested_by, 'note', v_note)));
    END IF;
    IF outcome = 'approved' THEN
        -- The wait for the CSR begins now, by run_after.
        UPDATE jobs j SET status = CASE WHEN v_job.has_csr THEN 'Pending' ELSE 'AwaitingCSR' END, run_after = v_now
            WHERE j.id = v_job.id;
    ELSIF outcome = 'rejected' THEN
        PERFORM job_finish(ARRAY[v_job.id], '{Cancelled}', ARRAY[p_why], p_actor, p_actor_type);
        -- The scan does not ask again at once.
        UPDATE managed_certificates c SET renew_after = greatest(c.renew_after, v_now + policy_approval_rejected())
            WHERE c.id = v_request.certificate_id AND c.renew_after IS NOT NULL;
    END IF;
    id := v_request.id; state := v_request.state; job_status := v_job.status;
    agent_id := CASE WHEN outcome = 'approved' AND NOT v_job.has_csr THEN v_job.agent_id END;
    issuer_id := CASE WHEN outcome = 'approved' AND v_job.has_csr THEN v_job.issuer_id END;
END $$;

-- Nobody is asked any more about these jobs: for p_reason, or as they have ended, each with its own.
CREATE FUNCTION approvals_expire(p_job_ids text[], p_reason text, p_actor text DEFAULT NULL, p_actor_type text DEFAULT NULL)
RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH over AS (
        UPDATE issuance_approval_requests r SET state = 'expired', decided_by = 'system', decided_at = n.at, updated_at = n.at,
            decision_note = CASE WHEN p_reason IS NULL THEN j.last_error ELSE r.decision_note END
        FROM jobs j, (SELECT engine_now() AS at) n WHERE r.job_id = ANY (p_job_ids) AND r.state = 'pending' AND j.id = r.job_id
        RETURNING r.id, r.certificate_id, r.job_id, coalesce(p_reason, j.last_error) AS reason
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT coalesce(p_actor, 'system'), coalesce(p_actor_type, 'System'), 'approval_expired', 'approval', o.id, jsonb_strip_nulls(jsonb_build_object(
        'certificate_id', o.certificate_id, 'job_id', o.job_id, 'reason', o.reason)) FROM over o
$$;

-- --- deployments ---
-- Deployments for mappings whose target should serve another version than it does.  A waiting deployment is moved on to the
-- newest version instead.  One whose agent or target somebody holds is left to duty_redeploy.
CREATE FUNCTION deployments_fan_out(p_certificate_ids text[], p_now timestamptz) RETURNS TABLE (job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    INSERT INTO jobs AS j (id, type, certificate_id, target_id, agent_id, status, max_attempts, scheduled_at, created_at,
        run_after, dedupe_key, version_id)
    SELECT id_new('job'), 'Deployment', m.certificate_id, m.target_id, t.agent_id, 'Pending', 1, p_now, p_now,
        p_now, 'deploy:' || m.certificate_id || ':' || m.target_id, m.desired_version_id
    FROM certificate_target_mappings m
    JOIN deployment_targets t ON t.id = m.target_id AND t.enabled AND t.retired_at IS NULL
    WHERE m.certificate_id = ANY (p_certificate_ids)
        -- Looked up, for a join may begin with all agents.
        AND (SELECT a.retired_at IS NULL FROM agents a WHERE a.id = t.agent_id FOR KEY SHARE SKIP LOCKED)
        AND m.desired_version_id IS DISTINCT FROM m.deployed_version_id AND m.desired_version_id IS NOT NULL
        AND m.deploy_after <= p_now ORDER BY m.certificate_id, m.target_id FOR KEY SHARE OF t SKIP LOCKED
    ON CONFLICT (dedupe_key) WHERE job_is_active(status) DO UPDATE SET version_id = excluded.version_id
        WHERE j.status = 'Pending' AND j.version_id IS DISTINCT FROM excluded.version_id RETURNING j.id, j.agent_id;
END $$;
