-- A renewal scan that looks each certificate up as seldom as it can, and
-- functions for many certificates that are as fast when their plan is a generic
-- one or the statistics are old: they join unnest(ids), which is hashed or
-- looked up, where "= ANY (ids)" is searched from its beginning for each row.

-- Says what it said and costs a tenth: a regular expression that counts is
-- an automaton of as many states, made anew for each row that is written.
ALTER TABLE managed_certificates DROP CONSTRAINT managed_certificates_id_check,
    ADD CONSTRAINT managed_certificates_id_check
        CHECK (length(id) BETWEEN 1 AND 128 AND id !~ '[^A-Za-z0-9._-]' AND id NOT IN ('.', '..'));

-- --- making jobs ---

-- The one way to issuance and renewal jobs, for one certificate or a hundred
-- thousand: see jobs_enqueue_issue.  Where the caller writes one event of its
-- own for all of them, p_is_audited is false; where it holds the certificates'
-- locks, p_is_locked is true.  Ids are made from one reading of the clock: a
-- reading a row cost as much as finding the row.  Whatever is written is
-- written in the order of ids, for neighbours in an index cost less.  No
-- function around this one may set plan_cache_mode: the checks of the jobs'
-- foreign keys would be planned anew for every row.
DROP FUNCTION jobs_enqueue(text[], text, text, bool, bool, bool);
CREATE FUNCTION jobs_enqueue(p_ids text[], p_actor text, p_actor_type text, p_force bool, p_allow_expired bool, p_is_audited bool,
    p_is_locked bool DEFAULT false)
RETURNS TABLE (certificate_id text, outcome text, job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_prefix text := 'job-' || (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || '000-';
BEGIN
    IF NOT p_is_locked THEN
        PERFORM 1 FROM unnest(p_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id ORDER BY c.id FOR NO KEY UPDATE OF c;
    END IF;
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
        FROM (SELECT DISTINCT n.certificate_id FROM made n ORDER BY n.certificate_id) n
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

-- --- the renewal scan ---

-- Locks the certificates due by p_now, oldest first, and names them.  due:
-- those among seen that are renewed by themselves.  A function of its own, for
-- its settings: whatever the statistics say, the one right plan is a walk along
-- the index of what is due, from its beginning.
DROP FUNCTION renewals_due(timestamptz, int);
CREATE FUNCTION renewals_due(p_now timestamptz, p_limit int, OUT seen text[], OUT due text[])
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_sort = off AS $$
    SELECT array_agg(d.id), array_agg(d.id) FILTER (WHERE p.auto_renew AND i.enabled)
    FROM (SELECT c.id, c.renewal_policy_id, c.issuer_id FROM managed_certificates c
        WHERE c.renew_after <= p_now AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed')
        ORDER BY c.renew_after LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED) d
    JOIN renewal_policies p ON p.id = d.renewal_policy_id
    JOIN issuers i ON i.id = d.issuer_id
$$;

-- One chunk of certificates whose renewal falls due, oldest first.  Each row
-- seen leaves the index that it was found by, so that no chunk meets it again
-- whatever became of it.  seen: as many as p_limit, and there may be more.
-- What jobs_enqueue made a job for is done: nothing else asks about it.
CREATE OR REPLACE FUNCTION duty_renewal_scan(p_limit int)
RETURNS TABLE (due bigint, enqueued bigint, agents text[], seen bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_seen text[];
    v_ids text[];
    v_aside text[];
    v_made text[];
    v_rest text[]; -- those seen that got no job; usually none
    v_enqueued bigint := 0;
    v_agents text[];
BEGIN
    SELECT r.seen, r.due INTO v_seen, v_ids FROM renewals_due(v_now, p_limit) r;
    IF v_seen IS NULL THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint, '{}'::text[], 0::bigint;
        RETURN;
    END IF;
    -- Policy and issuer stay as they are until this commits, so that whoever
    -- switches them on sees what was set aside.  One that is being changed now
    -- is not waited for.
    IF coalesce(cardinality(v_ids), 0) < cardinality(v_seen) THEN
        SELECT array_agg(a.id) INTO v_aside FROM (SELECT c.id FROM unnest(v_seen) AS u (id)
            JOIN managed_certificates c ON c.id = u.id
            JOIN renewal_policies p ON p.id = c.renewal_policy_id
            JOIN issuers i ON i.id = c.issuer_id
            WHERE NOT (p.auto_renew AND i.enabled)
            FOR SHARE OF p, i SKIP LOCKED) a;
        UPDATE managed_certificates c SET renew_after = NULL FROM unnest(v_aside) AS a (id) WHERE c.id = a.id;
    END IF;
    IF v_ids IS NOT NULL THEN
        SELECT count(e.job_id), array_agg(e.certificate_id) FILTER (WHERE e.job_id IS NOT NULL),
            array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL)
        INTO v_enqueued, v_made, v_agents
        FROM jobs_enqueue(v_ids, 'system', 'System', false, true, true, true) e;
    END IF;
    SELECT array_agg(s.id) INTO v_rest FROM unnest(v_seen) AS s (id) WHERE s.id NOT IN (SELECT m.id FROM unnest(v_made) AS m (id));
    IF v_rest IS NOT NULL THEN
        -- One whose status was written by hand while a job is under way.
        PERFORM certificates_refresh(array_agg(d.id)) FROM unnest(v_ids) AS d (id)
            WHERE d.id IN (SELECT r.id FROM unnest(v_rest) AS r (id)) HAVING count(*) > 0;
        -- What could not be enqueued for any other reason is looked at again
        -- when a failed renewal would be.
        UPDATE managed_certificates c SET renew_after = v_now + make_interval(secs => greatest(p.retry_interval_seconds, 60))
        FROM unnest(v_rest) AS r (id), renewal_policies p
        WHERE c.id = r.id AND c.renew_after <= v_now AND p.id = c.renewal_policy_id
            AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed');
    END IF;
    RETURN QUERY SELECT coalesce(cardinality(v_ids), 0)::bigint, v_enqueued, coalesce(v_agents, '{}'),
        cardinality(v_seen)::bigint;
END $$;

-- --- revoking ---

-- Revokes these certificates: status, every unexpired version's serial, jobs
-- that wait are cancelled, those that a worker runs are asked to stop (what
-- one still completes is stored and its serial revoked by issue_complete), and
-- no target wants a version any more that it neither has nor is getting.
-- Outcomes: revoked, already_revoked, archived, no_version (none yet, and no
-- job that could make one).  Unknown ids give no row.  Every statement joins
-- the ids; active jobs are walked at most once, also where the statistics say
-- that there are hardly any.
CREATE OR REPLACE FUNCTION certificates_revoke(p_ids text[], p_reason text, p_actor text, p_actor_type text)
RETURNS TABLE (certificate_id text, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_asked text[];
    v_ids text[];
    v_jobs text[];
BEGIN
    SELECT array_agg(DISTINCT u.id) INTO v_asked FROM unnest(p_ids) AS u (id);
    -- What is final needs no lock: it stays so.
    SELECT array_agg(l.id) INTO v_ids FROM (SELECT c.id FROM unnest(v_asked) AS u (id)
        JOIN managed_certificates c ON c.id = u.id
        WHERE c.status NOT IN ('Revoked', 'Archived') ORDER BY c.id FOR NO KEY UPDATE OF c) l;
    PERFORM 1 FROM unnest(v_ids) AS u (id) JOIN jobs j ON j.certificate_id = u.id
        WHERE j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running') ORDER BY j.id FOR NO KEY UPDATE OF j;
    SELECT array_agg(u.id) INTO v_ids FROM unnest(v_ids) AS u (id)
        WHERE EXISTS (SELECT 1 FROM certificate_versions v WHERE v.certificate_id = u.id)
            OR u.id IN (SELECT j.certificate_id FROM unnest(v_ids) AS w (id) JOIN jobs j ON j.certificate_id = w.id
                WHERE j.type IN ('Issuance', 'Renewal') AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running'));

    UPDATE managed_certificates c SET status = 'Revoked', revoked_at = v_now, revocation_reason = p_reason, updated_at = v_now
        FROM unnest(v_ids) AS u (id) WHERE c.id = u.id;
    WITH listed AS (
        INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, revoked_at, issuer_id)
        SELECT id_new('rev'), v.certificate_id, v.serial_number, p_reason, p_actor, v_now, v.issuer_id
        FROM unnest(v_ids) AS u (id) JOIN certificate_versions v ON v.certificate_id = u.id
        WHERE v.not_after > v_now
        ON CONFLICT DO NOTHING
        RETURNING certificate_id, serial_number
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT p_actor, p_actor_type, 'certificate_revoked', 'certificate', r.id,
        jsonb_build_object('reason', p_reason, 'serial_numbers', coalesce(l.serials, '[]'))
    FROM unnest(v_ids) AS r (id)
    LEFT JOIN (SELECT n.certificate_id, jsonb_agg(n.serial_number) AS serials FROM listed n GROUP BY 1) l ON l.certificate_id = r.id
    ORDER BY r.id;

    SELECT array_agg(j.id ORDER BY j.id) INTO v_jobs FROM unnest(v_ids) AS u (id) JOIN jobs j ON j.certificate_id = u.id
        WHERE j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval');
    IF v_jobs IS NOT NULL THEN
        PERFORM job_finish(v_jobs, array_fill('Cancelled'::text, ARRAY[cardinality(v_jobs)]),
            array_fill('certificate revoked by ' || p_actor, ARRAY[cardinality(v_jobs)]));
    END IF;
    UPDATE jobs j SET cancel_requested_at = v_now FROM unnest(v_ids) AS u (id)
        WHERE j.certificate_id = u.id AND j.status = 'Running' AND j.type IN ('Issuance', 'Renewal')
            AND j.cancel_requested_at IS NULL;
    UPDATE certificate_target_mappings m SET desired_version_id = m.deployed_version_id FROM unnest(v_ids) AS u (id)
        WHERE m.certificate_id = u.id AND m.desired_version_id IS DISTINCT FROM m.deployed_version_id
            -- What an agent is installing will be what the target has.
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.status = 'Running'
                AND j.dedupe_key = 'deploy:' || m.certificate_id || ':' || m.target_id);

    RETURN QUERY SELECT c.id, CASE WHEN r.id IS NOT NULL THEN 'revoked' WHEN c.status = 'Revoked' THEN 'already_revoked'
            WHEN c.status = 'Archived' THEN 'archived' ELSE 'no_version' END
        FROM unnest(v_asked) AS u (id) JOIN managed_certificates c ON c.id = u.id
        LEFT JOIN unnest(v_ids) AS r (id) ON r.id = c.id ORDER BY c.id;
END $$;

-- What was granted on the functions that stay is granted still.
REVOKE ALL ON FUNCTION renewals_due(timestamptz, int), jobs_enqueue(text[], text, text, bool, bool, bool, bool) FROM PUBLIC;
