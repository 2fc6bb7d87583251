DROP FUNCTION lanes_due(text[], timestamptz[], text[]), issue_park(text, bigint, text, jsonb, bigint, text), duty_renewal_budget();
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
CREATE OR REPLACE FUNCTION job_finish(p_ids text[], p_statuses text[], p_errors text[]) RETURNS void
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
CREATE OR REPLACE FUNCTION duty_job_timeouts(p_csr_ms bigint, p_approval_ms bigint, p_limit int) RETURNS bigint
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
CREATE OR REPLACE FUNCTION jobs_claim(p_incarnation text, p_term bigint, p_worker text, p_issuer text, p_limit int,
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
CREATE OR REPLACE FUNCTION worker_renew(p_incarnation text, p_name text, p_host text, p_pid int, p_version text, p_slots int)
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
CREATE OR REPLACE FUNCTION issue_complete(p_worker text, p_lease bigint, p_job_ids text[], p_pem text[], p_fingerprints text[],
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
CREATE OR REPLACE FUNCTION issue_set_aside(p_worker text, p_lease bigint, p_job_ids text[], p_outcomes text[], p_errors text[])
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
CREATE OR REPLACE FUNCTION certificates_refresh(p_ids text[]) RETURNS int
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
CREATE OR REPLACE FUNCTION duty_certificate_status(p_limit int) RETURNS bigint
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
DROP FUNCTION approval_decide(text, text, text, text, bool, text), jobs_fail_nonsense(int), job_nonsense(jobs);
DROP TABLE issuance_approval_requests;
DROP FUNCTION lane_allows(lanes, timestamptz), lane_tokens(lanes, timestamptz), lane_failed(text, bigint, text),
    lane_succeeded(text), retry_wait(int, int);
ALTER TABLE jobs DROP COLUMN putoffs, DROP COLUMN budget_over_at;
ALTER TABLE lanes RESET (fillfactor);
ALTER TABLE lanes DROP COLUMN rate_per_s, DROP COLUMN rate_tokens, DROP COLUMN rate_at, DROP COLUMN breaker_state,
    DROP COLUMN failures, DROP COLUMN failures_max, DROP COLUMN opens, DROP COLUMN opened_until, DROP COLUMN trial_lease,
    DROP COLUMN last_error;
DO $$
BEGIN
    REVOKE ALL ON FUNCTION lanes_due(text[], timestamptz[], text[]) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT EXECUTE ON FUNCTION lanes_due(text[], timestamptz[], text[]) TO certctl_scheduler;
    END IF;
END $$;
