-- Less to write for each certificate: a CSR and a CA's chain are stored once,
-- and a job's row stays on its page as it is claimed and completed.

-- --- CSRs ---

-- The CSR of a job, and of the version that the job made.  Apart from both,
-- for every state of a job is a new copy of its row.  It stays as long as one
-- of the two.
CREATE TABLE certificate_requests (
    job_id text PRIMARY KEY,
    csr_pem text NOT NULL,
    key_sha256 text NOT NULL -- of the SubjectPublicKeyInfo; '' where it came with a version alone
);
INSERT INTO certificate_requests (job_id, csr_pem, key_sha256)
    SELECT j.id, j.csr_pem, coalesce(j.csr_key_sha256, '') FROM jobs j WHERE j.csr_pem IS NOT NULL;
INSERT INTO certificate_requests (job_id, csr_pem, key_sha256)
    SELECT v.job_id, v.csr_pem, '' FROM certificate_versions v WHERE v.csr_pem IS NOT NULL
    ON CONFLICT DO NOTHING;
ALTER TABLE jobs DROP COLUMN csr_pem, DROP COLUMN csr_key_sha256;
ALTER TABLE certificate_versions DROP COLUMN csr_pem;

-- Forgets the CSRs of these jobs where neither the job nor its version is left.
-- Whoever removes the one waits here for who is removing the other, and then
-- sees it gone.
CREATE FUNCTION certificate_requests_forget(p_job_ids text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM certificate_requests r WHERE r.job_id = ANY (p_job_ids) ORDER BY r.job_id FOR UPDATE;
    DELETE FROM certificate_requests r
    WHERE r.job_id = ANY (p_job_ids)
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = r.job_id)
        AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.id = 'certver' || substr(r.job_id, 4));
END $$;

-- --- chains ---

-- The certificates of CAs that follow a leaf, byte for byte as they were sent.
CREATE TABLE certificate_chains (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 bytea NOT NULL UNIQUE,
    pem text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- pem_chain is followed by the chain that chain_id names.  A version from
-- before holds all of it, and names none.
ALTER TABLE certificate_versions ADD COLUMN chain_id int REFERENCES certificate_chains (id);
-- Few chains, each in the pages of its time: an index that costs nothing to
-- keep and says well enough where one is named.
CREATE INDEX certificate_versions_chain_id ON certificate_versions USING brin (chain_id int4_minmax_multi_ops);

-- The key of a chain, which stays until the caller's transaction ends.  Only
-- the first certificate under a chain writes.
CREATE FUNCTION certificate_chain_keep(p_pem text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_sha256 bytea := sha256(convert_to(p_pem, 'UTF8'));
    v_id int;
BEGIN
    SELECT c.id INTO v_id FROM certificate_chains c WHERE c.sha256 = v_sha256 FOR KEY SHARE;
    IF NOT FOUND THEN
        INSERT INTO certificate_chains AS c (sha256, pem) VALUES (v_sha256, p_pem)
        ON CONFLICT (sha256) DO UPDATE SET created_at = c.created_at
        RETURNING c.id INTO v_id;
    END IF;
    RETURN v_id;
END $$;

-- Forgets those of these chains that no version names.  One that is just being
-- used stays.
CREATE FUNCTION certificate_chains_forget(p_ids int[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids int[];
BEGIN
    SELECT array_agg(l.id) INTO v_ids FROM (SELECT c.id FROM certificate_chains c
        WHERE c.id = ANY (p_ids)
            AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.chain_id = c.id)
        FOR UPDATE SKIP LOCKED) l;
    -- Looked at again, now that nobody can begin to use them.
    DELETE FROM certificate_chains c
    WHERE c.id = ANY (v_ids) AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.chain_id = c.id);
END $$;

-- --- jobs and certificates ---

-- Room for the next states of the rows on their page: one that stays there
-- costs the log what changed, one that moves costs all of it and a lock.  A
-- job that waits is half as long as one that has ended.
ALTER TABLE jobs SET (fillfactor = 50);
ALTER TABLE managed_certificates SET (fillfactor = 60);
-- A certificate's jobs are few and sorted quickly, and each state of a job is a
-- new entry: without the job's id it is half as long.
DROP INDEX jobs_certificate_id;
CREATE INDEX jobs_certificate_id ON jobs (certificate_id);

-- A task without a key to be told apart by has no entry here, nor a new one for
-- each of its states.
ALTER TABLE tasks DROP CONSTRAINT tasks_dedupe_key_key;
CREATE UNIQUE INDEX tasks_dedupe_key ON tasks (dedupe_key) WHERE dedupe_key IS NOT NULL;

-- The CA's certificate that the serial was fixed for; 33 bytes, where hex in
-- extensions, which are mostly empty otherwise, took 79.
ALTER TABLE jobs ADD COLUMN ca_sha256 bytea;
UPDATE jobs j SET ca_sha256 = decode(j.extensions ->> 'ca', 'hex'), extensions = nullif(j.extensions - 'ca', '{}')
    WHERE j.extensions IS NOT NULL;

-- --- what reads and writes them ---

-- A list is due when there is none, when half its life is over, when its CA
-- has another certificate now, or when it is behind; the last alone is looked
-- at often, but no list is made again before twenty times what making it took
-- has passed.
CREATE OR REPLACE FUNCTION duty_crl_refresh(p_limit int, p_only_behind bool) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_n bigint;
BEGIN
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id, run_after, created_at)
    SELECT id_new('task'), 'crl_build', ca.issuer_id, 'crl:' || ca.issuer_id, ca.issuer_id, v_now, v_now
    FROM ca_certificates ca
    LEFT JOIN crl_cache k ON k.issuer_id = ca.issuer_id
    WHERE ca.not_after > v_now
        AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.dedupe_key = 'crl:' || ca.issuer_id)
        AND CASE
            WHEN k.issuer_id IS NULL THEN true
            WHEN NOT p_only_behind AND (k.ca_fingerprint <> ca.fingerprint_sha256
                OR v_now > k.this_update + (k.next_update - k.this_update) / 2) THEN true
            WHEN v_now < k.generated_at + make_interval(secs => greatest(2, k.generation_duration_ms * 20 / 1000.0)) THEN false
            ELSE crl_is_behind(ca.issuer_id, k.this_update, k.snapshot) END
    ORDER BY ca.issuer_id LIMIT p_limit
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- Somebody asked for a list that is not there.
CREATE OR REPLACE FUNCTION crl_request(p_issuer text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id, run_after, created_at)
    SELECT id_new('task'), 'crl_build', p_issuer, 'crl:' || p_issuer, p_issuer, engine_now(), engine_now()
    WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.dedupe_key = 'crl:' || p_issuer)
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
$$;

-- As before, with the CA's fingerprint in a column.
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
        WHERE j.id = ANY (v_ids) AND j.serial_number IS NOT NULL AND j.ca_sha256 IS NOT NULL
            AND (j.not_before < v_now - interval '1 hour'
                OR j.ca_sha256 IS DISTINCT FROM decode(ca.fingerprint_sha256, 'hex'))
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

-- As before; the CSR and its key's hash go into their own table.
CREATE OR REPLACE FUNCTION csr_submit(p_agent text, p_certificate text, p_job text, p_csr_pem text, p_key_sha256 text)
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
    SELECT j.id, j.status, j.issuer_id, r.key_sha256 INTO v_job
        FROM jobs j LEFT JOIN certificate_requests r ON r.job_id = j.id WHERE j.id = v_job.id;
    IF v_job.key_sha256 IS NOT NULL THEN
        RETURN QUERY SELECT CASE WHEN v_job.key_sha256 = p_key_sha256 THEN 'repeated' ELSE 'other_key' END,
            v_job.id::text, v_job.issuer_id::text;
        RETURN;
    END IF;
    IF v_job.status <> 'AwaitingCSR' THEN
        RETURN QUERY SELECT 'none', v_job.id::text, v_job.issuer_id::text;
        RETURN;
    END IF;
    INSERT INTO certificate_requests (job_id, csr_pem, key_sha256) VALUES (v_job.id, p_csr_pem, p_key_sha256);
    UPDATE jobs j SET status = 'Pending', run_after = engine_now()
        WHERE j.id = v_job.id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_agent, 'Agent', 'csr_submitted', 'certificate', p_certificate, jsonb_build_object('job_id', v_job.id));
    RETURN QUERY SELECT 'accepted', v_job.id::text, v_job.issuer_id::text;
END $$;

-- As before; whether the job has its CSR is asked of the CSRs.
CREATE OR REPLACE FUNCTION approval_decide(p_id text, p_job text, p_actor text, p_actor_type text, p_approve bool, p_note text)
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
    SELECT j.id, j.status, j.agent_id, j.issuer_id, o.name, o.email,
            EXISTS (SELECT 1 FROM certificate_requests q WHERE q.job_id = j.id) AS has_csr INTO v_job
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

-- As before; chain and CSR are not copied into each version.
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
    v_chain int;
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
    IF FOUND AND p_chain <> '' THEN
        v_chain := certificate_chain_keep(p_chain);
    END IF;

    WITH done AS (
        UPDATE jobs j SET status = 'Completed', completed_at = v_now, version_id = 'certver' || substr(j.id, 4), last_error = NULL
        WHERE j.id = ANY (p_job_ids) AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running'
        RETURNING j.id, j.type, j.certificate_id, j.issuer_id, j.agent_id, j.serial_number, j.not_before, j.not_after,
            j.version_id
    ), stored AS (
        INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256,
            pem_chain, created_at, key_algorithm, key_size, issuer_id, key_holder, job_id, chain_id)
        SELECT d.version_id, d.certificate_id, d.serial_number, d.not_before, d.not_after, s.fingerprint,
            s.pem, v_now, s.key_algorithm, s.key_size, d.issuer_id, coalesce(d.agent_id, ''), d.id, v_chain
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

-- As before, and the CSRs of jobs that made no version.
CREATE OR REPLACE FUNCTION duty_job_retention(p_keep_ms bigint, p_limit int) RETURNS TABLE (rows bigint, is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_cut timestamptz := engine_now() - make_interval(secs => p_keep_ms / 1000.0);
    v_low text := duty_mark_take('job_retention');
    v_ids text[];
    v_gone text[];
    v_jobs bigint;
    v_tasks bigint;
BEGIN
    SELECT array_agg(w.id ORDER BY w.id) INTO v_ids FROM (SELECT j.id FROM jobs j
        WHERE j.id > v_low AND j.id < id_bound('job', v_cut) ORDER BY j.id LIMIT p_limit) w;
    WITH gone AS (
        DELETE FROM jobs j WHERE j.id IN (SELECT o.id FROM jobs o
        WHERE o.id = ANY (v_ids) AND o.status IN ('Completed', 'Failed', 'Cancelled') AND o.completed_at < v_cut
            AND NOT (o.status = 'Failed' AND o.type IN ('Issuance', 'Renewal')
                AND EXISTS (SELECT 1 FROM managed_certificates c WHERE c.id = o.certificate_id AND c.expires_at IS NULL)
                AND NOT EXISTS (SELECT 1 FROM jobs n WHERE n.certificate_id = o.certificate_id AND n.id > o.id
                    AND n.status = 'Failed' AND n.type IN ('Issuance', 'Renewal')))
        FOR UPDATE SKIP LOCKED)
        RETURNING j.id
    )
    SELECT array_agg(g.id), count(*) INTO v_gone, v_jobs FROM gone g;
    PERFORM certificate_requests_forget(v_gone);
    DELETE FROM tasks t WHERE t.id IN (SELECT o.id FROM tasks o
        WHERE o.id < id_bound('task', v_cut) AND o.status = 'Failed' AND o.created_at < v_cut
        ORDER BY o.id LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_tasks = ROW_COUNT;
    RETURN QUERY SELECT v_jobs + v_tasks, duty_mark_put('job_retention', v_ids, p_limit) OR v_tasks = p_limit;
END $$;

-- As before, with the CSRs and the chains that nothing needs any more.
CREATE OR REPLACE FUNCTION duty_version_retention(p_keep_ms bigint, p_limit int) RETURNS TABLE (rows bigint, is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_cut timestamptz := engine_now() - make_interval(secs => p_keep_ms / 1000.0);
    v_low text := duty_mark_take('version_retention');
    v_ids text[];
    v_jobs text[];
    v_chains int[];
    v_n bigint;
BEGIN
    SELECT array_agg(w.id ORDER BY w.id) INTO v_ids FROM (SELECT v.id FROM certificate_versions v
        WHERE v.id > v_low AND v.id < id_bound('certver', v_cut) ORDER BY v.id LIMIT p_limit) w;
    WITH gone AS (
        DELETE FROM certificate_versions d WHERE d.id IN (SELECT v.id FROM certificate_versions v
            WHERE v.id = ANY (v_ids) AND v.not_after < v_cut
                AND (SELECT count(*) FROM (SELECT 1 FROM certificate_versions n
                    WHERE n.certificate_id = v.certificate_id AND n.key_holder = v.key_holder AND n.id > v.id LIMIT 3) k) = 3
                AND NOT EXISTS (SELECT 1 FROM certificate_target_mappings m WHERE m.certificate_id = v.certificate_id
                    AND v.id IN (m.desired_version_id, m.deployed_version_id))
                AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = v.certificate_id AND j.version_id = v.id
                    AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval'))
            FOR UPDATE SKIP LOCKED)
        RETURNING d.issuer_id, d.serial_number, d.job_id, d.chain_id
    ), revocations AS (
        DELETE FROM certificate_revocations r USING gone g
        WHERE r.issuer_id = g.issuer_id AND r.serial_number = g.serial_number
    )
    SELECT count(*), array_agg(g.job_id), array_agg(DISTINCT g.chain_id) INTO v_n, v_jobs, v_chains FROM gone g;
    PERFORM certificate_requests_forget(v_jobs);
    PERFORM certificate_chains_forget(v_chains);
    RETURN QUERY SELECT v_n, duty_mark_put('version_retention', v_ids, p_limit);
END $$;

DO $$
BEGIN
    REVOKE ALL ON FUNCTION certificate_requests_forget(text[]), certificate_chain_keep(text), certificate_chains_forget(int[])
        FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT SELECT ON certificate_requests, certificate_chains TO certctl_apiserver;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_worker') THEN
        GRANT SELECT ON certificate_requests TO certctl_worker;
    END IF;
END $$;
