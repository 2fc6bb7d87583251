-- How a job ends, or goes on.  Every write of a worker is guarded by its lease.

-- Locks the certificates of these jobs, then the jobs.
CREATE FUNCTION jobs_lock(p_ids text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM 1 FROM managed_certificates c
        WHERE c.id IN (SELECT j.certificate_id FROM jobs j WHERE j.id = ANY (p_ids)) ORDER BY c.id FOR NO KEY UPDATE;
    PERFORM 1 FROM jobs j WHERE j.id = ANY (p_ids) ORDER BY j.id FOR NO KEY UPDATE;
END $$;

-- Likewise, for a batch or a duty, which waits for nobody: ids, those that it got, and held, those that it got but whose
-- certificate somebody holds.  What is in neither, somebody holds itself.
CREATE FUNCTION jobs_take(p_ids text[], OUT ids text[], OUT held text[]) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_free text[];
BEGIN
    SELECT array_agg(l.id) INTO v_free FROM (SELECT c.id FROM managed_certificates c
        WHERE c.id IN (SELECT j.certificate_id FROM jobs j WHERE j.id = ANY (p_ids)) FOR NO KEY UPDATE SKIP LOCKED) l;
    SELECT array_agg(l.id) FILTER (WHERE l.is_free), array_agg(l.id) FILTER (WHERE NOT l.is_free) INTO ids, held
    FROM (SELECT j.id, coalesce(j.certificate_id = ANY (v_free), j.certificate_id IS NULL) AS is_free
        FROM jobs j WHERE j.id = ANY (p_ids) FOR NO KEY UPDATE SKIP LOCKED) l;
END $$;

-- Every end of a job goes through here: final state, the certificates' statuses, and when the next try falls due.  The
-- caller holds the locks on certificates and jobs and has checked that the job may end so.  p_actor: who ended it, else who
-- had it in hand.  p_open, of a worker that made nothing: a failure counts, and only these keep their checkpoint.  Each row
-- is written once.
CREATE FUNCTION job_finish(p_ids text[], p_statuses text[], p_errors text[], p_actor text DEFAULT NULL, p_actor_type text DEFAULT NULL,
    p_open text[] DEFAULT NULL) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_certificates text[]; v_failed text[]; v_deployed text[];
BEGIN
    PERFORM words_check(p_statuses, '{Completed,Failed,Cancelled}', p_ids);
    WITH ended AS (
        UPDATE jobs j SET status = e.status, last_error = coalesce(e.error, j.last_error), completed_at = v_now,
            attempts = j.attempts + (p_open IS NOT NULL AND e.status = 'Failed')::int,
            checkpoint = CASE WHEN p_open IS NULL OR j.id = ANY (p_open) THEN j.checkpoint END
        FROM unnest(p_ids, p_statuses, p_errors) AS e (id, status, error)
        WHERE j.id = e.id AND j.status NOT IN ('Completed', 'Failed', 'Cancelled')
        RETURNING j.id, j.type, j.status, j.certificate_id, j.target_id, j.last_error, j.leased_by
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT coalesce(p_actor, e.leased_by, 'system'), CASE WHEN p_actor IS NOT NULL THEN p_actor_type
            WHEN e.type = 'Deployment' AND e.leased_by IS NOT NULL THEN 'Agent' ELSE 'System' END,
            CASE WHEN e.type = 'Deployment' THEN 'deployment_job_' ELSE 'renewal_job_' END || lower(e.status),
            'certificate', coalesce(e.certificate_id, ''),
            jsonb_strip_nulls(jsonb_build_object('job_id', e.id, 'target_id', e.target_id, 'error', e.last_error))
        FROM ended e
    )
    SELECT array_agg(DISTINCT e.certificate_id) FILTER (WHERE e.type <> 'Deployment'), array_agg(e.certificate_id) FILTER (WHERE
        e.type <> 'Deployment' AND e.status = 'Failed'), array_agg(DISTINCT e.certificate_id) FILTER (WHERE e.type = 'Deployment')
        INTO v_certificates, v_failed, v_deployed FROM ended e;
    IF p_statuses && '{Cancelled,Failed}'::text[] THEN PERFORM approvals_expire(p_ids, NULL, p_actor, p_actor_type); END IF;
    IF v_certificates IS NOT NULL THEN PERFORM certificates_refresh(v_certificates, v_failed); END IF;
    IF v_deployed IS NOT NULL THEN PERFORM certificates_deploy_no_more(array_agg(c.id)) FROM managed_certificates c
        WHERE c.id = ANY (v_deployed) AND c.status IN ('Revoked', 'Archived') HAVING count(*) > 0; END IF;
END $$;

-- All of them alike, where there are any.
CREATE FUNCTION jobs_finish(p_ids text[], p_status text, p_error text, p_actor text DEFAULT NULL, p_actor_type text DEFAULT NULL)
RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    SELECT job_finish(p_ids, array_agg(p_status), array_agg(p_error), p_actor, p_actor_type) FROM unnest(p_ids) HAVING count(*) > 0
$$;

-- Whether the CA has an order of a job that waits, or may have: the job is followed to its end, never left with the order.
CREATE FUNCTION job_has_order(p_status text, p_checkpoint jsonb) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT p_status = 'Pending' AND coalesce(p_checkpoint ->> 'state' IN ('placing', 'ordered'), false)
$$;

-- These are to stop: those that a worker runs, before the outside effect; those with an order, once a worker has seen what
-- becomes of it, for which an order that the CA works on is no longer waited for.  The caller holds their rows.
CREATE FUNCTION jobs_stop(p_ids text[]) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE jobs j SET cancel_requested_at = engine_now(),
        run_after = CASE WHEN j.status = 'Pending' AND j.checkpoint ->> 'state' = 'ordered' THEN engine_now() ELSE j.run_after END
    WHERE j.id = ANY (p_ids) AND (j.status = 'Running' OR job_has_order(j.status, j.checkpoint)) AND job_issues(j.type)
        AND j.cancel_requested_at IS NULL
$$;

-- By a person.  Outcomes: cancelled, requested (a worker runs it and stops before the outside effect, or looks what becomes
-- of its order at the CA), running (an agent installs it), final, unknown.  p_why is what it ends with.
CREATE FUNCTION job_cancel(p_id text, p_actor text, p_actor_type text, p_why text) RETURNS TABLE (outcome text, status text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_job record;
BEGIN
    PERFORM jobs_lock(ARRAY[p_id]);
    SELECT j.status, j.type, j.certificate_id, job_has_order(j.status, j.checkpoint) AS has_order INTO v_job FROM jobs j WHERE j.id = p_id;
    outcome := CASE
        WHEN NOT FOUND THEN 'unknown'
        WHEN v_job.has_order THEN 'requested'
        WHEN v_job.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval') THEN 'cancelled'
        WHEN v_job.status = 'Running' THEN CASE WHEN v_job.type = 'Deployment' THEN 'running' ELSE 'requested' END
        ELSE 'final' END;
    IF outcome IN ('cancelled', 'requested') THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
            VALUES (p_actor, p_actor_type, 'job_cancel_requested', 'job', p_id,
                jsonb_strip_nulls(jsonb_build_object('certificate_id', v_job.certificate_id, 'status', v_job.status)));
    END IF;
    IF outcome = 'cancelled' THEN
        PERFORM job_finish(ARRAY[p_id], '{Cancelled}', ARRAY[p_why], p_actor, p_actor_type);
    ELSIF outcome = 'requested' THEN
        PERFORM jobs_stop(ARRAY[p_id]);
    END IF;
    RETURN QUERY SELECT outcome, CASE WHEN outcome = 'cancelled' THEN 'Cancelled' ELSE v_job.status::text END;
END $$;

-- --- rows that make no sense ---
-- Why nobody can ever run this job (its row was edited by hand, or what it named was deleted), a word of
-- common/job/job_words.h; NULL: it makes sense.
CREATE FUNCTION job_nonsense(j jobs) RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CASE
        WHEN j.type = 'Validation' THEN 'nonsense_validation'
        WHEN j.certificate_id IS NULL THEN 'nonsense_no_certificate'
        WHEN j.type = 'Deployment' AND j.target_id IS NULL THEN 'nonsense_no_target'
        WHEN j.type = 'Deployment' AND j.agent_id IS NULL THEN 'nonsense_no_agent'
        WHEN j.type = 'Deployment' AND j.version_id IS NULL THEN 'nonsense_no_version'
        WHEN j.type = 'Deployment' AND j.status IN ('AwaitingCSR', 'AwaitingApproval') THEN 'nonsense_waiting_deployment'
        WHEN j.type <> 'Deployment' AND j.issuer_id IS NULL THEN 'nonsense_no_issuer'
        WHEN j.type <> 'Deployment' AND j.status = 'Running' AND (j.lease_id IS NULL OR j.attempt_until IS NULL)
            THEN 'nonsense_no_lease'
        WHEN j.status = 'AwaitingApproval' AND NOT EXISTS (SELECT 1 FROM issuance_approval_requests r
            WHERE r.job_id = j.id AND r.state = 'pending') THEN 'nonsense_no_approval'
        -- With a checkpoint it may be parked until a person decides.
        WHEN j.checkpoint IS NULL AND j.run_after > engine_now() + policy_far_ahead() THEN 'nonsense_far_ahead'
        END
$$;

-- What ends a job, in the words of the program that called: p_words is the object made of common/job/job_words.h, and %s in
-- it is p_value.  Without a sentence the word itself.
CREATE FUNCTION job_say(p_words jsonb, p_word text, p_value text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(format(p_words ->> p_word, p_value), p_word)
$$;

-- Active jobs that may make no sense, without a walk through those that do: what the index of such rows holds, what lies
-- far ahead in the indexes by time, and the next few of those that wait for an approval.  Whatever the statistics say, each
-- is a walk along its index from its beginning.
CREATE FUNCTION jobs_suspect(p_limit int, p_far timestamptz, p_since timestamptz, p_id text)
RETURNS TABLE (id text, since timestamptz, is_walked bool)
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
    (SELECT j.id, NULL::timestamptz, false FROM jobs j WHERE job_is_active(j.status)
        AND (j.type = 'Validation' OR j.certificate_id IS NULL
            OR (j.type = 'Deployment' AND (j.target_id IS NULL OR j.agent_id IS NULL OR j.version_id IS NULL
                OR j.status IN ('AwaitingCSR', 'AwaitingApproval')))
            OR (j.type <> 'Deployment' AND (j.issuer_id IS NULL OR (j.status = 'Running' AND (j.lease_id IS NULL OR j.attempt_until IS NULL))))
            OR (j.checkpoint IS NULL AND j.run_after = 'infinity')) ORDER BY j.id LIMIT p_limit)
    UNION ALL
    (SELECT f.id, NULL, false FROM lanes l CROSS JOIN LATERAL (SELECT j.id FROM jobs j
        WHERE j.issuer_id = l.issuer_id AND j.status = 'Pending' AND job_issues(j.type)
            AND j.run_after > p_far AND j.run_after < 'infinity' ORDER BY j.run_after LIMIT p_limit) f)
    UNION ALL
    (SELECT j.id, NULL, false FROM jobs j
    WHERE j.type = 'Deployment' AND j.status = 'Pending' AND j.run_after > j.created_at AND j.run_after > p_far
    ORDER BY j.run_after LIMIT p_limit)
    UNION ALL
    (SELECT j.id, NULL, false FROM jobs j WHERE j.status = 'AwaitingCSR' AND job_waits_since(j) > p_far
    ORDER BY job_waits_since(j) LIMIT p_limit)
    UNION ALL
    (SELECT j.id, j.created_at, true FROM jobs j WHERE j.status = 'AwaitingApproval'
        AND (job_waits_since(j), j.id) > (p_since, p_id) ORDER BY job_waits_since(j), j.id
    LIMIT policy_in_progress_looked())
$$;

-- Ends such jobs with the reason.
CREATE FUNCTION jobs_fail_nonsense(p_limit int, p_words jsonb) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_mark duty_marks;
    v_ids text[]; v_walked text[]; v_statuses text[]; v_errors text[];
BEGIN
    INSERT INTO duty_marks (name) VALUES ('jobs_nonsense') ON CONFLICT DO NOTHING;
    SELECT m.* INTO v_mark FROM duty_marks m WHERE m.name = 'jobs_nonsense' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN 0; END IF;
    SELECT array_agg(DISTINCT s.id) FILTER (WHERE (SELECT job_nonsense(j) FROM jobs j WHERE j.id = s.id) IS NOT NULL),
            array_agg(s.id ORDER BY s.since, s.id) FILTER (WHERE s.is_walked), max(s.since)
        INTO v_ids, v_walked, v_mark.low_at
    FROM jobs_suspect(p_limit, engine_now() + policy_far_ahead(), v_mark.low_at, v_mark.low_id) s;
    -- Behind the last that waits for an approval the next look begins anew.
    v_mark.low_id := coalesce(v_walked[policy_in_progress_looked()], '');
    UPDATE duty_marks m SET low_id = v_mark.low_id, low_at = CASE v_mark.low_id WHEN '' THEN '-infinity' ELSE v_mark.low_at END
        WHERE m.name = 'jobs_nonsense' AND m.low_id <> v_mark.low_id;
    v_ids := (jobs_take(v_ids)).ids;
    IF v_ids IS NULL THEN RETURN 0; END IF;
    SELECT array_agg(j.id), array_agg(CASE WHEN j.status = 'AwaitingApproval' THEN 'Cancelled' ELSE 'Failed' END),
            array_agg(job_say(p_words, job_nonsense(j), j.status)) INTO v_ids, v_statuses, v_errors FROM jobs j
    WHERE j.id = ANY (v_ids) AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
        AND job_nonsense(j) IS NOT NULL;
    PERFORM job_finish(v_ids, v_statuses, v_errors);
    RETURN coalesce(cardinality(v_ids), 0);
END $$;

-- --- the certificates of local CAs ---
-- Stores a local CA's root, or its successor, unless one is there; answers with the one that signs.
CREATE FUNCTION ca_root_store(p_issuer text, p_cert_pem text, p_fingerprint text, p_not_before timestamptz,
    p_not_after timestamptz, p_key_sealed bytea, p_key_id text, p_state text)
RETURNS TABLE (cert_pem text, chain_pem text, fingerprint_sha256 text, list text, key_sealed text) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- Two workers may race: the certificate's row decides, and the loser waits here for the winner's commit.
    INSERT INTO ca_certificates (issuer_id, state, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)
        VALUES (p_issuer, p_state, p_key_id, ca_list_name(p_issuer, p_key_id), p_cert_pem, p_cert_pem, p_fingerprint, p_not_before,
            p_not_after) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO ca_keys (issuer_id, key_id, key_sealed) VALUES (p_issuer, p_key_id, p_key_sealed);
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
            VALUES ('system', 'System', 'intermediate_ca_root_created', 'issuer', p_issuer, 'config');
    END IF;
    RETURN QUERY SELECT c.cert_pem, c.chain_pem, c.fingerprint_sha256, c.list, '\x' || encode(k.key_sealed, 'hex')
        FROM ca_certificates c LEFT JOIN ca_keys k USING (issuer_id, key_id) WHERE c.issuer_id = p_issuer AND c.state = 'current';
END $$;

-- Stores the certificate of a sub-CA that lives in files on the workers' hosts, and answers with the one that stands.  A
-- newer one replaces an older, never the other way round, so that hosts whose files are replaced one after the other do not
-- undo each other's; and never a root whose key is here.  One of another key leaves the older a former one, whose list goes
-- on.
CREATE FUNCTION ca_certificate_store(p_issuer text, p_cert_pem text, p_chain_pem text, p_fingerprint text,
    p_not_before timestamptz, p_not_after timestamptz, p_key_id text) RETURNS TABLE (fingerprint_sha256 text, has_key bool, list text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM 1 FROM issuers i WHERE i.id = p_issuer FOR NO KEY UPDATE;
    IF FOUND AND NOT EXISTS (SELECT 1 FROM ca_keys k WHERE k.issuer_id = p_issuer)
        AND NOT EXISTS (SELECT 1 FROM ca_certificates c WHERE c.issuer_id = p_issuer AND c.state = 'current'
            AND ((c.fingerprint_sha256, c.chain_pem) = (p_fingerprint, p_chain_pem)
                OR c.not_before > p_not_before AND c.not_after > engine_now()))
    THEN
        UPDATE ca_certificates c SET state = 'former' WHERE c.issuer_id = p_issuer AND c.state = 'current' AND c.key_id <> p_key_id;
        INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)
        VALUES (p_issuer, p_key_id, ca_list_name(p_issuer, p_key_id), p_cert_pem, p_chain_pem, p_fingerprint, p_not_before, p_not_after)
        ON CONFLICT (issuer_id, key_id) DO UPDATE SET state = 'current', cert_pem = excluded.cert_pem, chain_pem = excluded.chain_pem,
            fingerprint_sha256 = excluded.fingerprint_sha256, not_before = excluded.not_before, not_after = excluded.not_after,
            created_at = now();
        PERFORM ca_changed(p_issuer, p_fingerprint, 'system', 'System');
    END IF;
    RETURN QUERY SELECT c.fingerprint_sha256, EXISTS (SELECT 1 FROM ca_keys k WHERE k.issuer_id = p_issuer), c.list
        FROM ca_certificates c WHERE c.issuer_id = p_issuer AND c.state = 'current';
END $$;

-- What a new key's revocation list is called.
CREATE FUNCTION ca_list_name(p_issuer text, p_key_id text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT p_issuer || CASE WHEN EXISTS (SELECT 1 FROM ca_certificates c WHERE c.issuer_id = p_issuer) THEN '/' || left(p_key_id, 16) ELSE '' END
$$;

-- The issuer signs under another certificate from now on.
CREATE FUNCTION ca_changed(p_issuer text, p_fingerprint text, p_actor text, p_actor_type text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (p_actor, p_actor_type, 'issuer_ca_certificate_changed', 'issuer', p_issuer,
            jsonb_build_object('fingerprint_sha256', p_fingerprint), 'config');
    -- What ended with the CA before falls due at its time: certificates follow as they follow a policy.
    INSERT INTO policy_changes (policy_id) SELECT p.id FROM renewal_policies p ORDER BY p.id
    ON CONFLICT (policy_id) DO UPDATE SET changed_at = clock_timestamp(), horizon = NULL, low_id = '', again_id = NULL,
        total = NULL, done = 0
$$;

-- Asks for the successor of a root whose key is here, of one issuer or of all (NULL) whose root is in its last part.
CREATE FUNCTION ca_successor_ask(p_issuer text) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id)
    SELECT id_new('task'), 'ca_next', i.id, 'ca_next:' || i.id, i.id
    FROM issuers i JOIN ca_certificates c ON c.issuer_id = i.id AND c.state = 'current' JOIN ca_keys k USING (issuer_id, key_id)
    WHERE (i.id = p_issuer OR p_issuer IS NULL AND i.enabled
            AND engine_now() > c.not_after - (c.not_after - c.not_before) / policy_condition_ca_part())
        AND i.hierarchy_mode = 'single' -- else it is no root that signs
        AND NOT EXISTS (SELECT 1 FROM ca_certificates n WHERE n.issuer_id = i.id AND n.state = 'next')
    FOR KEY SHARE OF i SKIP LOCKED ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    RETURN FOUND;
END $$;

-- Its successor, or an active CA of its hierarchy, named by its fingerprint, signs from now on; the key before keeps its
-- revocation list.  Outcomes: switched, already, unknown.
CREATE FUNCTION ca_switch(p_issuer text, p_fingerprint text, p_actor text, p_actor_type text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_state text; v_ca intermediate_cas;
BEGIN
    PERFORM 1 FROM issuers i WHERE i.id = p_issuer FOR NO KEY UPDATE;
    SELECT c.state INTO v_state FROM ca_certificates c
        WHERE c.issuer_id = p_issuer AND c.fingerprint_sha256 = p_fingerprint AND c.state <> 'former';
    SELECT a.* INTO v_ca FROM intermediate_cas a JOIN issuers i ON i.id = a.owning_issuer_id WHERE v_state IS NULL AND i.id = p_issuer
        AND a.fingerprint_sha256 = p_fingerprint AND a.state = 'active' AND a.parent_ca_id IS NOT NULL
        AND coalesce(i.config ->> 'ca_cert_path', '') = '';
    IF v_ca.id IS NOT NULL THEN v_state := 'next'; END IF;
    IF v_state = 'next' THEN
        UPDATE ca_certificates c SET state = 'former' WHERE c.issuer_id = p_issuer AND c.state = 'current';
        UPDATE ca_certificates c SET state = 'current' WHERE c.issuer_id = p_issuer AND c.fingerprint_sha256 = p_fingerprint
            AND c.state = 'next';
        INSERT INTO ca_keys (issuer_id, key_id, key_sealed) SELECT p_issuer, v_ca.key_id, k.key_sealed FROM intermediate_ca_keys k
            WHERE k.ca_id = v_ca.id ON CONFLICT DO NOTHING;
        INSERT INTO ca_certificates (issuer_id, key_id, list, cert_pem, chain_pem, fingerprint_sha256, not_before, not_after)
            SELECT p_issuer, v_ca.key_id, ca_list_name(p_issuer, v_ca.key_id), v_ca.cert_pem, intermediate_ca_chain(v_ca.id),
                p_fingerprint, v_ca.not_before, v_ca.not_after WHERE v_ca.id IS NOT NULL
            ON CONFLICT (issuer_id, key_id) DO UPDATE SET state = 'current';
        UPDATE issuers i SET hierarchy_mode = CASE WHEN v_ca.id IS NULL THEN 'single' ELSE 'tree' END WHERE i.id = p_issuer;
        PERFORM ca_changed(p_issuer, p_fingerprint, p_actor, p_actor_type);
    END IF;
    RETURN CASE v_state WHEN 'next' THEN 'switched' WHEN 'current' THEN 'already' ELSE 'unknown' END;
END $$;

-- --- workers' writes ---
-- Stores a batch of signed certificates: versions, certificates, jobs, the deployments that follow, audit; all or none.
-- Only jobs still under this lease of this worker count; the others are missing from the answer and nothing is written for
-- them; nor for those whose certificate was changed since their CSR came: they begin anew, but for an order at a CA
-- outside, which is stored and followed by another.  Called again, it writes nothing and answers with what is Completed
-- under this lease: the lease id is the receipt.  The version of a certificate that was revoked or archived meanwhile is
-- stored and its serial revoked.  What somebody holds (an open transaction of anybody's) is not waited for, and the rest is
-- stored: whose certificate is held goes back as Pending with p_why, nothing counted; a row of a job that is held stays
-- Running.  Both are named, with their status.
CREATE FUNCTION issue_complete(p_worker text, p_lease bigint, p_job_ids text[], p_pem text[], p_fingerprints text[],
    p_key_algorithms text[], p_key_sizes int[], p_chain text, p_why text DEFAULT NULL) RETURNS TABLE (job_id text, agent_id text, status text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off SET enable_hashjoin = on
SET enable_mergejoin = on SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_dead text[]; -- certificates revoked or archived meanwhile; usually none
    v_certificates text[]; v_jobs text[]; v_agents text[]; v_issuer text; v_chain int; v_n bigint;
    v_free text[]; -- certificates that nobody else holds
    v_mine text[]; -- jobs, likewise
    v_held text[]; -- jobs of ours whose certificate is held; usually none
    v_stale text[]; -- of certificates that are to be otherwise by now; usually none
BEGIN
    -- By the lease, whose rows lie together in their index, not one by one.  IS TRUE keeps the list a hash that each row is
    -- looked up in: the planner expects one row and would walk the list for each instead.
    SELECT array_agg(l.id), array_agg(l.id) FILTER (WHERE l.status IN ('Revoked', 'Archived')) INTO v_free, v_dead
    FROM (SELECT c.id, c.status FROM managed_certificates c WHERE c.id IN (SELECT j.certificate_id FROM jobs j
            WHERE j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running'
                AND (j.id IN (SELECT i.id FROM unnest(p_job_ids) AS i (id))) IS TRUE)
        FOR NO KEY UPDATE SKIP LOCKED) l;
    SELECT count(*) FILTER (WHERE NOT l.is_held), array_agg(l.id) FILTER (WHERE NOT l.is_held),
        array_agg(l.id) FILTER (WHERE l.is_held), array_agg(l.id) FILTER (WHERE l.is_stale AND NOT l.is_held) INTO v_n, v_mine, v_held, v_stale
    FROM (SELECT j.id, j.is_stale AND j.checkpoint IS NULL AS is_stale,
            (j.certificate_id NOT IN (SELECT u.id FROM unnest(v_free) AS u (id))) IS TRUE AS is_held FROM jobs j
        WHERE j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running'
            AND (j.id IN (SELECT i.id FROM unnest(p_job_ids) AS i (id))) IS TRUE FOR NO KEY UPDATE SKIP LOCKED) l;
    IF v_held IS NOT NULL THEN
        UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
            run_after = v_now + policy_held_rest(), held_since = coalesce(j.held_since, v_now), last_error = p_why
        WHERE j.id = ANY (v_held);
    END IF;
    IF v_stale IS NOT NULL THEN
        UPDATE jobs j SET status = 'Pending' WHERE j.id = ANY (v_stale); -- and from there, by jobs_begin_anew
    END IF;
    IF v_n > coalesce(cardinality(v_stale), 0) AND p_chain <> '' THEN v_chain := certificate_chain_keep(p_chain); END IF;

    WITH done AS (
        UPDATE jobs j SET status = 'Completed', completed_at = v_now, version_id = 'certver' || substr(j.id, 4), last_error = NULL
        WHERE j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running'
            AND (j.id IN (SELECT i.id FROM unnest(v_mine) AS i (id))) IS TRUE
        RETURNING j.id, j.type, j.certificate_id, j.issuer_id, j.agent_id, j.serial_number, j.not_before, j.not_after,
            j.version_id, j.is_stale
    ), stored AS (
        INSERT INTO certificate_versions (id, certificate_id, serial_number, not_before, not_after, fingerprint_sha256,
            pem_chain, created_at, key_algorithm, key_size, issuer_id, key_holder, job_id, chain_id)
        SELECT d.version_id, d.certificate_id, d.serial_number, d.not_before, d.not_after, s.fingerprint,
            s.pem, v_now, s.key_algorithm, s.key_size, d.issuer_id, coalesce(d.agent_id, ''), d.id, v_chain
        FROM done d JOIN unnest(p_job_ids, p_pem, p_fingerprints, p_key_algorithms, p_key_sizes)
            AS s (job_id, pem, fingerprint, key_algorithm, key_size) ON s.job_id = d.id RETURNING 1
    ), current AS (
        UPDATE managed_certificates c SET
            status = CASE WHEN c.status IN ('Revoked', 'Archived') THEN c.status
                WHEN EXISTS (SELECT 1 FROM jobs o WHERE o.certificate_id = c.id AND o.type IN ('Issuance', 'Renewal')
                    AND o.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval') AND o.id NOT IN (SELECT id FROM done))
                    THEN 'RenewalInProgress' ELSE 'Active' END,
            expires_at = d.not_after, valid_from = d.not_before, last_renewal_at = v_now, updated_at = v_now,
            renew_after = CASE WHEN d.is_stale THEN v_now
                ELSE renew_after_of(c.id, d.not_before, d.not_after, p.renewal_window_days, p.renewal_percent) END,
            renewal_wanted = CASE WHEN d.is_stale THEN coalesce(c.renewal_wanted, 'names_changed') END,
            expiring_at = expiring_at_of(d.not_before, d.not_after, p.renewal_window_days)
        FROM done d, renewal_policies p WHERE c.id = d.certificate_id AND p.id = c.renewal_policy_id RETURNING 1
    ), wanted AS (
        UPDATE certificate_target_mappings m SET desired_version_id = d.version_id, deploy_failures = 0, deploy_after = '-infinity'
        FROM done d, deployment_targets t
        WHERE m.certificate_id = d.certificate_id AND t.id = m.target_id AND t.agent_id = d.agent_id
            AND (v_dead IS NULL OR d.certificate_id <> ALL (v_dead))
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_worker, 'System', 'renewal_job_completed', 'certificate', d.certificate_id,
            jsonb_build_object('job_id', d.id, 'serial_number', d.serial_number) FROM done d
    )
    SELECT array_agg(d.certificate_id ORDER BY d.certificate_id), array_agg(d.id), array_agg(d.agent_id), min(d.issuer_id)
        INTO v_certificates, v_jobs, v_agents, v_issuer FROM done d WHERE (SELECT count(*) FROM stored) >= 0;

    IF v_dead IS NOT NULL AND v_jobs IS NOT NULL THEN
        INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, issuer_id, job_id)
        SELECT id_new('rev'), d.certificate_id, d.serial_number, coalesce(c.revocation_reason, 'cessationOfOperation'),
            'system', d.issuer_id, d.id
        FROM unnest(v_jobs) AS u (id) JOIN jobs d ON d.id = u.id JOIN managed_certificates c ON c.id = d.certificate_id
        WHERE d.certificate_id = ANY (v_dead) ON CONFLICT DO NOTHING;
    END IF;
    -- Statements without a row have triggers that cost as much as an order: most of what clients keep has no target.
    IF EXISTS (SELECT 1 FROM certificate_target_mappings m WHERE m.certificate_id = ANY (v_certificates)) THEN
        -- With several key holders the certificate ends when the first of their versions does.
        UPDATE managed_certificates c SET expires_at = e.not_after, valid_from = e.not_before,
            renew_after = least(c.renew_after, renew_after_of(c.id, e.not_before, e.not_after, p.renewal_window_days, p.renewal_percent))
        FROM (
            WITH shared AS MATERIALIZED (
                SELECT m.certificate_id, array_agg(DISTINCT t.agent_id) AS holders
                FROM certificate_target_mappings m
                JOIN deployment_targets t ON t.id = m.target_id AND t.retired_at IS NULL
                WHERE m.certificate_id = ANY (v_certificates) GROUP BY 1 HAVING min(t.agent_id) <> max(t.agent_id))
            SELECT DISTINCT ON (h.certificate_id) h.certificate_id, v.not_before, v.not_after
            FROM shared h CROSS JOIN LATERAL unnest(h.holders) AS a (id)
            CROSS JOIN LATERAL (SELECT o.not_before, o.not_after FROM certificate_versions o
                WHERE o.certificate_id = h.certificate_id AND o.key_holder = a.id ORDER BY o.id DESC LIMIT 1) v
            ORDER BY h.certificate_id, v.not_after) e, renewal_policies p
        WHERE c.id = e.certificate_id AND p.id = c.renewal_policy_id AND e.not_after < c.expires_at;
        PERFORM deployments_fan_out(v_certificates, v_now);
    END IF;
    IF v_certificates IS NOT NULL THEN
        -- A success closes the breaker; a healthy lane's row is only read.
        IF EXISTS (SELECT 1 FROM lanes l WHERE l.issuer_id = v_issuer AND (l.failures > 0 OR l.breaker_state <> 'closed')) THEN
            PERFORM lane_succeeded(v_issuer);
        END IF;
        PERFORM acme_orders_complete(v_jobs);
    END IF;
    RETURN QUERY SELECT n.job_id, n.agent_id, 'Completed' FROM unnest(v_jobs, v_agents) AS n (job_id, agent_id);
    IF coalesce(cardinality(v_jobs), 0) < cardinality(p_job_ids) THEN
        RETURN QUERY SELECT j.id, j.agent_id::text, j.status::text FROM jobs j
            WHERE j.id = ANY (p_job_ids) AND (v_jobs IS NULL OR j.id <> ALL (v_jobs)) AND (j.id = ANY (v_held)
                OR (j.lease_id = p_lease AND j.leased_by = p_worker AND j.status IN ('Running', 'Completed')));
    END IF;
END $$;

-- How long the order of a job waits, and when it is due then, by what issue_set_aside is told of it.
CREATE FUNCTION order_due(p_job text, p_known jsonb, p_now timestamptz) RETURNS TABLE (wait interval, due_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT w.wait, CASE WHEN p_known ? 'grid_ms' THEN date_bin(ms((p_known ->> 'grid_ms')::bigint), p_now + w.wait,
            (SELECT i.created_at FROM issuers i JOIN jobs j ON j.issuer_id = i.id WHERE j.id = p_job)) ELSE p_now + w.wait END
    FROM (SELECT ms(coalesce((p_known ->> 'wait_ms')::bigint, 0)) AS wait) w
$$;

-- Ends or puts off jobs of a lease that made no certificate.  p_outcomes:
--   fail       Failed, with the reason
--   wrong      the CA sent a certificate that is not the one asked for: Failed, and a failure of
--              the lane
--   retry      a failure outside: the attempt counts, back-off, Failed when attempts are used up;
--              a failure of the lane
--   refuse     the CA answered and refused: as retry
--   ended      the CA ended its order without a certificate: as retry, by another order, but a success of the lane, for
--              the CA works: it is the names that failed
--   uncertain  an order may exist and nobody can say; a failure of the lane, and the job waits
--              for a person, who reads in last_error what to do
--   pending    the CA has the order and works on it: Pending until it is polled, nothing counted; a
--              success of the lane
--   silent     it did not say what became of the order: as pending, but a failure of the lane
--   alone      a list of the CA did not show the order as pending: Pending at once, and then asked for by itself; nothing
--              counted, for what the CA is like the next answer says
--   release    Pending at once, nothing counted; the reason is shown, if any
--   held       as release, a little later: somebody holds a row that it needs
--   cancel     Cancelled; where only the tick's budget asked for it, as release
-- Another word is refused, with all of the call.  p_open names the jobs of which an order may exist still (NULL: any): they
-- keep their checkpoint, so that the next attempt looks it up first.  p_orders: of each what is known of its order, where it is
-- pending or silent, {"order_id", "polls", "together"}; and "wait_ms", when to go on, which holds for retry, refuse and ended too where it is
-- later than their back-off; "grid_ms": at the last multiple of it by then, counted from when the issuer was made.  What is to end while somebody holds its certificate is held instead, with p_why_held, and comes to the same end later; what is held itself stays Running, as the answer says.
CREATE FUNCTION issue_set_aside(p_worker text, p_lease bigint, p_job_ids text[], p_outcomes text[], p_errors text[],
    p_open text[] DEFAULT NULL, p_why_held text DEFAULT NULL, p_orders jsonb[] DEFAULT NULL) RETURNS TABLE (job_id text, status text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_answered text; -- the issuer that said of an order that it works on it
    v_own text[]; v_outcomes text[]; v_reasons text[]; v_orders jsonb[];
    v_ids text[]; v_statuses text[]; v_errors text[];
    v_issuer text; v_why text; v_taken record;
BEGIN
    PERFORM words_check(p_outcomes, '{fail,retry,refuse,ended,release,held,cancel,wrong,uncertain,pending,silent,alone}', p_job_ids);
    SELECT t.ids, t.held INTO v_taken FROM jobs_take(p_job_ids) t;
    SELECT array_agg(j.id), array_agg(CASE
            -- Its tick's budget was over, or what the worker heard was of its lease before: nobody wants it cancelled.
            WHEN o.outcome = 'cancel' AND j.cancel_requested_at IS NULL THEN 'release'
            WHEN o.outcome NOT IN ('fail', 'cancel', 'wrong')
                AND NOT (o.outcome IN ('retry', 'refuse', 'ended') AND j.attempts + 1 >= j.max_attempts) THEN o.outcome
            WHEN j.id = ANY (v_taken.held) THEN 'held'
            WHEN o.outcome = 'cancel' THEN 'cancel'
            ELSE 'fail' END), array_agg(o.known), array_agg(CASE WHEN j.id = ANY (v_taken.held) THEN coalesce(p_why_held, o.error)
                WHEN o.outcome <> 'cancel' OR j.cancel_requested_at IS NOT NULL THEN o.error END),
            min(j.issuer_id) FILTER (WHERE o.outcome IN ('retry', 'refuse', 'wrong', 'uncertain', 'silent')),
            min(o.error) FILTER (WHERE o.outcome IN ('retry', 'refuse', 'wrong', 'uncertain', 'silent')),
            min(j.issuer_id) FILTER (WHERE o.outcome IN ('pending', 'ended'))
        INTO v_own, v_outcomes, v_orders, v_reasons, v_issuer, v_why, v_answered
    FROM unnest(p_job_ids, p_outcomes, p_errors, p_orders) AS o (id, outcome, error, known)
    CROSS JOIN LATERAL (SELECT n.* FROM jobs n WHERE n.id = o.id OFFSET 0) j
    WHERE j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running'
        AND (j.id IN (SELECT u.id FROM unnest(v_taken.ids || v_taken.held) AS u (id))) IS TRUE;
    INSERT INTO stat_moves (kind, key, n)
    SELECT 'issuance_failure', i.type || ' ' || c.class, count(*)
    FROM unnest(p_job_ids, p_outcomes) AS o (id, outcome)
    CROSS JOIN LATERAL (SELECT n.id, n.issuer_id FROM jobs n WHERE n.id = o.id OFFSET 0) j JOIN issuers i ON i.id = j.issuer_id
    JOIN (VALUES ('refuse', 'upstream_4xx'), ('uncertain', 'timeout'), ('retry', 'other'), ('silent', 'other'), ('fail', 'validation'), ('ended', 'validation'), ('wrong', 'validation'))
        AS c (outcome, class) ON c.outcome = o.outcome
    WHERE (j.id IN (SELECT u.id FROM unnest(v_own) AS u (id))) IS TRUE GROUP BY i.type, c.class;
    WITH later AS (
        UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL, budget_over_at = NULL,
            attempts = j.attempts + (o.outcome IN ('retry', 'refuse', 'ended'))::int,
            last_error = CASE WHEN o.outcome = 'release' AND j.budget_over_at IS NOT NULL THEN j.last_error
                ELSE coalesce(o.error, j.last_error) END,
            held_since = CASE o.outcome WHEN 'held' THEN coalesce(j.held_since, v_now) END,
            run_after = CASE o.outcome WHEN 'release' THEN v_now WHEN 'alone' THEN v_now WHEN 'held' THEN v_now + policy_held_rest()
                WHEN 'uncertain' THEN 'infinity' WHEN 'pending' THEN k.due_at WHEN 'silent' THEN k.due_at
                ELSE v_now + greatest(k.wait, jittered(back_off(retry_after(w.seconds, w.life),
                    least(policy_retry_most(), w.life / policy_retry_part()), j.attempts))) END,
            checkpoint = CASE WHEN o.outcome = 'uncertain' THEN coalesce(j.checkpoint, '{}') || '{"state": "uncertain"}'
                WHEN o.outcome IN ('pending', 'silent') THEN jsonb_build_object('ordered_at', v_now) || (coalesce(j.checkpoint, '{}') - 'together')
                    || '{"state": "ordered"}' || (coalesce(o.known, '{}') - '{wait_ms,grid_ms}'::text[])
                WHEN o.outcome = 'alone' THEN j.checkpoint - 'together'
                WHEN p_open IS NULL OR j.id = ANY (p_open) THEN j.checkpoint END
        FROM unnest(v_own, v_outcomes, v_reasons, v_orders) AS o (id, outcome, error, known)
        CROSS JOIN LATERAL order_due(o.id, o.known, v_now) k
        LEFT JOIN LATERAL (SELECT p.retry_interval_seconds AS seconds, c.expires_at - c.valid_from AS life
            FROM jobs n JOIN managed_certificates c ON c.id = n.certificate_id JOIN renewal_policies p ON p.id = c.renewal_policy_id
            WHERE n.id = o.id) w ON true WHERE j.id = o.id AND o.outcome NOT IN ('fail', 'cancel')
        RETURNING j.id, j.certificate_id, j.last_error, o.outcome
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT p_worker, 'System', 'renewal_job_order_uncertain', 'certificate', coalesce(l.certificate_id, ''),
        jsonb_build_object('job_id', l.id, 'error', l.last_error) FROM later l WHERE l.outcome = 'uncertain';
    SELECT array_agg(o.id), array_agg(CASE o.outcome WHEN 'cancel' THEN 'Cancelled' ELSE 'Failed' END), array_agg(o.error)
        INTO v_ids, v_statuses, v_errors
    FROM unnest(v_own, v_outcomes, v_reasons) AS o (id, outcome, error) WHERE o.outcome IN ('fail', 'cancel');
    PERFORM job_finish(v_ids, v_statuses, v_errors, p_open => coalesce(p_open, v_ids, '{}'));
    IF v_issuer IS NOT NULL THEN PERFORM lane_failed(v_issuer, p_lease, v_why);
    ELSIF EXISTS (SELECT 1 FROM lanes l WHERE l.issuer_id = v_answered AND (l.failures > 0 OR l.breaker_state <> 'closed')) THEN
        PERFORM lane_succeeded(v_answered);
    END IF;
    RETURN QUERY SELECT j.id, j.status::text FROM jobs j WHERE j.id = ANY (p_job_ids);
END $$;
