-- The engine's rules as functions.  Each is called in a transaction of its
-- own; lock order is certificates, then jobs, then the rest, ascending id.
-- All run with their owner's rights, so that a process holds no more than the
-- right to call what it needs.
--
-- Some switch bitmap scans off: on a table filled faster than it is analysed
-- the planner believes the partial index on active jobs to be nearly empty,
-- combines it with the index that finds the one row, and walks all of it for
-- every certificate of a batch (eight times slower at twenty thousand jobs).

-- --- certificates ---

-- The status a certificate should have, from what is true of it.  Revoked and
-- Archived are final.
CREATE FUNCTION certificates_refresh(p_ids text[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_bitmapscan = off AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_n int;
BEGIN
    UPDATE managed_certificates c SET status = s.status, updated_at = v_now
    FROM (
        SELECT m.id, CASE
            WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = m.id AND j.type IN ('Issuance', 'Renewal')
                AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')) THEN 'RenewalInProgress'
            WHEN m.expires_at IS NULL THEN CASE
                WHEN EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = m.id AND j.status = 'Failed'
                    AND j.type IN ('Issuance', 'Renewal')) THEN 'Failed' ELSE 'Pending' END
            WHEN m.expires_at <= v_now THEN 'Expired'
            WHEN m.expires_at <= v_now + least(make_interval(days => p.renewal_window_days),
                (m.expires_at - coalesce(m.valid_from, '-infinity')) / 3) THEN 'Expiring'
            ELSE 'Active' END AS status
        FROM managed_certificates m JOIN renewal_policies p ON p.id = m.renewal_policy_id
        WHERE m.id = ANY (p_ids) AND m.status NOT IN ('Revoked', 'Archived')
    ) s
    WHERE c.id = s.id AND c.status <> s.status AND c.status NOT IN ('Revoked', 'Archived');
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- --- making jobs ---

-- One issuance or renewal job a certificate and key holder, unless one is
-- under way.  The key holders of a certificate are the agents of its targets;
-- one without targets has none yet, and its job waits for a CSR all the same.
-- Says for every certificate asked for what became of it:
--   enqueued, in_progress, archived, revoked, expired (unless p_allow_expired),
--   issuer_disabled.  Unknown ids give no row.
CREATE FUNCTION jobs_enqueue_issue(p_ids text[], p_requested_by text, p_force bool, p_allow_expired bool)
RETURNS TABLE (certificate_id text, outcome text, job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
BEGIN
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (p_ids) ORDER BY c.id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT c.id, c.issuer_id, c.expires_at, coalesce(pr.requires_approval, false) AS needs_approval,
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
        RETURNING id, certificate_id, agent_id
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
        RETURNING 1
    )
    SELECT a.id, CASE WHEN a.verdict = 'enqueued' AND made.id IS NULL THEN 'in_progress' ELSE a.verdict END,
        made.id, made.agent_id::text
    FROM asked a LEFT JOIN made ON made.certificate_id = a.id
    WHERE (SELECT count(*) FROM marked) >= 0 AND (SELECT count(*) FROM audited) >= 0
    ORDER BY a.id, made.id;
END $$;

-- Certificates whose renewal falls due, a bounded number, oldest first.
CREATE FUNCTION duty_renewal_scan(p_limit int)
RETURNS TABLE (due bigint, enqueued bigint, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
BEGIN
    SELECT array_agg(d.id) INTO v_ids FROM (
        SELECT c.id FROM managed_certificates c
        JOIN renewal_policies p ON p.id = c.renewal_policy_id AND p.auto_renew
        JOIN issuers i ON i.id = c.issuer_id AND i.enabled
        WHERE c.renew_after <= v_now AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed')
        ORDER BY c.renew_after LIMIT p_limit
        FOR NO KEY UPDATE OF c SKIP LOCKED) d;
    IF v_ids IS NULL THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint, '{}'::text[];
        RETURN;
    END IF;
    RETURN QUERY SELECT cardinality(v_ids)::bigint, count(e.job_id),
        coalesce(array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL), '{}')
    FROM jobs_enqueue_issue(v_ids, 'system', false, true) e;
    -- A certificate with a job under way is not due; one that says so all the
    -- same (its status was written by hand) would be met by every chunk.
    PERFORM certificates_refresh(array_agg(c.id)) FROM managed_certificates c
        WHERE c.id = ANY (v_ids) AND c.status <> 'RenewalInProgress';
END $$;

-- How many certificates a scan that ran out of time left, at most p_limit.
CREATE FUNCTION renewals_left(p_limit int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT count(*) FROM (SELECT 1 FROM managed_certificates c
        JOIN renewal_policies p ON p.id = c.renewal_policy_id AND p.auto_renew
        JOIN issuers i ON i.id = c.issuer_id AND i.enabled
        WHERE c.renew_after <= engine_now() AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed') LIMIT p_limit) d
$$;

-- Deployments for mappings whose target should serve another version than it
-- does.  A waiting deployment is moved on to the newest version instead.
CREATE FUNCTION deployments_fan_out(p_certificate_ids text[], p_now timestamptz)
RETURNS TABLE (job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, status, max_attempts, scheduled_at, created_at,
        run_after, dedupe_key, version_id)
    SELECT id_new('job'), 'Deployment', m.certificate_id, m.target_id, t.agent_id, 'Pending', 1, p_now, p_now,
        p_now, 'deploy:' || m.certificate_id || ':' || m.target_id, m.desired_version_id
    FROM certificate_target_mappings m
    JOIN deployment_targets t ON t.id = m.target_id AND t.enabled AND t.retired_at IS NULL
    JOIN agents a ON a.id = t.agent_id AND a.retired_at IS NULL
    WHERE m.certificate_id = ANY (p_certificate_ids)
        AND m.desired_version_id IS DISTINCT FROM m.deployed_version_id AND m.desired_version_id IS NOT NULL
        AND m.deploy_after <= p_now
    ORDER BY m.certificate_id, m.target_id
    ON CONFLICT (dedupe_key) WHERE status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
        DO UPDATE SET version_id = excluded.version_id
        WHERE jobs.status = 'Pending' AND jobs.version_id IS DISTINCT FROM excluded.version_id
    RETURNING id, agent_id;
END $$;

CREATE FUNCTION duty_redeploy(p_limit int) RETURNS TABLE (rows bigint, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
BEGIN
    SELECT array_agg(d.certificate_id) INTO v_ids FROM (
        SELECT c.id AS certificate_id FROM certificate_target_mappings m
        JOIN managed_certificates c ON c.id = m.certificate_id AND c.status NOT IN ('Revoked', 'Archived')
        JOIN certificate_versions v ON v.id = m.desired_version_id AND v.not_after > v_now
        JOIN deployment_targets t ON t.id = m.target_id AND t.enabled AND t.retired_at IS NULL
        JOIN agents a ON a.id = t.agent_id AND a.retired_at IS NULL
        WHERE m.desired_version_id IS DISTINCT FROM m.deployed_version_id AND m.deploy_after <= v_now
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.dedupe_key = 'deploy:' || m.certificate_id || ':' || m.target_id
                AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval'))
        ORDER BY c.id LIMIT p_limit
        FOR NO KEY UPDATE OF c SKIP LOCKED) d;
    RETURN QUERY SELECT count(f.job_id), coalesce(array_agg(DISTINCT f.agent_id), '{}')
        FROM deployments_fan_out(v_ids, v_now) f;
END $$;

-- --- the end of jobs ---

-- Every end of a job goes through here: final state, the certificates'
-- statuses, and when the next try falls due.  The caller holds the locks on
-- certificates and jobs and has checked that the job may end so.
CREATE FUNCTION job_finish(p_ids text[], p_statuses text[], p_errors text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_certificates text[];
BEGIN
    WITH ended AS (
        UPDATE jobs j SET status = e.status, last_error = coalesce(e.error, j.last_error), completed_at = v_now
        FROM unnest(p_ids, p_statuses, p_errors) AS e (id, status, error)
        WHERE j.id = e.id AND j.status NOT IN ('Completed', 'Failed', 'Cancelled')
        RETURNING j.id, j.type, j.status, j.certificate_id, j.target_id, j.last_error, j.leased_by
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT coalesce(e.leased_by, 'system'), CASE WHEN e.type = 'Deployment' THEN 'Agent' ELSE 'System' END,
            CASE WHEN e.type = 'Deployment' THEN 'deployment_job_' ELSE 'renewal_job_' END || lower(e.status),
            'certificate', coalesce(e.certificate_id, ''),
            jsonb_strip_nulls(jsonb_build_object('job_id', e.id, 'target_id', e.target_id, 'error', e.last_error))
        FROM ended e
    )
    SELECT array_agg(DISTINCT e.certificate_id) FILTER (WHERE e.type <> 'Deployment') INTO v_certificates FROM ended e;
    -- A renewal that failed is tried again, a minute later at the earliest.
    UPDATE managed_certificates c SET renew_after = v_now + make_interval(secs => greatest(p.retry_interval_seconds, 60))
    FROM renewal_policies p
    WHERE c.id IN (SELECT j.certificate_id FROM jobs j WHERE j.id = ANY (p_ids) AND j.status = 'Failed' AND j.type <> 'Deployment')
        AND p.id = c.renewal_policy_id AND c.expires_at IS NOT NULL;
    IF v_certificates IS NOT NULL THEN
        PERFORM certificates_refresh(v_certificates);
    END IF;
END $$;

-- Locks the certificates of these jobs, then the jobs.
CREATE FUNCTION jobs_lock(p_ids text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM managed_certificates c
        WHERE c.id IN (SELECT j.certificate_id FROM jobs j WHERE j.id = ANY (p_ids)) ORDER BY c.id FOR NO KEY UPDATE;
    PERFORM 1 FROM jobs j WHERE j.id = ANY (p_ids) ORDER BY j.id FOR NO KEY UPDATE;
END $$;

-- By a person.  Outcomes: cancelled, requested (a worker runs it and stops
-- before the outside effect), running (an agent installs it), final, unknown.
CREATE FUNCTION job_cancel(p_id text, p_actor text) RETURNS TABLE (outcome text, status text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_job record;
BEGIN
    PERFORM jobs_lock(ARRAY[p_id]);
    SELECT j.status, j.type INTO v_job FROM jobs j WHERE j.id = p_id;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::text;
    ELSIF v_job.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval') THEN
        PERFORM job_finish(ARRAY[p_id], '{Cancelled}', ARRAY['cancelled by ' || p_actor]);
        RETURN QUERY SELECT 'cancelled', 'Cancelled';
    ELSIF v_job.status = 'Running' AND v_job.type <> 'Deployment' THEN
        UPDATE jobs j SET cancel_requested_at = coalesce(j.cancel_requested_at, engine_now()) WHERE j.id = p_id;
        RETURN QUERY SELECT 'requested', v_job.status::text;
    ELSIF v_job.status = 'Running' THEN
        RETURN QUERY SELECT 'running', v_job.status::text;
    ELSE
        RETURN QUERY SELECT 'final', v_job.status::text;
    END IF;
END $$;

-- --- processes, leadership, leases ---

-- A worker's own row; its lease lasts 1.7 s and is renewed every 500 ms.
-- Answers with the jobs among its leases that someone wants cancelled.
CREATE FUNCTION worker_renew(p_incarnation text, p_name text, p_host text, p_pid int, p_version text, p_slots int)
RETURNS TABLE (lease_until timestamptz, cancel_job_ids text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    INSERT INTO workers (incarnation, name, host, pid, version, slots, lease_until)
        VALUES (p_incarnation, p_name, p_host, p_pid, p_version, p_slots, v_now + interval '1.7 seconds')
    ON CONFLICT (incarnation) DO UPDATE SET lease_until = excluded.lease_until, slots = excluded.slots;
    RETURN QUERY SELECT v_now + interval '1.7 seconds', coalesce((SELECT array_agg(j.id) FROM jobs j
        WHERE j.leased_by = p_incarnation AND j.status = 'Running' AND j.cancel_requested_at IS NOT NULL), '{}');
END $$;

-- A worker that stops on purpose gives everything back at once.
CREATE FUNCTION worker_leave(p_incarnation text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_n int;
BEGIN
    UPDATE workers SET lease_until = clock_timestamp() - interval '1 second' WHERE incarnation = p_incarnation;
    UPDATE jobs SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL
        WHERE leased_by = p_incarnation AND status = 'Running';
    GET DIAGNOSTICS v_n = ROW_COUNT;
    UPDATE tasks SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL
        WHERE leased_by = p_incarnation AND status = 'Running';
    RETURN v_n;
END $$;

CREATE FUNCTION scheduler_seen(p_incarnation text, p_name text, p_host text, p_pid int, p_url text, p_version text)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO schedulers (incarnation, name, host, pid, url, version)
        VALUES (p_incarnation, p_name, p_host, p_pid, p_url, p_version)
    ON CONFLICT (incarnation) DO UPDATE SET seen_at = clock_timestamp();
$$;

CREATE FUNCTION apiserver_seen(p_incarnation text, p_name text, p_host text, p_pid int, p_url text, p_version text)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO apiservers (incarnation, name, host, pid, url, version)
        VALUES (p_incarnation, p_name, p_host, p_pid, p_url, p_version)
    ON CONFLICT (incarnation) DO UPDATE SET seen_at = clock_timestamp();
$$;

-- Takes the free or expired leadership with a new term, or renews one's own.
-- No row: somebody else leads.
CREATE FUNCTION leadership_hold(p_incarnation text, p_nonce text, p_lease_ms int)
RETURNS TABLE (term bigint, is_new bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_until timestamptz := v_now + make_interval(secs => p_lease_ms / 1000.0);
BEGIN
    RETURN QUERY UPDATE leadership l SET expires_at = v_until
        WHERE l.id = 1 AND l.holder = p_incarnation AND l.nonce = p_nonce AND l.expires_at > v_now
        RETURNING l.term, false;
    IF FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY UPDATE leadership l SET term = l.term + 1, holder = p_incarnation, nonce = p_nonce, expires_at = v_until
        WHERE l.id = 1 AND l.expires_at <= v_now
        RETURNING l.term, true;
END $$;

CREATE FUNCTION leadership_release(p_incarnation text, p_nonce text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE leadership SET expires_at = clock_timestamp() - interval '1 millisecond'
        WHERE id = 1 AND holder = p_incarnation AND nonce = p_nonce;
$$;

CREATE FUNCTION leadership_is(p_term bigint, p_incarnation text) RETURNS bool
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM leadership l
        WHERE l.id = 1 AND l.term = p_term AND l.holder = p_incarnation AND l.expires_at > clock_timestamp())
$$;

-- What the leader must know to hand out work: every lane that has a due job
-- behind its low-water key, and how many batches each lane has running.
CREATE FUNCTION lanes_due(p_issuers text[], p_low_after timestamptz[], p_low_ids text[])
RETURNS TABLE (issuer_id text, issuer_type text, cap int, running bigint, due bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
BEGIN
    RETURN QUERY
    SELECT l.issuer_id, i.type::text, l.cap,
        coalesce(r.n, 0),
        i.enabled AND EXISTS (SELECT 1 FROM jobs j
            WHERE j.issuer_id = l.issuer_id AND j.status = 'Pending' AND j.type IN ('Issuance', 'Renewal')
                AND j.run_after <= v_now
                AND (j.run_after, j.id) >= (coalesce(w.low_after, '-infinity'), coalesce(w.low_id, '')))
    FROM lanes l
    JOIN issuers i ON i.id = l.issuer_id
    LEFT JOIN unnest(p_issuers, p_low_after, p_low_ids) AS w (issuer_id, low_after, low_id) ON w.issuer_id = l.issuer_id
    LEFT JOIN (SELECT j.issuer_id, count(DISTINCT j.lease_id) AS n FROM jobs j
        WHERE j.status = 'Running' AND j.type IN ('Issuance', 'Renewal') GROUP BY 1) r ON r.issuer_id = l.issuer_id;
END $$;

-- Whether a task is due, and how many leases of tasks are running.
CREATE FUNCTION tasks_due() RETURNS TABLE (due bool, running bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM tasks WHERE status = 'Pending' AND run_after <= engine_now()),
        (SELECT count(DISTINCT lease_id) FROM tasks WHERE status = 'Running')
$$;

-- 40 hex digits: a fixed leading 5 (so the number is positive and never
-- padded), eleven digits of unix milliseconds, 112 random bits.
CREATE FUNCTION serial_new(p_now timestamptz) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT '5' || lpad(to_hex((extract(epoch FROM p_now) * 1000)::bigint), 11, '0') || encode(gen_random_bytes(14), 'hex')
$$;

-- Hands one lane's due jobs to a worker, as one lease: one running batch, one
-- permit.  The leader's term and the worker's lease are checked by the same
-- transaction.  Serial and validity are fixed here, before anything is
-- signed.  One fixed over an hour ago, or for another certificate of the CA, is
-- written off (recorded as revoked) and fixed anew: the same serial must never
-- stand over two different certificates.  A job that several workers died with
-- runs alone.
CREATE FUNCTION jobs_claim(p_incarnation text, p_term bigint, p_worker text, p_issuer text, p_limit int,
    p_low_after timestamptz, p_low_id text)
RETURNS TABLE (lease_id bigint, claimed bigint, last_after timestamptz, last_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_lease bigint;
    v_ids text[];
    v_alone bigint; -- place of the first job that is to run alone
    v_last_after timestamptz;
    v_last_id text;
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    SELECT array_agg(p.id ORDER BY p.place), min(p.place) FILTER (WHERE p.deaths >= 3)
        INTO v_ids, v_alone
    FROM (SELECT r.id, r.deaths, row_number() OVER (ORDER BY r.run_after, r.id) AS place
        FROM (SELECT j.id, j.run_after, j.deaths FROM jobs j
            WHERE j.issuer_id = p_issuer AND j.status = 'Pending' AND j.type IN ('Issuance', 'Renewal')
                AND j.run_after <= v_now AND (j.run_after, j.id) >= (p_low_after, p_low_id)
            ORDER BY j.run_after, j.id LIMIT p_limit
            FOR NO KEY UPDATE SKIP LOCKED) r) p;
    IF v_ids IS NULL THEN
        RETURN;
    END IF;
    IF v_alone IS NOT NULL THEN
        v_ids := v_ids[1:greatest(v_alone - 1, 1)];
    END IF;
    v_lease := nextval('lease_seq');
    INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, job_id)
        SELECT id_new('rev'), j.certificate_id, j.serial_number, 'superseded', 'system', j.issuer_id, j.id
        FROM jobs j LEFT JOIN ca_certificates ca ON ca.issuer_id = j.issuer_id
        -- Nothing is ever signed under a serial that was fixed without a CA.
        WHERE j.id = ANY (v_ids) AND j.serial_number IS NOT NULL AND j.extensions ? 'ca'
            AND (j.not_before < v_now - interval '1 hour'
                OR j.extensions ->> 'ca' IS DISTINCT FROM ca.fingerprint_sha256)
        ON CONFLICT DO NOTHING;
    WITH taken AS (
        UPDATE jobs j SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
            attempt_until = clock_timestamp() + interval '60 seconds', deliveries = j.deliveries + 1,
            started_at = coalesce(j.started_at, v_now),
            serial_number = CASE WHEN f.is_fixed THEN j.serial_number ELSE serial_new(v_now) END,
            not_before = CASE WHEN f.is_fixed THEN j.not_before ELSE date_trunc('second', v_now) END,
            not_after = CASE WHEN f.is_fixed THEN j.not_after ELSE
                least(date_trunc('second', v_now) + make_interval(secs => f.validity), f.ca_not_after) END,
            extensions = CASE WHEN f.is_fixed THEN j.extensions ELSE f.extensions END
        FROM (SELECT o.id, o.not_before IS NOT NULL AND o.not_before >= v_now - interval '1 hour'
                    AND o.extensions ->> 'ca' IS NOT DISTINCT FROM ca.fingerprint_sha256 AS is_fixed,
                least(coalesce((i.config ->> 'validity_seconds')::bigint, (i.config ->> 'validity_days')::bigint * 86400, 7776000),
                    nullif(pr.max_ttl_seconds, 0)) AS validity,
                coalesce(ca.not_after, 'infinity') AS ca_not_after,
                jsonb_strip_nulls(jsonb_build_object('ekus', pr.allowed_ekus,
                    'must_staple', nullif(coalesce(pr.must_staple, false), false),
                    'crl_urls', i.config -> 'crl_distribution_point_urls', 'ca', ca.fingerprint_sha256)) AS extensions
            FROM jobs o
            JOIN issuers i ON i.id = o.issuer_id
            LEFT JOIN managed_certificates c ON c.id = o.certificate_id
            LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id
            LEFT JOIN ca_certificates ca ON ca.issuer_id = o.issuer_id
            WHERE o.id = ANY (v_ids)) f
        WHERE j.id = f.id
        RETURNING j.id)
    SELECT count(*) INTO claimed FROM taken;
    SELECT j.run_after, j.id INTO v_last_after, v_last_id FROM jobs j WHERE j.id = v_ids[cardinality(v_ids)];
    RETURN QUERY SELECT v_lease, claimed, v_last_after, v_last_id;
END $$;

-- Tasks, in the same way, all kinds in one queue.
CREATE FUNCTION tasks_claim(p_incarnation text, p_term bigint, p_worker text, p_limit int)
RETURNS TABLE (lease_id bigint, claimed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_lease bigint;
    v_n bigint;
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    v_lease := nextval('lease_seq');
    UPDATE tasks t SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
        attempt_until = clock_timestamp() + interval '60 seconds', deliveries = t.deliveries + 1
    WHERE t.id IN (SELECT q.id FROM tasks q WHERE q.status = 'Pending' AND q.run_after <= v_now
        ORDER BY q.run_after, q.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    IF v_n > 0 THEN
        RETURN QUERY SELECT v_lease, v_n;
    END IF;
END $$;

-- Frees what nobody holds any more: jobs of workers whose lease is over, of
-- attempts past their deadline, and (p_worker with p_holding given) leases a
-- worker has by our book but does not name.  A job whose fourth worker died
-- fails and says so.
CREATE FUNCTION leases_free(p_incarnation text, p_term bigint, p_worker text, p_holding bigint[])
RETURNS TABLE (freed bigint, failed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_ids text[];
    v_dead text[];
    v_failed text[];
    v_task_n bigint;
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    SELECT array_agg(j.id), array_agg(j.id) FILTER (WHERE j.worker_died) INTO v_ids, v_dead FROM (
        SELECT o.id, o.leased_by <> coalesce(p_worker, '') AS worker_died FROM jobs o
        WHERE o.status = 'Running' AND o.type IN ('Issuance', 'Renewal')
            AND CASE WHEN p_worker IS NULL THEN o.attempt_until < clock_timestamp()
                    OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = o.leased_by AND w.lease_until > clock_timestamp())
                ELSE o.leased_by = p_worker AND (p_holding IS NULL OR o.lease_id <> ALL (p_holding)) END
        FOR NO KEY UPDATE SKIP LOCKED) j;
    IF p_worker IS NOT NULL AND p_holding IS NULL THEN
        v_dead := v_ids; -- its pipe closed: the process is gone
    END IF;
    UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
        deaths = j.deaths + CASE WHEN j.id = ANY (v_dead) THEN 1 ELSE 0 END
    WHERE j.id = ANY (v_ids);
    SELECT array_agg(j.id) INTO v_failed FROM jobs j WHERE j.id = ANY (v_dead) AND j.deaths >= 4;
    IF v_failed IS NOT NULL THEN
        PERFORM job_finish(v_failed, array_fill('Failed'::text, ARRAY[cardinality(v_failed)]),
            array_fill('its workers died four times while running it'::text, ARRAY[cardinality(v_failed)]));
    END IF;
    UPDATE tasks t SET status = CASE WHEN t.deaths >= 3 THEN 'Failed' ELSE 'Pending' END, leased_by = NULL, lease_id = NULL,
        attempt_until = NULL, deaths = t.deaths + 1
    WHERE t.status = 'Running'
        AND CASE WHEN p_worker IS NULL THEN t.attempt_until < clock_timestamp()
                OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = t.leased_by AND w.lease_until > clock_timestamp())
            ELSE t.leased_by = p_worker AND (p_holding IS NULL OR t.lease_id <> ALL (p_holding)) END;
    GET DIAGNOSTICS v_task_n = ROW_COUNT;
    RETURN QUERY SELECT coalesce(cardinality(v_ids), 0) + v_task_n, coalesce(cardinality(v_failed), 0)::bigint;
END $$;

-- --- workers' writes, every one guarded by the lease ---

-- Stores a batch of signed certificates: versions, certificates, jobs, the
-- deployments that follow, audit; all or none.  Only jobs still under this
-- lease of this worker count; the others are missing from the answer and
-- nothing is written for them.  Called again, it writes nothing and answers with what is
-- Completed under this lease: the lease id is the receipt.  The version of a
-- certificate that was revoked or archived meanwhile is stored and its serial
-- revoked.
CREATE FUNCTION issue_complete(p_worker text, p_lease bigint, p_job_ids text[], p_pem text[], p_fingerprints text[],
    p_key_algorithms text[], p_key_sizes int[], p_chain text)
RETURNS TABLE (job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_dead text[]; -- certificates revoked or archived meanwhile; usually none
    v_certificates text[];
    v_jobs text[];
    v_agents text[];
BEGIN
    -- By the lease, whose rows lie together in their index, not one by one.
    SELECT array_agg(l.id) FILTER (WHERE l.status IN ('Revoked', 'Archived')) INTO v_dead
    FROM (SELECT c.id, c.status FROM managed_certificates c
        WHERE c.id IN (SELECT j.certificate_id FROM jobs j
            WHERE j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running' AND j.id = ANY (p_job_ids))
        ORDER BY c.id FOR NO KEY UPDATE) l;
    PERFORM 1 FROM jobs j
        WHERE j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running' AND j.id = ANY (p_job_ids)
        ORDER BY j.id FOR NO KEY UPDATE;

    WITH done AS (
        UPDATE jobs j SET status = 'Completed', completed_at = v_now, version_id = 'certver' || substr(j.id, 4), last_error = NULL
        WHERE j.id = ANY (p_job_ids) AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running'
        RETURNING j.id, j.type, j.certificate_id, j.issuer_id, j.agent_id, j.serial_number, j.not_before, j.not_after,
            j.csr_pem, j.version_id
    ), stored AS (
        INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256,
            pem_chain, csr_pem, created_at, key_algorithm, key_size, issuer_id, key_holder, job_id)
        SELECT d.version_id, d.certificate_id, d.serial_number, d.not_before, d.not_after, s.fingerprint,
            s.pem || p_chain, d.csr_pem, v_now, s.key_algorithm, s.key_size, d.issuer_id, coalesce(d.agent_id, ''), d.id
        FROM done d
        JOIN unnest(p_job_ids, p_pem, p_fingerprints, p_key_algorithms, p_key_sizes)
            AS s (job_id, pem, fingerprint, key_algorithm, key_size) ON s.job_id = d.id
        RETURNING 1
    ), current AS (
        UPDATE managed_certificates c SET
            status = CASE WHEN c.status IN ('Revoked', 'Archived') THEN c.status
                WHEN EXISTS (SELECT 1 FROM jobs o WHERE o.certificate_id = c.id AND o.type IN ('Issuance', 'Renewal')
                    AND o.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval') AND o.id NOT IN (SELECT id FROM done))
                    THEN 'RenewalInProgress' ELSE 'Active' END,
            expires_at = d.not_after, valid_from = d.not_before, last_renewal_at = v_now, updated_at = v_now,
            renew_after = renew_after_of(c.id, d.not_before, d.not_after, p.renewal_window_days, p.renewal_percent)
        FROM done d, renewal_policies p
        WHERE c.id = d.certificate_id AND p.id = c.renewal_policy_id
        RETURNING 1
    ), revoked AS (
        INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, job_id)
        SELECT id_new('rev'), d.certificate_id, d.serial_number, coalesce(c.revocation_reason, 'cessationOfOperation'),
            'system', d.issuer_id, d.id
        FROM done d JOIN managed_certificates c ON c.id = d.certificate_id
        WHERE v_dead IS NOT NULL AND d.certificate_id = ANY (v_dead)
        ON CONFLICT DO NOTHING
    ), wanted AS (
        UPDATE certificate_target_mappings m SET desired_version_id = d.version_id, deploy_failures = 0, deploy_after = '-infinity'
        FROM done d, deployment_targets t
        WHERE m.certificate_id = d.certificate_id AND t.id = m.target_id AND t.agent_id = d.agent_id
            AND (v_dead IS NULL OR d.certificate_id <> ALL (v_dead))
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_worker, 'System', 'renewal_job_completed', 'certificate', d.certificate_id,
            jsonb_build_object('job_id', d.id, 'serial_number', d.serial_number)
        FROM done d
    )
    SELECT array_agg(d.certificate_id ORDER BY d.certificate_id), array_agg(d.id), array_agg(d.agent_id)
        INTO v_certificates, v_jobs, v_agents
    FROM done d WHERE (SELECT count(*) FROM stored) >= 0;

    IF v_certificates IS NOT NULL THEN
        -- With several key holders the certificate ends when the first of their
        -- versions does.
        UPDATE managed_certificates c SET expires_at = e.not_after, valid_from = e.not_before,
            renew_after = least(c.renew_after, renew_after_of(c.id, e.not_before, e.not_after, p.renewal_window_days, p.renewal_percent))
        FROM (
            WITH shared AS MATERIALIZED (
                SELECT m.certificate_id, array_agg(DISTINCT t.agent_id) AS holders
                FROM certificate_target_mappings m
                JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL
                WHERE m.certificate_id = ANY (v_certificates)
                GROUP BY 1 HAVING min(t.agent_id) <> max(t.agent_id))
            SELECT DISTINCT ON (h.certificate_id) h.certificate_id, v.not_before, v.not_after
            FROM shared h CROSS JOIN LATERAL unnest(h.holders) AS a (id)
            CROSS JOIN LATERAL (SELECT o.not_before, o.not_after FROM certificate_versions o
                WHERE o.certificate_id = h.certificate_id AND o.key_holder = a.id ORDER BY o.id DESC LIMIT 1) v
            ORDER BY h.certificate_id, v.not_after) e, renewal_policies p
        WHERE c.id = e.certificate_id AND p.id = c.renewal_policy_id AND e.not_after < c.expires_at;
        PERFORM deployments_fan_out(v_certificates, v_now);
    END IF;
    RETURN QUERY SELECT n.job_id, n.agent_id FROM unnest(v_jobs, v_agents) AS n (job_id, agent_id);
    IF coalesce(cardinality(v_jobs), 0) < cardinality(p_job_ids) THEN
        RETURN QUERY SELECT j.id, j.agent_id::text FROM jobs j
            WHERE j.id = ANY (p_job_ids) AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Completed'
                AND (v_jobs IS NULL OR j.id <> ALL (v_jobs));
    END IF;
END $$;

-- Ends or puts off jobs of a lease that made no certificate.  p_outcomes:
-- 'fail' (Failed, with the reason), 'retry' (an outside failure: the attempt
-- counts, back-off, Failed when attempts are used up), 'release' (back to
-- Pending at once, nothing counted), 'cancel'.
CREATE FUNCTION issue_set_aside(p_worker text, p_lease bigint, p_job_ids text[], p_outcomes text[], p_errors text[])
RETURNS TABLE (job_id text, status text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
    v_statuses text[];
    v_errors text[];
BEGIN
    PERFORM jobs_lock(p_job_ids);
    SELECT array_agg(j.id), array_agg(CASE WHEN o.outcome = 'cancel' THEN 'Cancelled' ELSE 'Failed' END), array_agg(o.error)
        INTO v_ids, v_statuses, v_errors
    FROM unnest(p_job_ids, p_outcomes, p_errors) AS o (id, outcome, error)
    JOIN jobs j ON j.id = o.id
    WHERE j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running'
        AND (o.outcome IN ('fail', 'cancel') OR (o.outcome = 'retry' AND j.attempts + 1 >= j.max_attempts));
    UPDATE jobs j SET attempts = j.attempts + 1 FROM unnest(p_job_ids, p_outcomes) AS o (id, outcome)
        WHERE j.id = o.id AND o.outcome IN ('fail', 'retry') AND j.id = ANY (v_ids);
    UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
        attempts = j.attempts + CASE WHEN o.outcome = 'retry' THEN 1 ELSE 0 END,
        last_error = CASE WHEN o.outcome = 'retry' THEN o.error ELSE j.last_error END,
        run_after = CASE WHEN o.outcome = 'retry'
            THEN v_now + make_interval(secs => least(3600, 5 * power(4, j.attempts)) * (0.9 + random() * 0.2)) ELSE v_now END
    FROM unnest(p_job_ids, p_outcomes, p_errors) AS o (id, outcome, error)
    WHERE j.id = o.id AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running'
        AND (v_ids IS NULL OR j.id <> ALL (v_ids));
    IF v_ids IS NOT NULL THEN
        PERFORM job_finish(v_ids, v_statuses, v_errors);
    END IF;
    RETURN QUERY SELECT j.id, j.status::text FROM jobs j WHERE j.id = ANY (p_job_ids);
END $$;

-- Stores a local CA's root unless one is there; answers with the one that is.
CREATE FUNCTION ca_root_store(p_issuer text, p_cert_pem text, p_fingerprint text, p_not_before timestamptz,
    p_not_after timestamptz, p_key_sealed bytea)
RETURNS TABLE (cert_pem text, chain_pem text, fingerprint_sha256 text, key_sealed text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    -- Two workers may race: the certificate's row decides, and the loser
    -- waits here for the winner's commit.
    INSERT INTO ca_certificates (issuer_id, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)
        VALUES (p_issuer, p_cert_pem, p_cert_pem, p_fingerprint, p_not_before, p_not_after) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO ca_keys (issuer_id, key_sealed) VALUES (p_issuer, p_key_sealed);
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
            VALUES ('system', 'System', 'intermediate_ca_root_created', 'issuer', p_issuer, 'config');
    END IF;
    RETURN QUERY SELECT c.cert_pem, c.chain_pem, c.fingerprint_sha256, '\x' || encode(k.key_sealed, 'hex')
        FROM ca_certificates c LEFT JOIN ca_keys k ON k.issuer_id = c.issuer_id WHERE c.issuer_id = p_issuer;
END $$;

-- Stores the certificate of a sub-CA that lives in files on the workers'
-- hosts, and answers with the one that stands.  A newer one replaces an older,
-- never the other way round, so that hosts whose files are replaced one after
-- the other do not undo each other's; and never a root whose key is here.
CREATE FUNCTION ca_certificate_store(p_issuer text, p_cert_pem text, p_chain_pem text, p_fingerprint text,
    p_not_before timestamptz, p_not_after timestamptz)
RETURNS TABLE (fingerprint_sha256 text, has_key bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO ca_certificates AS c (issuer_id, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)
        VALUES (p_issuer, p_cert_pem, p_chain_pem, p_fingerprint, p_not_before, p_not_after)
    ON CONFLICT (issuer_id) DO UPDATE SET cert_pem = excluded.cert_pem, chain_pem = excluded.chain_pem,
            fingerprint_sha256 = excluded.fingerprint_sha256, not_before = excluded.not_before,
            not_after = excluded.not_after, created_at = now()
        WHERE (c.fingerprint_sha256, c.chain_pem) <> (excluded.fingerprint_sha256, excluded.chain_pem)
            AND (c.not_before <= excluded.not_before OR c.not_after <= engine_now())
            AND NOT EXISTS (SELECT 1 FROM ca_keys k WHERE k.issuer_id = p_issuer);
    IF FOUND THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
            VALUES ('system', 'System', 'issuer_ca_certificate_changed', 'issuer', p_issuer,
                jsonb_build_object('fingerprint_sha256', p_fingerprint), 'config');
    END IF;
    RETURN QUERY SELECT c.fingerprint_sha256, EXISTS (SELECT 1 FROM ca_keys k WHERE k.issuer_id = p_issuer)
        FROM ca_certificates c WHERE c.issuer_id = p_issuer;
END $$;

-- --- agents ---

-- An agent's CSR for its waiting issuance.  Outcomes: accepted, repeated (the
-- same key again), other_key (409), none (nothing waits), unknown_job.
CREATE FUNCTION csr_submit(p_agent text, p_certificate text, p_job text, p_csr_pem text, p_key_sha256 text)
RETURNS TABLE (outcome text, job_id text, issuer_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_job record;
BEGIN
    SELECT j.id, j.certificate_id INTO v_job FROM jobs j
        WHERE (p_job IS NULL OR j.id = p_job) AND j.certificate_id = p_certificate AND j.agent_id = p_agent
            AND j.type IN ('Issuance', 'Renewal')
        ORDER BY j.id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT CASE WHEN p_job IS NULL THEN 'none' ELSE 'unknown_job' END, NULL::text, NULL::text;
        RETURN;
    END IF;
    PERFORM jobs_lock(ARRAY[v_job.id]);
    SELECT j.* INTO v_job FROM jobs j WHERE j.id = v_job.id;
    IF v_job.csr_key_sha256 IS NOT NULL THEN
        RETURN QUERY SELECT CASE WHEN v_job.csr_key_sha256 = p_key_sha256 THEN 'repeated' ELSE 'other_key' END,
            v_job.id::text, v_job.issuer_id::text;
        RETURN;
    END IF;
    IF v_job.status <> 'AwaitingCSR' THEN
        RETURN QUERY SELECT 'none', v_job.id::text, v_job.issuer_id::text;
        RETURN;
    END IF;
    UPDATE jobs j SET csr_pem = p_csr_pem, csr_key_sha256 = p_key_sha256, status = 'Pending', run_after = engine_now()
        WHERE j.id = v_job.id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_agent, 'Agent', 'csr_submitted', 'certificate', p_certificate, jsonb_build_object('job_id', v_job.id));
    RETURN QUERY SELECT 'accepted', v_job.id::text, v_job.issuer_id::text;
END $$;

-- What an agent has to do: its Pending deployments (they become Running), its
-- own unfinished Running ones again, and the issuances that wait for its CSR.
-- Writes nothing when there is nothing new.
CREATE FUNCTION agent_work(p_agent text, p_limit int)
RETURNS TABLE (id text, type text, certificate_id text, status text, common_name text, sans text[], target_id text,
    target_type text, target_config jsonb, version_id text, serial_number text, fingerprint_sha256 text, not_after timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT 1 FROM jobs j WHERE j.agent_id = p_agent AND j.type = 'Deployment' AND j.status = 'Pending') THEN
        UPDATE jobs j SET status = 'Running', leased_by = p_agent, started_at = coalesce(j.started_at, engine_now()),
            deliveries = j.deliveries + 1
        WHERE j.id IN (SELECT o.id FROM jobs o WHERE o.agent_id = p_agent AND o.type = 'Deployment' AND o.status = 'Pending'
            AND o.run_after <= engine_now() ORDER BY o.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
    RETURN QUERY
    SELECT j.id, j.type::text, j.certificate_id, j.status::text, c.common_name::text, c.sans, j.target_id,
        t.type::text, t.config, j.version_id, v.serial_number::text, v.fingerprint_sha256::text, v.not_after
    FROM jobs j
    JOIN managed_certificates c ON c.id = j.certificate_id
    LEFT JOIN deployment_targets t ON t.id = j.target_id
    LEFT JOIN certificate_versions v ON v.id = j.version_id
    WHERE j.agent_id = p_agent
        AND (j.status = 'AwaitingCSR' OR (j.type = 'Deployment' AND j.status IN ('Pending', 'Running')))
        AND j.status <> 'Pending'
    ORDER BY j.id LIMIT p_limit;
END $$;

-- Which of these agents have something to fetch, or to hear: that they were
-- retired.
CREATE FUNCTION agents_with_work(p_agents text[]) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT a.id FROM unnest(p_agents) AS a (id)
    WHERE EXISTS (SELECT 1 FROM jobs j WHERE j.agent_id = a.id
            AND (j.status = 'AwaitingCSR' OR (j.type = 'Deployment' AND j.status IN ('Pending', 'Running'))))
        OR EXISTS (SELECT 1 FROM agents g WHERE g.id = a.id AND g.retired_at IS NOT NULL)
$$;

-- An agent's report on its own job.  Idempotent by (job, version).  Outcomes:
-- updated, repeated, contradiction (409), other_version (409), unknown,
-- not_allowed (a state only the server may set, or a job not in hand).
CREATE FUNCTION job_report(p_agent text, p_job text, p_status text, p_error text, p_version text)
RETURNS TABLE (outcome text, status text, certificate_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_job record;
BEGIN
    PERFORM jobs_lock(ARRAY[p_job]);
    SELECT j.* INTO v_job FROM jobs j WHERE j.id = p_job AND j.agent_id = p_agent;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::text, NULL::text;
        RETURN;
    END IF;
    IF p_version IS NOT NULL AND v_job.type = 'Deployment' AND v_job.version_id IS DISTINCT FROM p_version THEN
        RETURN QUERY SELECT 'other_version', v_job.status::text, v_job.certificate_id::text;
        RETURN;
    END IF;
    IF v_job.status IN ('Completed', 'Failed', 'Cancelled') THEN
        RETURN QUERY SELECT CASE WHEN v_job.status = p_status THEN 'repeated' ELSE 'contradiction' END,
            v_job.status::text, v_job.certificate_id::text;
        RETURN;
    END IF;
    IF v_job.type <> 'Deployment' THEN
        IF v_job.status = 'AwaitingCSR' AND p_status = 'Failed' THEN
            PERFORM job_finish(ARRAY[p_job], '{Failed}', ARRAY[coalesce(nullif(p_error, ''), 'the agent could not make a key or CSR')]);
            RETURN QUERY SELECT 'updated', 'Failed', v_job.certificate_id::text;
        ELSE
            RETURN QUERY SELECT 'not_allowed', v_job.status::text, v_job.certificate_id::text;
        END IF;
        RETURN;
    END IF;
    IF v_job.status <> 'Running' THEN
        RETURN QUERY SELECT 'not_allowed', v_job.status::text, v_job.certificate_id::text;
        RETURN;
    END IF;
    IF p_status = 'Running' THEN
        RETURN QUERY SELECT 'repeated', v_job.status::text, v_job.certificate_id::text;
        RETURN;
    END IF;
    IF p_status = 'Completed' AND v_job.verification_status = 'failed' THEN
        RETURN QUERY SELECT 'contradiction', v_job.status::text, v_job.certificate_id::text;
        RETURN;
    END IF;
    IF p_status = 'Completed' THEN
        UPDATE jobs j SET verification_status = CASE WHEN j.verification_status = 'success' THEN 'success' ELSE 'skipped' END
            WHERE j.id = p_job;
        UPDATE certificate_target_mappings m SET deployed_version_id = v_job.version_id, deployed_at = v_now, deploy_failures = 0,
            deploy_after = '-infinity'
        WHERE m.certificate_id = v_job.certificate_id AND m.target_id = v_job.target_id;
        UPDATE managed_certificates c SET last_deployment_at = v_now WHERE c.id = v_job.certificate_id;
    ELSE
        -- Deployed differs from desired still, so the redeploy duty comes
        -- back to it: 30 s later, doubling to an hour.
        UPDATE certificate_target_mappings m SET deploy_failures = m.deploy_failures + 1,
            deploy_after = v_now + make_interval(secs => least(3600, 30 * power(2, least(m.deploy_failures, 7))))
        WHERE m.certificate_id = v_job.certificate_id AND m.target_id = v_job.target_id
            -- A newer version need not wait for what the older one did.
            AND m.desired_version_id IS NOT DISTINCT FROM v_job.version_id;
    END IF;
    PERFORM job_finish(ARRAY[p_job], ARRAY[p_status], ARRAY[nullif(p_error, '')]);
    -- A newer version may have come while this one was being installed.
    PERFORM deployments_fan_out(ARRAY[v_job.certificate_id], v_now);
    RETURN QUERY SELECT 'updated', p_status, v_job.certificate_id::text;
END $$;

-- What the agent's handshake saw.  Outcomes: stored, unknown, final.
CREATE FUNCTION job_verify(p_agent text, p_job text, p_target text, p_verified bool, p_actual text, p_error text)
RETURNS TABLE (outcome text, verified_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
BEGIN
    UPDATE jobs j SET verification_status = CASE WHEN p_verified THEN 'success' ELSE 'failed' END, verified_at = v_now,
        verification_fingerprint = p_actual, verification_error = nullif(p_error, '')
    WHERE j.id = p_job AND j.type = 'Deployment' AND (p_agent IS NULL OR j.agent_id = p_agent) AND j.target_id = p_target
        AND j.status = 'Running';
    IF FOUND THEN
        RETURN QUERY SELECT 'stored', v_now;
    ELSE
        RETURN QUERY SELECT CASE WHEN count(*) > 0 THEN 'final' ELSE 'unknown' END, max(j.verified_at)
        FROM jobs j WHERE j.id = p_job AND (p_agent IS NULL OR j.agent_id = p_agent) AND j.target_id = p_target;
    END IF;
END $$;

-- --- duties ---

-- Waits that lasted too long: no CSR -> Failed, no decision -> Cancelled.
CREATE FUNCTION duty_job_timeouts(p_csr_ms bigint, p_approval_ms bigint, p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
    v_statuses text[];
    v_errors text[];
BEGIN
    SELECT array_agg(j.id) INTO v_ids FROM (SELECT o.id FROM jobs o
        WHERE (o.status = 'AwaitingCSR' AND o.created_at < v_now - make_interval(secs => p_csr_ms / 1000.0))
            OR (o.status = 'AwaitingApproval' AND o.created_at < v_now - make_interval(secs => p_approval_ms / 1000.0))
        ORDER BY o.id LIMIT p_limit) j;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM jobs_lock(v_ids);
    SELECT array_agg(j.id), array_agg(CASE j.status WHEN 'AwaitingCSR' THEN 'Failed' ELSE 'Cancelled' END),
        array_agg(CASE WHEN j.status = 'AwaitingApproval' THEN 'nobody decided within the approval time limit'
            WHEN j.agent_id IS NULL THEN 'no agent sent a CSR: the certificate has no target, so no agent holds its key; map it to a target'
            ELSE 'agent ' || j.agent_id || ' sent no CSR within the time limit' END)
        INTO v_ids, v_statuses, v_errors
    FROM jobs j WHERE j.id = ANY (v_ids) AND j.status IN ('AwaitingCSR', 'AwaitingApproval');
    PERFORM job_finish(v_ids, v_statuses, v_errors);
    RETURN coalesce(cardinality(v_ids), 0);
END $$;

CREATE FUNCTION duty_agent_health(p_stale_ms bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_n bigint;
BEGIN
    WITH gone AS (
        UPDATE agents a SET status = 'Offline'
        WHERE a.id IN (SELECT o.id FROM agents o WHERE o.status = 'Online' AND o.retired_at IS NULL
            AND coalesce(o.last_heartbeat_at, o.registered_at) < v_now - make_interval(secs => p_stale_ms / 1000.0)
            ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING a.id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id)
        SELECT 'system', 'System', 'agent_offline', 'agent', g.id FROM gone g RETURNING 1
    )
    SELECT count(*) INTO v_n FROM audited;
    RETURN v_n;
END $$;

-- Deployments in the hands of an agent that is gone: back to Pending when it
-- is offline (it finds them when it returns), Failed when it was retired.
CREATE FUNCTION duty_agent_rescue(p_offline_ms bigint, p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
    v_retired text[];
    v_n bigint;
BEGIN
    SELECT array_agg(r.id) INTO v_retired FROM (SELECT j.id FROM jobs j JOIN agents a ON a.id = j.agent_id
        WHERE a.retired_at IS NOT NULL
            AND (j.status = 'AwaitingCSR' OR (j.type = 'Deployment' AND j.status IN ('Pending', 'Running')))
        ORDER BY j.id LIMIT p_limit) r;
    IF v_retired IS NOT NULL THEN
        PERFORM jobs_lock(v_retired);
        PERFORM job_finish(v_retired, array_fill('Failed'::text, ARRAY[cardinality(v_retired)]),
            array_fill('its agent was retired'::text, ARRAY[cardinality(v_retired)]));
    END IF;
    SELECT array_agg(r.id) INTO v_ids FROM (SELECT j.id FROM jobs j JOIN agents a ON a.id = j.agent_id
        WHERE j.type = 'Deployment' AND j.status = 'Running' AND a.retired_at IS NULL
            AND coalesce(a.last_heartbeat_at, a.registered_at) < v_now - make_interval(secs => p_offline_ms / 1000.0)
        ORDER BY j.id LIMIT p_limit FOR NO KEY UPDATE OF j SKIP LOCKED) r;
    UPDATE jobs SET status = 'Pending', leased_by = NULL WHERE id = ANY (v_ids);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n + coalesce(cardinality(v_retired), 0);
END $$;

-- Certificates whose status no longer says what is true: expiring, expired,
-- or in progress with no job.
CREATE FUNCTION duty_certificate_status(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
BEGIN
    SELECT array_agg(d.id) INTO v_ids FROM (
        (SELECT c.id FROM managed_certificates c WHERE c.status = 'RenewalInProgress'
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = c.id AND j.type IN ('Issuance', 'Renewal')
                AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')) LIMIT p_limit)
        UNION ALL
        (SELECT c.id FROM managed_certificates c WHERE c.expires_at <= v_now AND c.status IN ('Active', 'Expiring')
            ORDER BY c.expires_at DESC LIMIT p_limit)
        UNION ALL
        (SELECT c.id FROM managed_certificates c JOIN renewal_policies p ON p.id = c.renewal_policy_id
            WHERE c.status = 'Active' AND c.expires_at > v_now AND c.expires_at <= v_now + interval '365 days'
                AND c.expires_at <= v_now + least(make_interval(days => p.renewal_window_days),
                    (c.expires_at - coalesce(c.valid_from, '-infinity')) / 3)
            ORDER BY c.expires_at LIMIT p_limit)) d;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (v_ids) ORDER BY c.id FOR NO KEY UPDATE;
    RETURN certificates_refresh(v_ids);
END $$;

-- Rows of processes that ended long ago.
CREATE FUNCTION duty_process_rows() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_old timestamptz := clock_timestamp() - interval '1 hour';
    v_n bigint := 0;
    v_more bigint;
BEGIN
    DELETE FROM workers w WHERE w.lease_until < v_old
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.leased_by = w.incarnation AND j.status = 'Running');
    GET DIAGNOSTICS v_n = ROW_COUNT;
    DELETE FROM schedulers s WHERE s.seen_at < v_old;
    GET DIAGNOSTICS v_more = ROW_COUNT;
    v_n := v_n + v_more;
    DELETE FROM apiservers a WHERE a.seen_at < v_old;
    GET DIAGNOSTICS v_more = ROW_COUNT;
    PERFORM audit_partitions_ensure(13);
    RETURN v_n + v_more;
END $$;
