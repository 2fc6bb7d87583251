-- Lanes with a breaker and a rate, jobs that park, and what a job's outcome
-- counts for.  Lane, breaker and rate state are rows: a new leader finds them
-- as the old one left them.

ALTER TABLE lanes
    ADD COLUMN rate_per_s double precision CHECK (rate_per_s > 0), -- jobs started a second; NULL: no limit
    ADD COLUMN rate_tokens double precision NOT NULL DEFAULT 1,
    ADD COLUMN rate_at timestamptz NOT NULL DEFAULT '-infinity', -- when the tokens were counted
    ADD COLUMN breaker_state text NOT NULL DEFAULT 'closed' CHECK (breaker_state IN ('closed', 'open', 'half_open')),
    ADD COLUMN failures int NOT NULL DEFAULT 0, -- in a row
    ADD COLUMN failures_max int NOT NULL DEFAULT 5 CHECK (failures_max > 0), -- that many open the breaker
    ADD COLUMN opens int NOT NULL DEFAULT 0, -- in a row
    ADD COLUMN opened_until timestamptz,
    ADD COLUMN trial_lease bigint, -- the one job let through while half-open
    ADD COLUMN last_error text;
ALTER TABLE lanes SET (fillfactor = 50);

ALTER TABLE jobs
    ADD COLUMN putoffs int NOT NULL DEFAULT 0, -- in a row
    ADD COLUMN budget_over_at timestamptz; -- its tick's budget ended while it ran

-- --- lanes ---

-- A bucket that holds what a second brings, one at least.
CREATE FUNCTION lane_tokens(l lanes, p_now timestamptz) RETURNS double precision
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN l.rate_at = '-infinity' THEN greatest(l.rate_per_s, 1)
        ELSE least(greatest(l.rate_per_s, 1),
            l.rate_tokens + greatest(extract(epoch FROM p_now - l.rate_at)::float8, 0) * l.rate_per_s) END
$$;

-- How many jobs a lane lets through now; NULL: as many as there are.
CREATE FUNCTION lane_allows(l lanes, p_now timestamptz) RETURNS int
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT CASE
        WHEN l.breaker_state = 'closed' AND l.rate_per_s IS NULL THEN NULL
        WHEN l.breaker_state = 'open' AND l.opened_until > p_now THEN 0
        WHEN l.breaker_state <> 'closed'
            AND EXISTS (SELECT 1 FROM jobs j WHERE j.lease_id = l.trial_lease AND j.status = 'Running') THEN 0
        ELSE least(CASE WHEN l.breaker_state <> 'closed' THEN 1 END, floor(lane_tokens(l, p_now))::int) END
$$;

-- One call to the issuer failed.  The fifth in a row opens the breaker for
-- 30 s; the failure of the job let through after that opens it for twice as
-- long, to ten minutes.  What was under way when it opened changes nothing.
CREATE FUNCTION lane_failed(p_issuer text, p_lease bigint, p_error text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE lanes l SET failures = l.failures + 1, last_error = p_error,
        breaker_state = CASE WHEN o.is_opening THEN 'open' ELSE l.breaker_state END,
        opened_until = CASE WHEN o.is_opening
            THEN engine_now() + make_interval(secs => least(600, 30 * power(2, least(l.opens, 10)))) ELSE l.opened_until END,
        opens = l.opens + CASE WHEN o.is_opening THEN 1 ELSE 0 END,
        trial_lease = CASE WHEN o.is_opening THEN NULL ELSE l.trial_lease END
    FROM (SELECT n.issuer_id, CASE WHEN n.breaker_state = 'closed' THEN n.failures + 1 >= n.failures_max
            ELSE coalesce(n.trial_lease = p_lease, false) END AS is_opening
        FROM lanes n WHERE n.issuer_id = p_issuer FOR NO KEY UPDATE) o
    WHERE l.issuer_id = o.issuer_id
$$;

CREATE FUNCTION lane_succeeded(p_issuer text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE lanes l SET failures = 0, opens = 0, breaker_state = 'closed', opened_until = NULL, trial_lease = NULL,
        last_error = NULL
    WHERE l.issuer_id = p_issuer
$$;

-- What the leader must know to hand out work: every lane that has a due job
-- behind its low-water key, how many batches each lane has running, and how
-- many jobs its rate and breaker let through (NULL: as many as there are).
DROP FUNCTION lanes_due(text[], timestamptz[], text[]);
CREATE FUNCTION lanes_due(p_issuers text[], p_low_after timestamptz[], p_low_ids text[])
RETURNS TABLE (issuer_id text, issuer_type text, cap int, running bigint, due bool, allows int, breaker_state text,
    opened_until timestamptz, last_error text)
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
                AND (j.run_after, j.id) >= (coalesce(w.low_after, '-infinity'), coalesce(w.low_id, ''))),
        lane_allows(l, v_now), l.breaker_state, l.opened_until, l.last_error
    FROM lanes l
    JOIN issuers i ON i.id = l.issuer_id
    LEFT JOIN unnest(p_issuers, p_low_after, p_low_ids) AS w (issuer_id, low_after, low_id) ON w.issuer_id = l.issuer_id
    LEFT JOIN (SELECT j.issuer_id, count(DISTINCT j.lease_id) AS n FROM jobs j
        WHERE j.status = 'Running' AND j.type IN ('Issuance', 'Renewal') GROUP BY 1) r ON r.issuer_id = l.issuer_id;
END $$;

-- Hands one lane's due jobs to a worker, as one lease: one running batch, one
-- permit.  The leader's term and the worker's lease are checked by the same
-- transaction.  An open lane gives nothing, a half-open one a single job, one
-- with a rate as many as it has tokens.  Serial and validity are fixed here,
-- before anything is signed.  One fixed over an hour ago, or for another
-- certificate of the CA, is written off (recorded as revoked) and fixed anew:
-- the same serial must never stand over two different certificates.  A job
-- that several workers died with runs alone.
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
        WHERE j.id = ANY (v_ids) AND j.serial_number IS NOT NULL AND j.extensions ? 'ca'
            AND (j.not_before < v_now - interval '1 hour'
                OR j.extensions ->> 'ca' IS DISTINCT FROM ca.fingerprint_sha256)
        ON CONFLICT DO NOTHING;
    WITH taken AS (
        UPDATE jobs j SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
            attempt_until = clock_timestamp() + interval '60 seconds', deliveries = j.deliveries + 1,
            budget_over_at = NULL,
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
    IF v_is_held THEN
        UPDATE lanes l SET rate_tokens = lane_tokens(l, v_now) - claimed, rate_at = v_now,
            breaker_state = CASE WHEN l.breaker_state = 'closed' THEN 'closed' ELSE 'half_open' END,
            trial_lease = CASE WHEN l.breaker_state = 'closed' THEN NULL ELSE v_lease END
        WHERE l.issuer_id = p_issuer;
    END IF;
    SELECT j.run_after, j.id INTO v_last_after, v_last_id FROM jobs j WHERE j.id = v_ids[cardinality(v_ids)];
    RETURN QUERY SELECT v_lease, claimed, v_last_after, v_last_id;
END $$;

-- --- workers ---

-- A worker's own row; its lease lasts 1.7 s and is renewed every 500 ms.
-- Answers with the jobs among its leases that are to stop before the outside
-- effect: somebody wants them cancelled, or their tick's budget is over.
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
        WHERE j.leased_by = p_incarnation AND j.status = 'Running' AND (j.cancel_requested_at IS NOT NULL OR j.budget_over_at IS NOT NULL)), '{}');
END $$;

-- Stores a batch of signed certificates: versions, certificates, jobs, the
-- deployments that follow, audit; all or none.  Only jobs still under this
-- lease of this worker count; the others are missing from the answer and
-- nothing is written for them.  Called again, it writes nothing and answers with what is
-- Completed under this lease: the lease id is the receipt.  The version of a
-- certificate that was revoked or archived meanwhile is stored and its serial
-- revoked.
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
    v_issuer text;
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
    SELECT array_agg(d.certificate_id ORDER BY d.certificate_id), array_agg(d.id), array_agg(d.agent_id), min(d.issuer_id)
        INTO v_certificates, v_jobs, v_agents, v_issuer
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
        -- A success closes the breaker; a healthy lane's row is only read.
        IF EXISTS (SELECT 1 FROM lanes l WHERE l.issuer_id = v_issuer AND (l.failures > 0 OR l.breaker_state <> 'closed')) THEN
            PERFORM lane_succeeded(v_issuer);
        END IF;
    END IF;
    RETURN QUERY SELECT n.job_id, n.agent_id FROM unnest(v_jobs, v_agents) AS n (job_id, agent_id);
    IF coalesce(cardinality(v_jobs), 0) < cardinality(p_job_ids) THEN
        RETURN QUERY SELECT j.id, j.agent_id::text FROM jobs j
            WHERE j.id = ANY (p_job_ids) AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Completed'
                AND (v_jobs IS NULL OR j.id <> ALL (v_jobs));
    END IF;
END $$;

-- How long a job waits after its nth failure: the policy's interval, a minute
-- at least, doubled each time to an hour, and a tenth more or less.
CREATE FUNCTION retry_wait(p_interval_seconds int, p_attempts int) RETURNS interval
LANGUAGE sql VOLATILE SET search_path = public, pg_temp AS $$
    SELECT make_interval(secs => greatest(60, p_interval_seconds, least(3600,
        greatest(60, p_interval_seconds) * power(2, least(p_attempts, 10)))) * (0.9 + random() * 0.2))
$$;

-- Ends or puts off jobs of a lease that made no certificate.  p_outcomes:
--   fail     Failed, with the reason
--   retry    a failure outside: the attempt counts, back-off, Failed when
--            attempts are used up; a failure of the lane
--   refuse   the CA answered and refused: as retry
--   putoff   back-off, nothing counted; the third in a row counts an attempt
--   release  Pending at once, nothing counted
--   cancel   Cancelled; where only the tick's budget asked for it, as release
CREATE OR REPLACE FUNCTION issue_set_aside(p_worker text, p_lease bigint, p_job_ids text[], p_outcomes text[], p_errors text[])
RETURNS TABLE (job_id text, status text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_own text[];
    v_outcomes text[];
    v_reasons text[];
    v_ids text[];
    v_statuses text[];
    v_errors text[];
    v_issuer text;
    v_why text;
BEGIN
    PERFORM jobs_lock(p_job_ids);
    SELECT array_agg(j.id), array_agg(CASE
            WHEN o.outcome = 'cancel' AND j.cancel_requested_at IS NULL AND j.budget_over_at IS NOT NULL THEN 'release'
            WHEN o.outcome = 'putoff' AND j.putoffs >= 2 THEN 'putoff_counted'
            ELSE o.outcome END), array_agg(o.error),
            min(j.issuer_id), min(o.error) FILTER (WHERE o.outcome IN ('retry', 'refuse'))
        INTO v_own, v_outcomes, v_reasons, v_issuer, v_why
    FROM unnest(p_job_ids, p_outcomes, p_errors) AS o (id, outcome, error)
    JOIN jobs j ON j.id = o.id
    WHERE j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running';
    SELECT array_agg(j.id), array_agg(CASE WHEN o.outcome = 'cancel' THEN 'Cancelled' ELSE 'Failed' END), array_agg(o.error)
        INTO v_ids, v_statuses, v_errors
    FROM unnest(v_own, v_outcomes, v_reasons) AS o (id, outcome, error)
    JOIN jobs j ON j.id = o.id
    WHERE o.outcome IN ('fail', 'cancel')
        OR (o.outcome IN ('retry', 'refuse', 'putoff_counted') AND j.attempts + 1 >= j.max_attempts);
    UPDATE jobs j SET attempts = j.attempts + 1 FROM unnest(v_own, v_outcomes) AS o (id, outcome)
        WHERE j.id = o.id AND o.outcome <> 'cancel' AND j.id = ANY (v_ids);
    UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL, budget_over_at = NULL,
        attempts = j.attempts + CASE WHEN o.outcome IN ('retry', 'refuse', 'putoff_counted') THEN 1 ELSE 0 END,
        putoffs = CASE o.outcome WHEN 'putoff' THEN j.putoffs + 1 WHEN 'release' THEN j.putoffs ELSE 0 END,
        last_error = CASE WHEN o.outcome = 'release' THEN j.last_error ELSE o.error END,
        run_after = CASE WHEN o.outcome = 'release' THEN v_now
            ELSE v_now + retry_wait(w.seconds, CASE WHEN o.outcome = 'putoff' THEN 0 ELSE j.attempts END) END
    FROM unnest(v_own, v_outcomes, v_reasons) AS o (id, outcome, error)
    LEFT JOIN LATERAL (SELECT p.retry_interval_seconds AS seconds
        FROM jobs n JOIN managed_certificates c ON c.id = n.certificate_id JOIN renewal_policies p ON p.id = c.renewal_policy_id
        WHERE n.id = o.id) w ON true
    WHERE j.id = o.id AND (v_ids IS NULL OR j.id <> ALL (v_ids));
    IF v_ids IS NOT NULL THEN
        PERFORM job_finish(v_ids, v_statuses, v_errors);
    END IF;
    IF 'retry' = ANY (v_outcomes) OR 'refuse' = ANY (v_outcomes) THEN
        PERFORM lane_failed(v_issuer, p_lease, v_why);
    END IF;
    RETURN QUERY SELECT j.id, j.status::text FROM jobs j WHERE j.id = ANY (p_job_ids);
END $$;

-- Puts a job that waits for its CA to sleep: a row with a run_after and a
-- checkpoint to go on from, no permit, no lease, nothing counted.  p_reason
-- is shown to people (NULL: nothing is).  Outcomes: parked; lost (the lease is
-- not this worker's any more, and nothing was written).
CREATE FUNCTION issue_park(p_worker text, p_lease bigint, p_job_id text, p_checkpoint jsonb, p_wait_ms bigint, p_reason text)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL, budget_over_at = NULL,
        putoffs = 0, checkpoint = p_checkpoint, last_error = nullif(p_reason, ''),
        -- A month at most: a slip of the unit must not park it for ever.
        run_after = engine_now() + make_interval(secs => least(greatest(p_wait_ms, 0), 2592000000) / 1000.0)
    WHERE j.id = p_job_id AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running';
    RETURN CASE WHEN FOUND THEN 'parked' ELSE 'lost' END;
END $$;

-- --- a tick's budget ---

-- A renewal tick's budget ends where the next tick begins: what the scan had
-- started and still runs at an outside CA is asked to stop before its outside
-- effect, or at its next checkpoint.  It comes back as Pending, nothing
-- counted.  Batches of the local CA take moments and are left alone.
CREATE FUNCTION duty_renewal_budget() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_n bigint;
BEGIN
    UPDATE jobs j SET budget_over_at = engine_now()
    WHERE j.id IN (SELECT o.id FROM jobs o JOIN issuers i ON i.id = o.issuer_id
        WHERE o.status = 'Running' AND o.type IN ('Issuance', 'Renewal') AND o.requested_by = 'system'
            AND o.budget_over_at IS NULL AND lower(i.type) <> 'genericca'
        FOR NO KEY UPDATE OF o SKIP LOCKED);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

DO $$
BEGIN
    REVOKE ALL ON FUNCTION lane_tokens(lanes, timestamptz), lane_allows(lanes, timestamptz), lane_failed(text, bigint, text),
        lane_succeeded(text), lanes_due(text[], timestamptz[], text[]), retry_wait(int, int),
        issue_park(text, bigint, text, jsonb, bigint, text), duty_renewal_budget() FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT EXECUTE ON FUNCTION lanes_due(text[], timestamptz[], text[]), duty_renewal_budget() TO certctl_scheduler;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_worker') THEN
        GRANT EXECUTE ON FUNCTION issue_park(text, bigint, text, jsonb, bigint, text) TO certctl_worker;
    END IF;
END $$;
