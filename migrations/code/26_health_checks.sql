-- Health checks of TLS endpoints: docs/operator/health-checks.md.

-- The one place that says what a probe makes of a check.  served: it answered with what is expected; other: with another
-- certificate; failed: not at all; refused: it may not be asked, so nothing is known.  A threshold counts the failures in a
-- row, that one among them; below both the status stays what it was.
CREATE FUNCTION health_step(p_status text, p_failures int, p_degraded int, p_down int, p_outcome text, OUT status text,
    OUT failures int) LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_outcome = 'served' THEN 'healthy' WHEN p_outcome = 'other' THEN 'cert_mismatch'
            WHEN p_outcome = 'refused' THEN 'unknown' WHEN f.n >= p_down THEN 'down' WHEN f.n >= p_degraded THEN 'degraded'
            ELSE p_status END, f.n
    FROM (SELECT CASE p_outcome WHEN 'failed' THEN p_failures + 1 ELSE 0 END AS n) f
$$;

-- The fingerprints that are right for a check: the one that it names, or the newest version of its certificate for each key
-- holder, and for a moment those before, whose deployment is under way.  NULL: any is right.
CREATE FUNCTION health_expected(p_fingerprint text, p_certificate_id text) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_fingerprint <> '' THEN ARRAY[lower(replace(p_fingerprint, ':', ''))]
        WHEN p_certificate_id IS NOT NULL THEN
        (SELECT array_agg(v.fingerprint_sha256::text ORDER BY v.id DESC) FROM certificate_versions v
            WHERE v.certificate_id = p_certificate_id AND NOT EXISTS (SELECT 1 FROM certificate_versions n
                WHERE n.certificate_id = v.certificate_id AND n.key_holder = v.key_holder AND n.id > v.id
                    AND n.created_at <= engine_now() - policy_condition_served())) END
$$;

-- What the probes of a worker's task came to; it ends the task, or leaves it those checks that somebody holds, for a moment
-- later: by themselves they would be due an interval later.  later: not asked, by no fault of the endpoint, so due again at once.  A row for each change of status, and one that names none; no row: the task is not this worker's any more.
CREATE FUNCTION health_checks_store(p_worker text, p_lease bigint, p_task text, p_ids text[], p_outcomes text[], p_fingerprints text[],
    p_response_ms int[], p_versions text[], p_ciphers text[], p_subjects text[], p_issuers text[], p_expiries timestamptz[],
    p_reasons text[]) RETURNS TABLE (id text, endpoint text, status_before text, status text, reason text)
LANGUAGE sql SECURITY DEFINER AS $$
    WITH mine AS MATERIALIZED (
        SELECT t.id FROM tasks t WHERE t.leased_by = p_worker AND t.lease_id = p_lease AND t.id = p_task AND t.status = 'Running' FOR UPDATE
    ), met AS MATERIALIZED (
        SELECT c.id, c.endpoint, c.certificate_id, c.status AS status_before, c.status <> n.status AS is_moved, n.status, n.failures,
            u.outcome, u.outcome IN ('served', 'other') AS is_answer, u.fingerprint, u.response_ms, u.version, u.cipher, u.subject, u.issuer, u.expiry,
            u.reason, z.now
        FROM mine d
        CROSS JOIN (SELECT engine_now() AS now) z
        CROSS JOIN unnest(p_ids, p_outcomes, p_fingerprints, p_response_ms, p_versions, p_ciphers, p_subjects, p_issuers, p_expiries, p_reasons)
            AS u (id, outcome, fingerprint, response_ms, version, cipher, subject, issuer, expiry, reason)
        CROSS JOIN LATERAL (SELECT o.id, o.endpoint, o.certificate_id, o.status, o.consecutive_failures, o.degraded_threshold, o.down_threshold
            FROM endpoint_health_checks o WHERE o.id = u.id AND o.probe_task = d.id FOR NO KEY UPDATE SKIP LOCKED) c
        CROSS JOIN LATERAL health_step(c.status, c.consecutive_failures, c.degraded_threshold, c.down_threshold, u.outcome) n
    ), held AS MATERIALIZED (
        SELECT jsonb_agg(o.id) AS ids FROM mine d JOIN endpoint_health_checks o ON o.id = ANY (p_ids) AND o.probe_task = d.id
        WHERE NOT EXISTS (SELECT 1 FROM met m WHERE m.id = o.id)
    ), done AS (
        DELETE FROM tasks t USING mine d, held h WHERE t.id = d.id AND h.ids IS NULL
    ), kept_task AS (
        UPDATE tasks t SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
            payload = jsonb_build_object('checks', h.ids), run_after = engine_now() + policy_held_rest()
        FROM mine d, held h WHERE t.id = d.id AND h.ids IS NOT NULL
    ), later AS (
        UPDATE endpoint_health_checks c SET next_check_at = m.now, probe_task = NULL
        FROM met m WHERE m.outcome = 'later' AND c.id = m.id
    ), stored AS (
        UPDATE endpoint_health_checks c SET status = s.status, consecutive_failures = s.failures, last_checked_at = s.now,
            failure_reason = s.reason, probe_task = NULL,
            observed_fingerprint = CASE WHEN s.is_answer THEN s.fingerprint ELSE c.observed_fingerprint END,
            response_time_ms = CASE WHEN s.is_answer THEN s.response_ms ELSE c.response_time_ms END,
            tls_version = CASE WHEN s.is_answer THEN s.version ELSE c.tls_version END,
            cipher_suite = CASE WHEN s.is_answer THEN s.cipher ELSE c.cipher_suite END,
            cert_subject = CASE WHEN s.is_answer THEN s.subject ELSE c.cert_subject END,
            cert_issuer = CASE WHEN s.is_answer THEN s.issuer ELSE c.cert_issuer END,
            cert_expiry = CASE WHEN s.is_answer THEN s.expiry ELSE c.cert_expiry END,
            last_success_at = CASE WHEN s.is_answer THEN s.now ELSE c.last_success_at END,
            last_failure_at = CASE WHEN s.outcome = 'failed' THEN s.now ELSE c.last_failure_at END,
            last_transition_at = CASE WHEN s.is_moved THEN s.now ELSE c.last_transition_at END,
            acknowledged = c.acknowledged AND NOT s.is_moved,
            acknowledged_by = CASE WHEN s.is_moved THEN '' ELSE c.acknowledged_by END,
            acknowledged_at = CASE WHEN NOT s.is_moved THEN c.acknowledged_at END
        FROM met s WHERE s.outcome <> 'later' AND c.id = s.id
    ), kept AS (
        INSERT INTO endpoint_health_history (id, health_check_id, status, response_time_ms, fingerprint, failure_reason, checked_at)
        SELECT id_new('hch'), s.id, s.status, s.response_ms, s.fingerprint, s.reason, s.now FROM met s WHERE s.outcome <> 'later'
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT 'system', 'System', 'health_check_status_transition', 'health_check', s.id, jsonb_strip_nulls(jsonb_build_object(
            'endpoint', s.endpoint, 'certificate_id', s.certificate_id, 'from', s.status_before, 'to', s.status, 'reason', s.reason))
        FROM met s WHERE s.outcome <> 'later' AND s.is_moved
    )
    SELECT s.id, s.endpoint, s.status_before, s.status, s.reason FROM met s WHERE s.outcome <> 'later' AND s.is_moved
    UNION ALL SELECT '', '', '', '', '' FROM mine
$$;

-- Due checks become one task; one whose task has not ended is due again an interval later, unless that task failed and rests
-- for longer.  What somebody holds is met by the next run.
CREATE FUNCTION duty_health_checks(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_task text := id_new('task'); v_ids text[]; v_taken text[];
BEGIN
    SELECT array_agg(d.id) INTO v_ids FROM (SELECT c.id FROM endpoint_health_checks c
        WHERE c.enabled AND c.next_check_at <= v_now ORDER BY c.next_check_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) d;
    IF v_ids IS NULL THEN RETURN 0; END IF;
    WITH moved AS (
        UPDATE endpoint_health_checks c SET next_check_at = v_now + make_interval(secs => c.check_interval_seconds),
            probe_task = CASE WHEN EXISTS (SELECT 1 FROM tasks t WHERE t.id = c.probe_task AND (t.status = 'Running'
                    OR t.status = 'Pending' AND t.run_after <= v_now + make_interval(secs => c.check_interval_seconds)))
                THEN c.probe_task ELSE v_task END
        FROM unnest(v_ids) AS u (id) WHERE c.id = u.id RETURNING c.id, c.probe_task)
    SELECT array_agg(m.id) FILTER (WHERE m.probe_task = v_task) INTO v_taken FROM moved m;
    INSERT INTO tasks (id, kind, subject, payload, run_after, created_at)
        SELECT v_task, 'health_check', v_taken[1], jsonb_build_object('checks', v_taken), v_now, v_now
        WHERE v_taken IS NOT NULL;
    RETURN cardinality(v_ids);
END $$;

-- What was seen before the cut goes; its ids hold their time.
CREATE FUNCTION duty_health_history(p_keep_ms bigint, p_limit int) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH gone AS (
        DELETE FROM endpoint_health_history h WHERE h.id IN (SELECT o.id FROM endpoint_health_history o
            WHERE o.id < id_bound('hch', (SELECT engine_now()) - ms(p_keep_ms)) ORDER BY o.id LIMIT p_limit FOR UPDATE SKIP LOCKED)
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- moved: the rows that came, or went; the argument is the sign.
CREATE FUNCTION health_check_counts_keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_sign int := TG_ARGV[0]::int;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE health_check_counts k SET healthy = 0, degraded = 0, down = 0, cert_mismatch = 0, unknown = 0;
        RETURN NULL;
    END IF;
    UPDATE health_check_counts k SET healthy = k.healthy + v_sign * m.healthy, degraded = k.degraded + v_sign * m.degraded,
        down = k.down + v_sign * m.down, cert_mismatch = k.cert_mismatch + v_sign * m.cert_mismatch, unknown = k.unknown + v_sign * m.unknown
    FROM (SELECT count(*) AS n, count(*) FILTER (WHERE c.status = 'healthy') AS healthy,
            count(*) FILTER (WHERE c.status = 'degraded') AS degraded, count(*) FILTER (WHERE c.status = 'down') AS down,
            count(*) FILTER (WHERE c.status = 'cert_mismatch') AS cert_mismatch, count(*) FILTER (WHERE c.status = 'unknown') AS unknown
        FROM moved c) m WHERE m.n > 0 AND k.shard = pg_backend_pid() % 16;
    RETURN NULL;
END $$;

-- What was said of another endpoint, or is expected now, is nothing of this one: it is asked anew, and soon.
CREATE FUNCTION health_check_begin_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.next_check_at := engine_now();
    NEW.probe_task := NULL;
    IF NEW.endpoint <> OLD.endpoint THEN
        NEW.status := 'unknown'; NEW.consecutive_failures := 0; NEW.failure_reason := ''; NEW.observed_fingerprint := '';
        NEW.response_time_ms := 0; NEW.tls_version := ''; NEW.cipher_suite := ''; NEW.cert_subject := ''; NEW.cert_issuer := '';
        NEW.cert_expiry := NULL; NEW.last_checked_at := NULL; NEW.last_success_at := NULL; NEW.last_failure_at := NULL;
        NEW.last_transition_at := CASE WHEN OLD.status <> 'unknown' THEN engine_now() ELSE OLD.last_transition_at END;
        NEW.acknowledged := false; NEW.acknowledged_by := ''; NEW.acknowledged_at := NULL;
    END IF;
    RETURN NEW;
END $$;
