-- Handing out jobs.

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
    p_low_after timestamptz, p_low_id text, p_attempt_ms int)
RETURNS TABLE (lease_id bigint, claimed bigint, last_after timestamptz, last_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_lease bigint;
    v_ids text[];
    v_alone bigint; -- place of the first job that is to run alone
    v_last_after timestamptz;
    v_last_id text;
    v_lane lanes;
    v_is_held bool; -- a rate or a breaker decides how much may go
    v_limit int := p_limit;
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    -- The lane's row is locked only where it is about to change; jobs are
    -- taken without waiting for anybody, so the order of locks is no matter.
    SELECT l.* INTO v_lane FROM lanes l WHERE l.issuer_id = p_issuer;
    v_is_held := v_lane.breaker_state <> 'closed' OR v_lane.rate_per_s IS NOT NULL;
    IF v_is_held THEN
        SELECT l.* INTO v_lane FROM lanes l WHERE l.issuer_id = p_issuer FOR NO KEY UPDATE;
        v_limit := least(p_limit, lane_allows(v_lane, v_now));
        IF v_limit <= 0 THEN
            RETURN;
        END IF;
    END IF;
    SELECT array_agg(p.id ORDER BY p.place), min(p.place) FILTER (WHERE p.deaths >= 3)
        INTO v_ids, v_alone
    FROM (SELECT r.id, r.deaths, row_number() OVER (ORDER BY r.run_after, r.id) AS place
        FROM (SELECT j.id, j.run_after, j.deaths FROM jobs j
            WHERE j.issuer_id = p_issuer AND j.status = 'Pending' AND j.type IN ('Issuance', 'Renewal')
                AND j.run_after <= v_now AND (j.run_after, j.id) >= (p_low_after, p_low_id)
            ORDER BY j.run_after, j.id LIMIT v_limit
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
        WHERE j.id = ANY (v_ids) AND j.serial_number IS NOT NULL AND j.ca_sha256 IS NOT NULL
            AND (j.not_before < v_now - interval '1 hour'
                OR j.ca_sha256 IS DISTINCT FROM decode(ca.fingerprint_sha256, 'hex'))
        ON CONFLICT DO NOTHING;
    WITH taken AS (
        UPDATE jobs j SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
            attempt_until = clock_timestamp() + make_interval(secs => p_attempt_ms / 1000.0), deliveries = j.deliveries + 1,
            budget_over_at = NULL,
            started_at = coalesce(j.started_at, v_now),
            serial_number = CASE WHEN f.is_fixed THEN j.serial_number ELSE serial_new(v_now) END,
            not_before = CASE WHEN f.is_fixed THEN j.not_before ELSE date_trunc('second', v_now) END,
            not_after = CASE WHEN f.is_fixed THEN j.not_after ELSE
                least(date_trunc('second', v_now) + make_interval(secs => f.validity), f.ca_not_after) END,
            extensions = CASE WHEN f.is_fixed THEN j.extensions ELSE f.extensions END,
            ca_sha256 = f.ca_sha256
        FROM (SELECT o.id, o.not_before IS NOT NULL AND o.not_before >= v_now - interval '1 hour'
                    AND o.ca_sha256 IS NOT DISTINCT FROM decode(ca.fingerprint_sha256, 'hex') AS is_fixed,
                least(coalesce((i.config ->> 'validity_seconds')::bigint, (i.config ->> 'validity_days')::bigint * 86400, 7776000),
                    nullif(pr.max_ttl_seconds, 0)) AS validity,
                coalesce(ca.not_after, 'infinity') AS ca_not_after,
                decode(ca.fingerprint_sha256, 'hex') AS ca_sha256,
                nullif(jsonb_strip_nulls(jsonb_build_object('ekus', pr.allowed_ekus,
                    'must_staple', nullif(coalesce(pr.must_staple, false), false),
                    'crl_urls', i.config -> 'crl_distribution_point_urls')), '{}') AS extensions
            FROM jobs o
            JOIN issuers i ON i.id = o.issuer_id
            LEFT JOIN managed_certificates c ON c.id = o.certificate_id
            LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id
            LEFT JOIN ca_certificates ca ON ca.issuer_id = o.issuer_id
            WHERE o.id = ANY (v_ids)) f
        WHERE j.id = f.id
        RETURNING j.id)
    SELECT count(*) INTO claimed FROM taken;
    IF v_is_held THEN
        UPDATE lanes l SET rate_tokens = lane_tokens(l, v_now) - claimed, rate_at = v_now,
            breaker_state = CASE WHEN l.breaker_state = 'closed' THEN 'closed' ELSE 'half_open' END,
            trial_lease = CASE WHEN l.breaker_state = 'closed' THEN NULL ELSE v_lease END
        WHERE l.issuer_id = p_issuer;
    END IF;
    SELECT j.run_after, j.id INTO v_last_after, v_last_id FROM jobs j WHERE j.id = v_ids[cardinality(v_ids)];
    RETURN QUERY SELECT v_lease, claimed, v_last_after, v_last_id;
END $$;
