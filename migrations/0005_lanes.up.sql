-- Lanes with a breaker and a rate, jobs that park, what a job's outcome counts
-- for, and the approval that gates every path into issuance.  Lane, breaker and rate state are rows: a new leader finds them
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
        CASE WHEN l.breaker_state <> 'closed' OR l.rate_per_s IS NOT NULL THEN lane_allows(l, v_now) END,
        l.breaker_state, l.opened_until, l.last_error
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

-- --- approval ---

CREATE TABLE issuance_approval_requests (
    id text PRIMARY KEY,
    certificate_id text REFERENCES managed_certificates (id) ON DELETE CASCADE,
    job_id text REFERENCES jobs (id) ON DELETE CASCADE,
    profile_id text NOT NULL REFERENCES certificate_profiles (id) ON DELETE RESTRICT,
    requested_by text NOT NULL,
    state varchar(20) NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'rejected', 'expired')),
    decided_by text,
    decided_at timestamptz,
    decision_note text,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    approval_kind text NOT NULL DEFAULT 'cert_issuance' CHECK (approval_kind IN ('cert_issuance', 'profile_edit')),
    payload jsonb,
    CONSTRAINT approvals_decided CHECK ((state = 'pending') = (decided_by IS NULL) AND (state = 'pending') = (decided_at IS NULL)),
    CONSTRAINT approvals_subject CHECK (CASE approval_kind WHEN 'cert_issuance' THEN certificate_id IS NOT NULL AND job_id IS NOT NULL
        ELSE payload IS NOT NULL END)
);
CREATE UNIQUE INDEX issuance_approval_requests_pending ON issuance_approval_requests (job_id) WHERE state = 'pending';
CREATE INDEX issuance_approval_requests_job_id ON issuance_approval_requests (job_id);
CREATE INDEX issuance_approval_requests_certificate_id ON issuance_approval_requests (certificate_id);
CREATE INDEX issuance_approval_requests_created_at ON issuance_approval_requests (created_at, id);

-- Jobs that wait already: somebody must be able to decide.
INSERT INTO issuance_approval_requests (id, certificate_id, job_id, profile_id, requested_by, created_at)
    SELECT 'ar-' || gen_random_uuid(), j.certificate_id, j.id, c.certificate_profile_id, j.requested_by, j.created_at
    FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id
    WHERE j.status = 'AwaitingApproval' AND c.certificate_profile_id IS NOT NULL;

-- One issuance or renewal job a certificate and key holder, unless one is
-- under way.  The key holders of a certificate are the agents of its targets;
-- one without targets has none yet, and its job waits for a CSR all the same.
-- Where the profile demands it the job waits for an approval first, and the
-- request for it is made with the job.  Every path into issuance comes here.
-- Says for every certificate asked for what became of it:
--   enqueued, in_progress, archived, revoked, expired (unless p_allow_expired),
--   issuer_disabled.  Unknown ids give no row.
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

-- Every end of a job goes through here: final state, the certificates'
-- statuses, and when the next try falls due.  The caller holds the locks on
-- certificates and jobs and has checked that the job may end so.
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
    IF p_statuses && '{Cancelled,Failed}'::text[] THEN
        -- Nobody is asked any more about a job that has ended.
        WITH over AS (
            UPDATE issuance_approval_requests r SET state = 'expired', decided_by = 'system', decided_at = v_now, updated_at = v_now,
                decision_note = j.last_error
            FROM jobs j
            WHERE r.job_id = ANY (p_ids) AND r.state = 'pending' AND j.id = r.job_id
                AND j.status IN ('Completed', 'Failed', 'Cancelled')
            RETURNING r.id, r.certificate_id, r.job_id, r.decision_note
        )
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT 'system', 'System', 'approval_expired', 'approval', o.id, jsonb_strip_nulls(jsonb_build_object(
            'certificate_id', o.certificate_id, 'job_id', o.job_id, 'reason', o.decision_note))
        FROM over o;
    END IF;
    -- A renewal that failed is tried again, a minute later at the earliest.
    UPDATE managed_certificates c SET renew_after = v_now + make_interval(secs => greatest(p.retry_interval_seconds, 60))
    FROM renewal_policies p
    WHERE c.id IN (SELECT j.certificate_id FROM jobs j WHERE j.id = ANY (p_ids) AND j.status = 'Failed' AND j.type <> 'Deployment')
        AND p.id = c.renewal_policy_id AND c.expires_at IS NOT NULL;
    IF v_certificates IS NOT NULL THEN
        PERFORM certificates_refresh(v_certificates);
    END IF;
END $$;

-- A person's decision on a request, named by its id or by its job.  An
-- approved job goes on (to its CSR, or to the queue when it has one), a
-- rejected one is Cancelled.  Nobody decides what they asked for, nor for a
-- certificate of their own.  Outcomes: approved, rejected, unknown, decided,
-- self, owner, not_waiting; state and job_status are what they were before.
CREATE FUNCTION approval_decide(p_id text, p_job text, p_actor text, p_actor_type text, p_approve bool, p_note text)
RETURNS TABLE (outcome text, id text, state text, job_status text, agent_id text, issuer_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_note text := nullif(p_note, '');
    v_request record;
    v_job record;
BEGIN
    SELECT r.id, r.job_id INTO v_request FROM issuance_approval_requests r
        WHERE r.approval_kind = 'cert_issuance' AND (r.id = p_id OR (p_id IS NULL AND r.job_id = p_job))
        ORDER BY r.created_at DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT CASE WHEN j.id IS NULL THEN 'unknown' ELSE 'not_waiting' END, NULL::text, NULL::text,
                j.status::text, NULL::text, NULL::text
            FROM (SELECT 1) one LEFT JOIN jobs j ON j.id = p_job AND p_id IS NULL;
        RETURN;
    END IF;
    PERFORM jobs_lock(ARRAY[v_request.job_id]);
    SELECT r.* INTO v_request FROM issuance_approval_requests r WHERE r.id = v_request.id FOR NO KEY UPDATE;
    SELECT j.id, j.status, j.agent_id, j.issuer_id, j.csr_pem IS NOT NULL AS has_csr, o.name, o.email INTO v_job
        FROM jobs j LEFT JOIN managed_certificates c ON c.id = j.certificate_id LEFT JOIN owners o ON o.id = c.owner_id
        WHERE j.id = v_request.job_id;
    outcome := CASE
        WHEN v_request.state <> 'pending' THEN 'decided'
        WHEN v_job.status <> 'AwaitingApproval' THEN 'not_waiting'
        WHEN p_actor = v_request.requested_by THEN 'self'
        WHEN lower(p_actor) IN (lower(v_job.name), lower(v_job.email)) THEN 'owner'
        WHEN p_approve THEN 'approved'
        ELSE 'rejected' END;
    IF outcome IN ('approved', 'rejected') THEN
        UPDATE issuance_approval_requests r SET state = outcome, decided_by = p_actor, decided_at = v_now, updated_at = v_now,
            decision_note = v_note
        WHERE r.id = v_request.id;
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
        PERFORM job_finish(ARRAY[v_job.id], '{Cancelled}', ARRAY['rejected: ' || coalesce(v_note, 'no reason given')]);
        -- The scan does not ask again before tomorrow.
        UPDATE managed_certificates c SET renew_after = greatest(c.renew_after, v_now + interval '1 day')
            WHERE c.id = v_request.certificate_id AND c.renew_after IS NOT NULL;
    END IF;
    RETURN QUERY SELECT outcome, v_request.id::text, v_request.state::text, v_job.status::text,
        CASE WHEN outcome = 'approved' AND NOT v_job.has_csr THEN v_job.agent_id END::text,
        CASE WHEN outcome = 'approved' AND v_job.has_csr THEN v_job.issuer_id END::text;
END $$;

-- --- rows that make no sense ---

-- The status a certificate should have, from what is true of it.  Revoked and
-- Archived are final.  One whose start of validity is unknown is Expiring by
-- its policy's window alone (infinite times can't be subtracted: such a row
-- failed whatever came to it).
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
                (m.expires_at - m.valid_from) / 3) THEN 'Expiring'
            ELSE 'Active' END AS status
        FROM managed_certificates m JOIN renewal_policies p ON p.id = m.renewal_policy_id
        WHERE m.id = ANY (p_ids) AND m.status NOT IN ('Revoked', 'Archived')
    ) s
    WHERE c.id = s.id AND c.status <> s.status AND c.status NOT IN ('Revoked', 'Archived');
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- Certificates whose status no longer says what is true: expiring, expired,
-- or in progress with no job.
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
                    (c.expires_at - c.valid_from) / 3)
            ORDER BY c.expires_at LIMIT p_limit)) d;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (v_ids) ORDER BY c.id FOR NO KEY UPDATE;
    RETURN certificates_refresh(v_ids);
END $$;

-- Why nobody can ever run this job (its row was edited by hand, or what it
-- named was deleted); NULL: it makes sense.
CREATE FUNCTION job_nonsense(j jobs) RETURNS text
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT CASE
        WHEN j.type = 'Validation' THEN 'nothing runs jobs of type Validation'
        WHEN j.certificate_id IS NULL THEN 'it names no certificate'
        WHEN j.type = 'Deployment' AND j.target_id IS NULL THEN 'it names no target'
        WHEN j.type = 'Deployment' AND j.agent_id IS NULL THEN 'it names no agent'
        WHEN j.type = 'Deployment' AND j.version_id IS NULL THEN 'it names no version to install'
        WHEN j.type = 'Deployment' AND j.status IN ('AwaitingCSR', 'AwaitingApproval')
            THEN 'a deployment never waits in ' || j.status
        WHEN j.type <> 'Deployment' AND j.issuer_id IS NULL THEN 'it names no issuer'
        WHEN j.type <> 'Deployment' AND j.status = 'Running' AND (j.lease_id IS NULL OR j.attempt_until IS NULL)
            THEN 'it is Running without a lease'
        WHEN j.status = 'AwaitingApproval' AND NOT EXISTS (SELECT 1 FROM issuance_approval_requests r
            WHERE r.job_id = j.id AND r.state = 'pending') THEN 'nobody was asked for the approval that it waits for'
        -- With a checkpoint it may be parked until a person decides.
        WHEN j.checkpoint IS NULL AND j.run_after > engine_now() + interval '1 year' THEN 'its run_after lies more than a year ahead'
        END
$$;

-- Ends such jobs with the reason.  The others are read, not touched.
CREATE FUNCTION jobs_fail_nonsense(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids text[];
    v_statuses text[];
    v_errors text[];
BEGIN
    SELECT array_agg(n.id) INTO v_ids FROM (SELECT j.id FROM jobs j
        WHERE j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval') AND job_nonsense(j) IS NOT NULL
        LIMIT p_limit) n;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM jobs_lock(v_ids);
    SELECT array_agg(j.id), array_agg(CASE WHEN j.status = 'AwaitingApproval' THEN 'Cancelled' ELSE 'Failed' END),
            array_agg('this job can never run: ' || job_nonsense(j))
        INTO v_ids, v_statuses, v_errors
    FROM jobs j
    WHERE j.id = ANY (v_ids) AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
        AND job_nonsense(j) IS NOT NULL;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM job_finish(v_ids, v_statuses, v_errors);
    RETURN cardinality(v_ids);
END $$;

-- Waits that lasted too long: no CSR -> Failed, no decision -> Cancelled; then
-- the jobs that nobody can ever run.
CREATE OR REPLACE FUNCTION duty_job_timeouts(p_csr_ms bigint, p_approval_ms bigint, p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
    v_statuses text[];
    v_errors text[];
BEGIN
    SELECT array_agg(j.id) INTO v_ids FROM (SELECT o.id FROM jobs o
        WHERE (o.status = 'AwaitingCSR' AND o.created_at < v_now - make_interval(secs => p_csr_ms / 1000.0)
                AND o.run_after < v_now - make_interval(secs => p_csr_ms / 1000.0))
            OR (o.status = 'AwaitingApproval' AND o.created_at < v_now - make_interval(secs => p_approval_ms / 1000.0))
        ORDER BY o.id LIMIT p_limit) j;
    IF v_ids IS NULL THEN
        RETURN jobs_fail_nonsense(p_limit);
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

DO $$
BEGIN
    REVOKE ALL ON FUNCTION lane_tokens(lanes, timestamptz), lane_allows(lanes, timestamptz), lane_failed(text, bigint, text),
        lane_succeeded(text), lanes_due(text[], timestamptz[], text[]), retry_wait(int, int),
        issue_park(text, bigint, text, jsonb, bigint, text), duty_renewal_budget(), job_nonsense(jobs), jobs_fail_nonsense(int),
        approval_decide(text, text, text, text, bool, text) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT SELECT ON issuance_approval_requests TO certctl_apiserver;
        GRANT EXECUTE ON FUNCTION approval_decide(text, text, text, text, bool, text) TO certctl_apiserver;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT EXECUTE ON FUNCTION lanes_due(text[], timestamptz[], text[]), duty_renewal_budget() TO certctl_scheduler;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_worker') THEN
        GRANT EXECUTE ON FUNCTION issue_park(text, bigint, text, jsonb, bigint, text) TO certctl_worker;
    END IF;
END $$;
