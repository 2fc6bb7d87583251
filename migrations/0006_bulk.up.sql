-- Bulk renewal, revocation and reassignment: each one statement that decides,
-- writes, audits and answers, for any number of certificates.

-- What an event lists and is too long for the event.  The event names the
-- SHA-256 of the content, so whatever seals the event seals the list.
CREATE TABLE audit_attachments (
    id text PRIMARY KEY DEFAULT id_new('att'),
    sha256 text NOT NULL, -- of the content's UTF-8, lower-case hex
    content text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Removal is left to retention, which runs as the owner; nobody else may.
CREATE FUNCTION audit_attachments_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_attachments do not change' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_attachments_worm BEFORE UPDATE ON audit_attachments
    FOR EACH ROW EXECUTE FUNCTION audit_attachments_refuse_change();
CREATE TRIGGER audit_attachments_worm_truncate BEFORE TRUNCATE ON audit_attachments
    FOR EACH STATEMENT EXECUTE FUNCTION audit_attachments_refuse_change();

-- Answers to requests that carried an Idempotency-Key, written with their
-- effect.
CREATE TABLE idempotency_keys (
    principal text NOT NULL, -- actor type and id
    key text NOT NULL,
    route text NOT NULL,
    request_sha256 text NOT NULL,
    status int NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- --- making jobs ---

-- The one way to issuance and renewal jobs, for one certificate or a hundred
-- thousand: see jobs_enqueue_issue.  Where the caller writes one event of its
-- own for all of them, p_is_audited is false.  Ids are made from one reading
-- of the clock: a reading a row cost as much as finding the row.  No function
-- around this one may set plan_cache_mode: the checks of the jobs' foreign keys
-- would be planned anew for every row.
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

CREATE OR REPLACE FUNCTION jobs_enqueue_issue(p_ids text[], p_requested_by text, p_force bool, p_allow_expired bool)
RETURNS TABLE (certificate_id text, outcome text, job_id text, agent_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT e.certificate_id, e.outcome, e.job_id, e.agent_id FROM jobs_enqueue(p_ids, p_requested_by,
        CASE WHEN p_requested_by = 'system' THEN 'System' ELSE 'APIKey' END, p_force, p_allow_expired, true) AS e
$$;

-- --- revoking ---

-- Revokes these certificates: status, every unexpired version's serial, jobs
-- that wait are cancelled, those that a worker runs are asked to stop (what
-- one still completes is stored and its serial revoked by issue_complete), and
-- no target wants a version any more that it neither has nor is getting.
-- Outcomes:
-- revoked, already_revoked, archived, no_version (none yet, and no job that
-- could make one).  Unknown ids give no row.
CREATE FUNCTION certificates_revoke(p_ids text[], p_reason text, p_actor text, p_actor_type text)
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

-- --- bulk ---

-- The certificates that meet all criteria given (profile_id, owner_id,
-- agent_id, issuer_id, team_id, source), among p_ids unless that is NULL.
CREATE FUNCTION certificates_matching(p_criteria jsonb, p_ids text[]) RETURNS TABLE (id text, status text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    v_profile text := p_criteria ->> 'profile_id';
    v_owner text := p_criteria ->> 'owner_id';
    v_agent text := p_criteria ->> 'agent_id';
    v_issuer text := p_criteria ->> 'issuer_id';
    v_team text := p_criteria ->> 'team_id';
    v_source text := p_criteria ->> 'source';
BEGIN
    RETURN QUERY SELECT c.id, c.status::text FROM managed_certificates c
    WHERE (p_ids IS NULL OR c.id = ANY (p_ids))
        AND (v_profile IS NULL OR c.certificate_profile_id = v_profile)
        AND (v_owner IS NULL OR c.owner_id = v_owner)
        AND (v_issuer IS NULL OR c.issuer_id = v_issuer)
        AND (v_team IS NULL OR c.team_id = v_team)
        AND (v_source IS NULL OR c.source = v_source)
        AND (v_agent IS NULL OR c.id IN (SELECT m.certificate_id FROM certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id WHERE t.agent_id = v_agent));
END $$;

-- The summary event of a bulk call; what it lists lies beside it.
CREATE FUNCTION bulk_audit(p_action text, p_actor text, p_actor_type text, p_details jsonb, p_list text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_attachment jsonb;
BEGIN
    IF p_list <> '' THEN
        INSERT INTO audit_attachments (sha256, content)
            VALUES (encode(sha256(convert_to(p_list, 'UTF8')), 'hex'), p_list)
            RETURNING jsonb_build_object('attachment_id', id, 'attachment_sha256', sha256) INTO v_attachment;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, p_actor_type, p_action, 'certificate', 'bulk', p_details || coalesce(v_attachment, '{}'));
END $$;

-- The members of an answer; lists are left out when empty.
CREATE FUNCTION bulk_answer(p_success text, p_matched bigint, p_done bigint, p_failed bigint, p_jobs text, p_errors text)
RETURNS text LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT '{"total_matched":' || p_matched || ',"' || p_success || '":' || p_done
        || ',"total_skipped":' || greatest(p_matched - p_done - p_failed, 0) || ',"total_failed":' || p_failed
        || coalesce(',"enqueued_jobs":[' || nullif(p_jobs, '') || ']', '')
        || coalesce(',"errors":[' || nullif(p_errors, '') || ']', '') || '}'
$$;

-- p_agents: the agents that have a CSR to make, at most a hundred (NULL: so
-- many that they find it at their next look).
CREATE FUNCTION certificates_bulk_renew(p_criteria jsonb, p_ids text[], p_actor text, p_actor_type text, p_is_dry bool)
RETURNS TABLE (body text, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_matched bigint;
    v_ids text[];
    v_done bigint;
    v_failed bigint;
    v_jobs text;
    v_errors text;
    v_agents text[];
BEGIN
    -- Filtered before anything is locked, and what is to be skipped is not
    -- locked at all.
    SELECT count(*), array_agg(m.id ORDER BY m.id)
            FILTER (WHERE m.status NOT IN ('Archived', 'Revoked', 'Expired', 'RenewalInProgress'))
        INTO v_matched, v_ids FROM certificates_matching(p_criteria, p_ids) m;
    IF p_is_dry THEN
        SELECT count(*) FILTER (WHERE i.enabled), count(*) FILTER (WHERE NOT i.enabled) INTO v_done, v_failed
        FROM managed_certificates c JOIN issuers i ON i.id = c.issuer_id WHERE c.id = ANY (v_ids);
        RETURN QUERY SELECT bulk_answer('total_enqueued', v_matched, v_done, v_failed, '', ''), '{}'::text[];
        RETURN;
    END IF;
    -- Ids hold no character that JSON would escape.
    SELECT count(DISTINCT e.certificate_id) FILTER (WHERE e.job_id IS NOT NULL),
            count(*) FILTER (WHERE e.outcome = 'issuer_disabled'),
            string_agg('{"certificate_id":"' || e.certificate_id || '","job_id":"' || e.job_id || '"}', ',')
                FILTER (WHERE e.job_id IS NOT NULL),
            string_agg('{"certificate_id":"' || e.certificate_id || '","error":"the certificate''s issuer is disabled"}', ',')
                FILTER (WHERE e.outcome = 'issuer_disabled'),
            array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL)
        INTO v_done, v_failed, v_jobs, v_errors, v_agents
    FROM jobs_enqueue(v_ids, p_actor, p_actor_type, false, false, false) e;
    PERFORM bulk_audit('bulk_renewal_initiated', p_actor, p_actor_type, jsonb_build_object('criteria', p_criteria,
        'certificate_ids_given', cardinality(p_ids), 'total_matched', v_matched, 'total_enqueued', v_done,
        'total_skipped', v_matched - v_done - v_failed, 'total_failed', v_failed), '[' || nullif(v_jobs, '') || ']');
    RETURN QUERY SELECT bulk_answer('total_enqueued', v_matched, v_done, v_failed, v_jobs, v_errors),
        CASE WHEN cardinality(v_agents) <= 100 THEN v_agents END;
END $$;

CREATE FUNCTION certificates_bulk_revoke(p_criteria jsonb, p_ids text[], p_reason text, p_actor text, p_actor_type text, p_is_dry bool)
RETURNS TABLE (body text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_matched bigint;
    v_ids text[];
    v_done bigint;
    v_failed bigint;
    v_errors text;
BEGIN
    SELECT count(*), array_agg(m.id ORDER BY m.id) FILTER (WHERE m.status NOT IN ('Archived', 'Revoked'))
        INTO v_matched, v_ids FROM certificates_matching(p_criteria, p_ids) m;
    IF p_is_dry THEN
        SELECT count(*) FILTER (WHERE s.can), count(*) FILTER (WHERE NOT s.can) INTO v_done, v_failed
        FROM (SELECT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.certificate_id = r.id)
                OR EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = r.id AND j.type IN ('Issuance', 'Renewal')
                    AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running')) AS can
            FROM unnest(v_ids) AS r (id)) s;
        RETURN QUERY SELECT bulk_answer('total_revoked', v_matched, v_done, v_failed, '', '');
        RETURN;
    END IF;
    SELECT count(*) FILTER (WHERE e.outcome = 'revoked'), count(*) FILTER (WHERE e.outcome = 'no_version'),
            string_agg('{"certificate_id":"' || e.certificate_id || '","error":"the certificate has no version to revoke"}', ',')
                FILTER (WHERE e.outcome = 'no_version')
        INTO v_done, v_failed, v_errors
    FROM certificates_revoke(v_ids, p_reason, p_actor, p_actor_type) e;
    -- Each revocation has an event of its own, under its certificate.
    PERFORM bulk_audit('bulk_revocation_initiated', p_actor, p_actor_type, jsonb_build_object('criteria', p_criteria,
        'reason', p_reason, 'certificate_ids_given', cardinality(p_ids), 'total_matched', v_matched, 'total_revoked', v_done,
        'total_skipped', v_matched - v_done - v_failed, 'total_failed', v_failed), NULL);
    RETURN QUERY SELECT bulk_answer('total_revoked', v_matched, v_done, v_failed, '', v_errors);
END $$;

-- outcome: done, or owner or team: there is no such one.
CREATE FUNCTION certificates_bulk_reassign(p_ids text[], p_owner text, p_team text, p_actor text, p_actor_type text, p_is_dry bool)
RETURNS TABLE (outcome text, body text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_matched bigint;
    v_ids text[];
    v_failed bigint;
    v_errors text;
    v_done bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM owners o WHERE o.id = p_owner) THEN
        RETURN QUERY SELECT 'owner', NULL::text;
        RETURN;
    ELSIF p_team IS NOT NULL AND NOT EXISTS (SELECT 1 FROM teams t WHERE t.id = p_team) THEN
        RETURN QUERY SELECT 'team', NULL::text;
        RETURN;
    END IF;
    SELECT count(*), count(*) FILTER (WHERE c.id IS NULL),
            string_agg('{"certificate_id":' || to_json(g.id) || ',"error":"certificate not found"}', ',' ORDER BY g.id)
                FILTER (WHERE c.id IS NULL),
            array_agg(c.id ORDER BY c.id) FILTER (WHERE c.owner_id <> p_owner OR c.team_id <> coalesce(p_team, c.team_id))
        INTO v_matched, v_failed, v_errors, v_ids
    FROM (SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id)) g LEFT JOIN managed_certificates c ON c.id = g.id;
    IF p_is_dry THEN
        RETURN QUERY SELECT 'done', bulk_answer('total_reassigned', v_matched, coalesce(cardinality(v_ids), 0), v_failed, '', v_errors);
        RETURN;
    END IF;
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (v_ids) ORDER BY c.id FOR NO KEY UPDATE;
    WITH moved AS (
        UPDATE managed_certificates c SET owner_id = p_owner, team_id = coalesce(p_team, c.team_id), updated_at = engine_now()
        WHERE c.id = ANY (v_ids) AND (c.owner_id <> p_owner OR c.team_id <> coalesce(p_team, c.team_id))
        RETURNING c.id
    )
    SELECT array_agg(m.id ORDER BY m.id), count(*) INTO v_ids, v_done FROM moved m;
    PERFORM bulk_audit('bulk_reassignment_initiated', p_actor, p_actor_type, jsonb_build_object('owner_id', p_owner,
        'team_id', p_team, 'certificate_ids_given', cardinality(p_ids), 'total_matched', v_matched, 'total_reassigned', v_done,
        'total_skipped', v_matched - v_done - v_failed, 'total_failed', v_failed), array_to_string(v_ids, ','));
    RETURN QUERY SELECT 'done', bulk_answer('total_reassigned', v_matched, v_done, v_failed, '', v_errors);
END $$;

-- One bulk request, start to end: what its Idempotency-Key says, the effect,
-- and the answer kept for the next time, in one transaction.  Outcomes: done
-- (body is the answer), in_flight (the same key's first request has not
-- ended), other_request (the key was used for something else), owner and team
-- (there is no such one).  An answer that would be too large for the API's
-- memory undoes all.
CREATE FUNCTION bulk_run(p_kind text, p_criteria jsonb, p_ids text[], p_wanted jsonb, p_actor text, p_actor_type text,
    p_is_dry bool, p_key text, p_request_sha256 text)
RETURNS TABLE (outcome text, body text, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_principal text := p_actor_type || ' ' || p_actor;
    v_kept record;
    v_outcome text := 'done';
    v_body text;
    v_agents text[];
BEGIN
    IF p_key IS NOT NULL AND NOT p_is_dry THEN
        IF NOT pg_try_advisory_xact_lock(hashtextextended(v_principal || ' ' || p_key, 1)) THEN
            RETURN QUERY SELECT 'in_flight', NULL::text, NULL::text[];
            RETURN;
        END IF;
        SELECT k.request_sha256, k.body INTO v_kept FROM idempotency_keys k WHERE k.principal = v_principal AND k.key = p_key;
        IF FOUND THEN
            RETURN QUERY SELECT CASE WHEN v_kept.request_sha256 = p_request_sha256 THEN 'done' ELSE 'other_request' END,
                v_kept.body, NULL::text[];
            RETURN;
        END IF;
    END IF;
    IF p_kind = 'renew' THEN
        SELECT r.body, r.agents INTO v_body, v_agents
        FROM certificates_bulk_renew(p_criteria, p_ids, p_actor, p_actor_type, p_is_dry) r;
    ELSIF p_kind = 'revoke' THEN
        SELECT r.body INTO v_body
        FROM certificates_bulk_revoke(p_criteria, p_ids, p_wanted ->> 'reason', p_actor, p_actor_type, p_is_dry) r;
    ELSE
        SELECT r.outcome, r.body INTO v_outcome, v_body
        FROM certificates_bulk_reassign(p_ids, p_wanted ->> 'owner_id', p_wanted ->> 'team_id', p_actor, p_actor_type, p_is_dry) r;
    END IF;
    IF octet_length(v_body) > 125000000 THEN
        RAISE EXCEPTION 'nothing was changed: the list of jobs would be longer than 125 MB; select fewer certificates'
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    IF p_key IS NOT NULL AND NOT p_is_dry AND v_outcome = 'done' THEN
        INSERT INTO idempotency_keys (principal, key, route, request_sha256, status, body)
            VALUES (v_principal, p_key, 'bulk-' || p_kind, p_request_sha256, 200, v_body);
    END IF;
    RETURN QUERY SELECT v_outcome, v_body, v_agents;
END $$;

DO $$
BEGIN
    REVOKE ALL ON FUNCTION audit_attachments_refuse_change(), jobs_enqueue(text[], text, text, bool, bool, bool),
        certificates_revoke(text[], text, text, text), certificates_matching(jsonb, text[]),
        bulk_audit(text, text, text, jsonb, text), bulk_answer(text, bigint, bigint, bigint, text, text),
        certificates_bulk_renew(jsonb, text[], text, text, bool),
        certificates_bulk_revoke(jsonb, text[], text, text, text, bool),
        certificates_bulk_reassign(text[], text, text, text, text, bool),
        bulk_run(text, jsonb, text[], jsonb, text, text, bool, text, text) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT SELECT ON audit_attachments TO certctl_apiserver;
        GRANT EXECUTE ON FUNCTION certificates_revoke(text[], text, text, text),
            bulk_run(text, jsonb, text[], jsonb, text, text, bool, text, text) TO certctl_apiserver;
    END IF;
END $$;
