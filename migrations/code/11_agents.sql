-- What agents ask and report.

-- An agent's CSR for its waiting issuance.  Outcomes: accepted, repeated (the same key again), other_key (409), none
-- (nothing waits), unknown_job, changed (the CSR was checked against names that are the certificate's no more).
CREATE FUNCTION csr_submit(p_agent text, p_certificate text, p_job text, p_csr_pem text, p_key_sha256 text,
    p_common_name text, p_sans text[], OUT outcome text, OUT job_id text, OUT issuer_id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_job record;
BEGIN
    job_id := (SELECT j.id FROM jobs j
        WHERE (p_job IS NULL OR j.id = p_job) AND j.certificate_id = p_certificate AND j.agent_id = p_agent
            AND job_issues(j.type) ORDER BY j.id DESC LIMIT 1);
    PERFORM jobs_lock(ARRAY[job_id]);
    SELECT j.status, j.issuer_id, r.key_sha256, c.common_name = p_common_name AND coalesce(c.sans, '{}') = p_sans AS is_same
        INTO v_job
    FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id LEFT JOIN certificate_requests r ON r.job_id = j.id
    WHERE j.id = csr_submit.job_id;
    issuer_id := v_job.issuer_id;
    outcome := CASE
        WHEN job_id IS NULL AND p_job IS NOT NULL THEN 'unknown_job'
        WHEN v_job.key_sha256 = p_key_sha256 THEN 'repeated'
        WHEN v_job.key_sha256 IS NOT NULL THEN 'other_key'
        WHEN v_job.status = 'AwaitingCSR' IS NOT TRUE THEN 'none'
        WHEN v_job.is_same IS NOT TRUE THEN 'changed'
        ELSE 'accepted' END;
    IF outcome = 'accepted' THEN
        INSERT INTO certificate_requests (job_id, csr_pem, key_sha256) VALUES (job_id, p_csr_pem, p_key_sha256);
        UPDATE jobs j SET status = 'Pending', run_after = engine_now(), last_error = NULL WHERE j.id = job_id;
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
            VALUES (p_agent, 'Agent', 'csr_submitted', 'certificate', p_certificate, jsonb_build_object('job_id', job_id));
    END IF;
END $$;

-- What an agent has to do: its Pending deployments (they become Running), its own unfinished Running ones again, and the
-- issuances that wait for its CSR. Writes nothing when there is nothing new.
CREATE FUNCTION agent_work(p_agent text, p_limit int)
RETURNS TABLE (id text, type text, certificate_id text, status text, common_name text, sans text[], target_id text,
    target_type text, target_config jsonb, version_id text, serial_number text, fingerprint_sha256 text, not_after timestamptz)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM jobs j WHERE j.agent_id = p_agent AND j.type = 'Deployment' AND j.status = 'Pending') THEN
        UPDATE jobs j SET status = 'Running', leased_by = p_agent, started_at = coalesce(j.started_at, engine_now()),
            deliveries = j.deliveries + 1
        WHERE j.id IN (SELECT o.id FROM jobs o WHERE o.agent_id = p_agent AND o.type = 'Deployment' AND o.status = 'Pending'
            AND o.run_after <= (SELECT engine_now()) ORDER BY o.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
    RETURN QUERY
    SELECT j.id, j.type::text, j.certificate_id, j.status::text, c.common_name::text, c.sans, j.target_id,
        t.type::text, t.config, j.version_id, v.serial_number::text, v.fingerprint_sha256::text, v.not_after
    FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id
    LEFT JOIN deployment_targets t ON t.id = j.target_id
    LEFT JOIN certificate_versions v ON v.id = j.version_id WHERE j.agent_id = p_agent AND job_needs_agent(j)
        AND j.status <> 'Pending' ORDER BY j.id LIMIT p_limit;
END $$;

-- An agent's report on its own job.  Idempotent by (job, version).  Outcomes: updated, repeated, contradiction (409),
-- other_version (409), unknown, not_allowed (a state only the server may set, or a job not in hand).  p_why_no_csr: what an
-- issuance ends with that failed without a word.
CREATE FUNCTION job_report(p_agent text, p_job text, p_status text, p_error text, p_version text, p_why_no_csr text,
    OUT outcome text, OUT status text, OUT certificate_id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_job record;
BEGIN
    PERFORM words_check(ARRAY[p_status], '{Running,Completed,Failed}', ARRAY[p_job]);
    PERFORM jobs_lock(ARRAY[p_job]);
    SELECT j.* INTO v_job FROM jobs j WHERE j.id = p_job AND j.agent_id = p_agent;
    status := v_job.status; certificate_id := v_job.certificate_id;
    -- What the agent's own handshake did not see served is no success, whatever it says then: those of the contract go on.
    IF v_job.verification_status = 'failed' AND p_status = 'Completed' THEN
        p_status := 'Failed'; p_error := coalesce(nullif(p_error, ''), v_job.verification_error);
    END IF;
    outcome := CASE
        WHEN NOT FOUND THEN 'unknown'
        WHEN v_job.type = 'Deployment' AND v_job.version_id IS DISTINCT FROM coalesce(p_version, v_job.version_id) THEN 'other_version'
        WHEN v_job.status = p_status AND (p_status <> 'Running' OR v_job.type = 'Deployment') THEN 'repeated'
        WHEN v_job.status IN ('Completed', 'Failed', 'Cancelled') THEN 'contradiction'
        -- It is tried again by the agent, and p_error is what was in the way.
        WHEN v_job.type <> 'Deployment' AND v_job.status = 'AwaitingCSR' AND p_status = 'Running' THEN 'repeated'
        WHEN v_job.type <> 'Deployment' AND (v_job.status <> 'AwaitingCSR' OR p_status <> 'Failed') THEN 'not_allowed'
        WHEN v_job.type = 'Deployment' AND v_job.status <> 'Running' THEN 'not_allowed'
        ELSE 'updated' END;
    IF outcome <> 'updated' THEN
        UPDATE jobs j SET last_error = nullif(p_error, '') WHERE j.id = p_job AND outcome = 'repeated' AND j.status = 'AwaitingCSR'
            AND j.last_error IS DISTINCT FROM nullif(p_error, '');
        RETURN;
    END IF;
    IF p_status = 'Completed' THEN
        UPDATE jobs j SET verification_status = CASE WHEN j.verification_status = 'success' THEN 'success' ELSE 'skipped' END
            WHERE j.id = p_job;
        UPDATE certificate_target_mappings m SET deployed_version_id = v_job.version_id, deployed_at = v_now, deploy_failures = 0,
            deploy_after = '-infinity'
        WHERE m.certificate_id = v_job.certificate_id AND m.target_id = v_job.target_id;
        -- Until the agent has looked again: it tells in any case after a deployment.
        UPDATE served_certificates s SET is_other = false WHERE s.target_id = v_job.target_id AND s.is_other;
        UPDATE managed_certificates c SET last_deployment_at = v_now WHERE c.id = v_job.certificate_id;
    ELSIF v_job.type = 'Deployment' THEN
        -- Deployed differs from desired still, so the redeploy duty comes back to it.
        UPDATE certificate_target_mappings m SET deploy_failures = m.deploy_failures + 1,
            deploy_after = v_now + back_off(policy_deploy_first(), policy_deploy_most(), m.deploy_failures)
        WHERE m.certificate_id = v_job.certificate_id AND m.target_id = v_job.target_id
            -- A newer version need not wait for what the older one did.
            AND m.desired_version_id IS NOT DISTINCT FROM v_job.version_id;
    END IF;
    PERFORM job_finish(ARRAY[p_job], ARRAY[p_status],
        ARRAY[coalesce(nullif(p_error, ''), CASE WHEN v_job.type <> 'Deployment' THEN p_why_no_csr END)],
        p_agent, 'Agent');
    -- A newer version may have come while this one was being installed.
    IF v_job.type = 'Deployment' THEN PERFORM deployments_fan_out(ARRAY[v_job.certificate_id], v_now); END IF;
    status := p_status;
END $$;

-- What the agent's handshake saw.  Outcomes: stored, unknown, final.
CREATE FUNCTION job_verify(p_agent text, p_job text, p_target text, p_verified bool, p_actual text, p_error text,
    OUT outcome text, OUT verified_at timestamptz) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE jobs j SET verification_status = CASE WHEN p_verified THEN 'success' ELSE 'failed' END, verified_at = engine_now(),
        verification_fingerprint = p_actual, verification_error = nullif(p_error, '')
    WHERE j.id = p_job AND j.type = 'Deployment' AND (p_agent IS NULL OR j.agent_id = p_agent) AND j.target_id = p_target
        AND j.status = 'Running'
        -- The same report again is no news.
        AND (j.verification_status, j.verification_fingerprint, j.verification_error) IS DISTINCT FROM
            (CASE WHEN p_verified THEN 'success' ELSE 'failed' END, p_actual, nullif(p_error, ''))
    RETURNING 'stored', j.verified_at INTO outcome, verified_at;
    IF NOT FOUND THEN
        SELECT CASE WHEN count(*) > 0 THEN 'final' ELSE 'unknown' END, max(j.verified_at) INTO outcome, verified_at
        FROM jobs j WHERE j.id = p_job AND (p_agent IS NULL OR j.agent_id = p_agent) AND j.target_id = p_target;
    END IF;
END $$;

-- What an agent's targets serve, of all that it looks at; answers which of them it need not look at any more, for they are
-- another agent's, or retired.  One that nobody knows may be from after the database was copied.
CREATE FUNCTION agent_served(p_agent text, p_digest text, p_targets jsonb) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_told served_certificates[] := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::served_certificates, p_targets) r);
BEGIN
    -- First, so that one of its reports comes after the other.
    UPDATE agents a SET served_digest = p_digest WHERE a.id = p_agent;
    DELETE FROM served_certificates s USING deployment_targets t WHERE t.agent_id = p_agent AND s.target_id = t.id
        AND s.target_id NOT IN (SELECT r.target_id FROM unnest(v_told) r);
    INSERT INTO served_certificates AS s (target_id, seen_by, fingerprint_sha256, serial_number, issuer_dn, not_after, error, since, is_other)
    SELECT DISTINCT ON (t.id) t.id, r.seen_by, r.fingerprint_sha256, r.serial_number, r.issuer_dn, r.not_after, r.error, engine_now(),
        served_is_other(t.id, r.fingerprint_sha256)
    FROM unnest(v_told) r JOIN deployment_targets t ON t.id = r.target_id AND t.agent_id = p_agent AND t.retired_at IS NULL ORDER BY t.id
    ON CONFLICT (target_id) DO UPDATE SET seen_by = excluded.seen_by, fingerprint_sha256 = excluded.fingerprint_sha256,
        serial_number = excluded.serial_number, issuer_dn = excluded.issuer_dn, not_after = excluded.not_after, error = excluded.error,
        is_other = excluded.is_other,
        since = CASE WHEN s.fingerprint_sha256 = excluded.fingerprint_sha256 THEN s.since ELSE excluded.since END
        WHERE (s.seen_by, s.fingerprint_sha256, s.error, s.is_other)
            IS DISTINCT FROM (excluded.seen_by, excluded.fingerprint_sha256, excluded.error, excluded.is_other);
    RETURN ARRAY(SELECT t.id FROM unnest(v_told) r JOIN deployment_targets t ON t.id = r.target_id
        WHERE t.agent_id <> p_agent OR t.retired_at IS NOT NULL);
END $$;
