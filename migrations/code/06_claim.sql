-- Handing out jobs.

-- A serial has 40 hex digits: a fixed leading 5 (so the number is positive and never padded), eleven digits of unix
-- milliseconds, 112 random bits.
CREATE FUNCTION serial_start(p_now timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT '5' || lpad(to_hex((extract(epoch FROM p_now) * 1000)::bigint), 11, '0')
$$;

CREATE FUNCTION serial_new(p_start text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT p_start || encode(gen_random_bytes(14), 'hex') $$;

-- Whether a list of the CA may be asked for the order of a job: its connector said so when it set it aside, and nobody wants it cancelled.
CREATE FUNCTION order_is_listed(j jobs) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT j.cancel_requested_at IS NULL AND coalesce(j.checkpoint ->> 'state' = 'ordered' AND j.checkpoint ? 'together', false)
$$;

-- How many of a lane's due jobs, from the first on, are orders for one list; NULL: too few, or the worker's version knows no lists.
-- So a lane of other jobs pays for a look at one row.
CREATE FUNCTION orders_listed(p_worker text, p_issuer text, p_now timestamptz, p_low_after timestamptz, p_low_id text) RETURNS int
LANGUAGE plpgsql STABLE SET enable_bitmapscan = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE v_n int := 0; v_job jobs;
BEGIN
    FOR v_job IN SELECT j.* FROM jobs j WHERE j.issuer_id = p_issuer AND j.status = 'Pending' AND job_issues(j.type)
        AND j.run_after <= p_now AND (j.run_after, j.id) >= (p_low_after, p_low_id) ORDER BY j.run_after, j.id LIMIT policy_list_most() LOOP
        EXIT WHEN NOT order_is_listed(v_job);
        v_n := v_n + 1;
    END LOOP;
    RETURN CASE WHEN v_n >= policy_list_least() AND EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.code = current_schema())
        THEN v_n END;
END $$;

-- Hands one lane's due jobs to a worker, as one lease: one running batch, one permit.  The leader's term and the worker's
-- lease are checked by the same transaction.  Serial and validity are fixed here, before anything is signed.  One fixed too
-- long ago (half its life, at most), or for another certificate of the CA, is written off (recorded as revoked) and fixed
-- anew: the same serial must never stand over two different certificates.  Suspects, jobs that several workers died with,
-- go when nothing else of the lane is due: the most suspicious first, and a worker holds half as many with each death,
-- until one is alone.  Orders that one list of their CA may be asked for go together, as one job, where they are the first that are due
-- and enough for it to pay.  claimed is 0 where there is nothing to have; no row: it is not for this worker.
CREATE FUNCTION jobs_claim(p_incarnation text, p_term bigint, p_worker text, p_issuer text, p_limit int,
    p_low_after timestamptz, p_low_id text, p_attempt_ms int, p_only text DEFAULT NULL)
RETURNS TABLE (lease_id bigint, claimed bigint, last_after timestamptz, last_id text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now timestamptz := engine_now(); v_lease bigint := nextval('lease_seq');
    v_all record; -- what is the same for all jobs, so that it is not made for each
    v_lane lanes;
    v_is_held bool; -- a rate or a breaker decides how much may go
    v_limit int := p_limit;
    v_together int; -- orders for one list; NULL: none is asked for
    v_deaths int; v_room int; -- of the suspects that go; NULL: the others do
BEGIN
    PERFORM leadership_check(p_term, p_incarnation);
    IF NOT worker_lives(p_worker) THEN RETURN; END IF;
    -- The lane's row is locked only where it is about to change, and nothing is waited for, so the order of locks is no
    -- matter.  A lane whose row somebody holds has claimed 0.
    SELECT l.* INTO v_lane FROM lanes l WHERE l.issuer_id = p_issuer;
    v_is_held := v_lane.breaker_state <> 'closed' OR v_lane.rate_per_s IS NOT NULL;
    IF v_is_held THEN
        SELECT l.* INTO v_lane FROM lanes l WHERE l.issuer_id = p_issuer FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN QUERY SELECT v_lease, 0::bigint, p_low_after, p_low_id;
            RETURN;
        END IF;
        v_limit := least(p_limit, lane_allows(v_lane, v_now));
        IF v_limit <= 0 THEN RETURN; END IF;
    END IF;
    SELECT max(cardinality(j.died_with)) FILTER (WHERE j.status = 'Pending'), greatest(1, policy_deaths_together()
            / 2 ^ (max(cardinality(j.died_with)) - policy_deaths_alone())) - count(*) FILTER (WHERE j.status = 'Running') INTO v_deaths, v_room
    FROM jobs j WHERE j.died_with IS NOT NULL AND j.status IN ('Pending', 'Running') AND cardinality(j.died_with) >= policy_deaths_alone()
        AND CASE j.status WHEN 'Running' THEN j.leased_by = p_worker ELSE j.issuer_id = p_issuer AND j.run_after <= v_now
            AND j.type IN ('Issuance', 'Renewal') AND (j.run_after, j.id) >= (p_low_after, p_low_id) END;
    IF v_deaths IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.issuer_id = p_issuer AND j.status = 'Pending'
            AND j.type IN ('Issuance', 'Renewal') AND j.run_after <= v_now AND (j.run_after, j.id) >= (p_low_after, p_low_id)
            AND coalesce(cardinality(j.died_with), 0) < policy_deaths_alone()) THEN
        v_limit := least(v_limit, v_room);
        IF v_limit <= 0 THEN RETURN; END IF;
    ELSE v_deaths := NULL; END IF;
    IF v_limit = 1 AND v_deaths IS NULL AND p_only IS NULL THEN
        v_together := orders_listed(p_worker, p_issuer, v_now, p_low_after, p_low_id);
        v_limit := coalesce(v_together, v_limit);
    END IF;
    SELECT coalesce(make_interval(secs => (i.config ->> 'validity_seconds')::bigint), days((i.config ->> 'validity_days')::int),
                policy_validity()) AS validity,
            nullif(jsonb_strip_nulls(jsonb_build_object('crl_urls', i.config -> 'crl_distribution_point_urls',
                'ocsp_urls', i.config -> 'ocsp_responder_urls')), '{}') AS extensions,
            coalesce(ca.not_before, '-infinity') AS ca_not_before, coalesce(ca.not_after, 'infinity') AS ca_not_after, decode(ca.fingerprint_sha256, 'hex') AS ca_sha256,
            serial_start(v_now) AS serial_start, date_trunc('second', v_now) AS now_s,
            clock_timestamp() + ms(p_attempt_ms) AS attempt_until INTO v_all
    FROM issuers i LEFT JOIN ca_certificates ca ON ca.issuer_id = i.id AND ca.state = 'current' WHERE i.id = p_issuer;
    WITH picked AS MATERIALIZED (
        SELECT r.*, row_number() OVER (ORDER BY r.run_after, r.id) AS place FROM (SELECT j.id, j.run_after, j.certificate_id, j.serial_number, j.ca_sha256,
                coalesce(j.not_before >= v_now - policy_serial_age() - policy_backdate() AND j.not_after - v_now > v_now - j.not_before, false)
                    AND j.ca_sha256 IS NOT DISTINCT FROM v_all.ca_sha256 AS is_fixed FROM jobs j
            WHERE j.issuer_id = p_issuer AND j.status = 'Pending' AND job_issues(j.type)
                AND j.run_after <= v_now AND (j.run_after, j.id) >= (p_low_after, p_low_id)
                AND (j.serial_number IS NULL OR EXISTS (SELECT 1 FROM managed_certificates c JOIN issuers i ON i.id = j.issuer_id
                    WHERE c.id = j.certificate_id FOR KEY SHARE SKIP LOCKED)) -- what may be written off refers to them
                AND (v_together IS NULL OR order_is_listed(j))
                AND CASE WHEN p_only IS NOT NULL THEN j.id = p_only WHEN v_deaths IS NOT NULL THEN cardinality(j.died_with) = v_deaths
                    ELSE coalesce(cardinality(j.died_with), 0) < policy_deaths_alone() END
            ORDER BY j.run_after, j.id LIMIT v_limit FOR NO KEY UPDATE SKIP LOCKED) r
    ), written_off AS (
        INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, job_id)
        SELECT id_new('rev'), g.certificate_id, g.serial_number, 'superseded', 'system', p_issuer, g.id
        FROM picked g
        -- Nothing is ever signed under a serial that was fixed without a CA.
        WHERE NOT g.is_fixed AND g.serial_number IS NOT NULL AND g.ca_sha256 IS NOT NULL ON CONFLICT DO NOTHING
    ), taken AS (
        UPDATE jobs j SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
            attempt_until = v_all.attempt_until, deliveries = j.deliveries + 1, budget_over_at = NULL,
            started_at = coalesce(j.started_at, v_now),
            serial_number = CASE WHEN g.is_fixed THEN j.serial_number ELSE serial_new(v_all.serial_start) END,
            not_before = CASE WHEN g.is_fixed THEN j.not_before ELSE f.not_before END,
            not_after = CASE WHEN g.is_fixed THEN j.not_after ELSE least(f.not_before + f.validity - ms(1000), v_all.ca_not_after) END,
            extensions = CASE WHEN g.is_fixed THEN j.extensions WHEN pr.id IS NULL THEN v_all.extensions
                ELSE nullif(coalesce(v_all.extensions, '{}') || jsonb_strip_nulls(jsonb_build_object('ekus', pr.allowed_ekus,
                    'must_staple', nullif(pr.must_staple, false))), '{}') END,
            ca_sha256 = v_all.ca_sha256 FROM picked g LEFT JOIN managed_certificates c ON c.id = g.certificate_id
        LEFT JOIN certificate_profiles pr ON pr.id = c.certificate_profile_id
        -- For clocks that are behind it begins before now, short ones less so; its whole lifetime stays what was ordered,
        -- both ends included (RFC 5280 section 4.1.2.5).
        CROSS JOIN LATERAL (SELECT v.validity, greatest(v_all.ca_not_before,
                v_all.now_s - date_trunc('second', least(policy_backdate(), v.validity / policy_backdate_part()))) AS not_before
            FROM (SELECT least(v_all.validity, make_interval(secs => nullif(pr.max_ttl_seconds, 0))) AS validity) v) f
        WHERE j.id = g.id RETURNING j.run_after, j.id, g.place)
    SELECT count(*) OVER (), t.run_after, t.id INTO claimed, last_after, last_id
    FROM taken t ORDER BY t.place DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT v_lease, 0::bigint, p_low_after, p_low_id;
        RETURN;
    END IF;
    IF v_is_held THEN
        UPDATE lanes l SET rate_tokens = lane_tokens(l, v_now) - CASE WHEN v_together IS NULL THEN claimed ELSE 1 END, rate_at = v_now,
            breaker_state = CASE WHEN l.breaker_state = 'closed' THEN 'closed' ELSE 'half_open' END,
            trial_lease = CASE WHEN l.breaker_state = 'closed' THEN NULL ELSE v_lease END
        WHERE l.issuer_id = p_issuer;
    END IF;
    RETURN QUERY SELECT v_lease, claimed, last_after, last_id;
END $$;

-- The first due job of a lane whose claim was refused for what is stored of it (class 22 or 23): it is handed out alone, or
-- set aside with the database's words as after a failure of its CA, so that the lane and its other jobs go on.
CREATE FUNCTION jobs_claim_alone(p_incarnation text, p_term bigint, p_worker text, p_issuer text, p_low_after timestamptz,
    p_low_id text, p_attempt_ms int, p_words jsonb) RETURNS TABLE (lease_id bigint, claimed bigint, last_after timestamptz, last_id text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off AS $$
DECLARE v_job record; v_lease bigint := nextval('lease_seq'); v_why text;
BEGIN
    PERFORM leadership_check(p_term, p_incarnation);
    SELECT j.id, j.run_after INTO v_job FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id
        WHERE j.issuer_id = p_issuer AND j.status = 'Pending' AND job_issues(j.type)
            AND j.run_after <= (SELECT engine_now()) AND (j.run_after, j.id) >= (p_low_after, p_low_id)
            -- What is set aside is written twice, so its keys are checked.
            AND EXISTS (SELECT 1 FROM issuers i WHERE i.id = p_issuer FOR KEY SHARE SKIP LOCKED)
            AND (j.agent_id IS NULL OR EXISTS (SELECT 1 FROM agents a WHERE a.id = j.agent_id FOR KEY SHARE SKIP LOCKED))
        ORDER BY j.run_after, j.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN; END IF;
    BEGIN
        RETURN QUERY SELECT c.lease_id, c.claimed, c.last_after, c.last_id FROM jobs_claim(p_incarnation, p_term, p_worker,
            p_issuer, 1, v_job.run_after, v_job.id, p_attempt_ms, v_job.id) c;
        RETURN;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        v_why := job_say(p_words, 'refused_data', SQLERRM);
    END;
    UPDATE jobs j SET status = 'Running', lease_id = v_lease, leased_by = p_worker WHERE j.id = v_job.id;
    UPDATE lanes l SET trial_lease = v_lease WHERE l.issuer_id = p_issuer AND l.breaker_state <> 'closed';
    PERFORM issue_set_aside(p_worker, v_lease, ARRAY[v_job.id], '{retry}', ARRAY[v_why]);
END $$;
