-- Bulk renewal, revocation and reassignment: each one statement that decides,
-- writes, audits and answers, for any number of certificates.

-- The certificates that meet all criteria given (profile_id, owner_id,
-- agent_id, issuer_id, team_id, source), among p_ids unless that is NULL.
CREATE FUNCTION certificates_matching(p_criteria jsonb, p_ids text[]) RETURNS TABLE (id text, status text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    v_profile text := p_criteria ->> 'profile_id';
    v_owner text := p_criteria ->> 'owner_id';
    v_agent text := p_criteria ->> 'agent_id';
    v_issuer text := p_criteria ->> 'issuer_id';
    v_team text := p_criteria ->> 'team_id';
    v_source text := p_criteria ->> 'source';
BEGIN
    RETURN QUERY SELECT c.id, c.status::text FROM managed_certificates c
    WHERE (p_ids IS NULL OR c.id = ANY (p_ids))
        AND (v_profile IS NULL OR c.certificate_profile_id = v_profile)
        AND (v_owner IS NULL OR c.owner_id = v_owner)
        AND (v_issuer IS NULL OR c.issuer_id = v_issuer)
        AND (v_team IS NULL OR c.team_id = v_team)
        AND (v_source IS NULL OR c.source = v_source)
        AND (v_agent IS NULL OR c.id IN (SELECT m.certificate_id FROM certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id WHERE t.agent_id = v_agent));
END $$;

-- The summary event of a bulk call; what it lists lies beside it.
CREATE FUNCTION bulk_audit(p_action text, p_actor text, p_actor_type text, p_details jsonb, p_list text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_attachment jsonb;
BEGIN
    IF p_list <> '' THEN
        INSERT INTO audit_attachments (sha256, content)
            VALUES (encode(sha256(convert_to(p_list, 'UTF8')), 'hex'), p_list)
            RETURNING jsonb_build_object('attachment_id', id, 'attachment_sha256', sha256) INTO v_attachment;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, p_actor_type, p_action, 'certificate', 'bulk', p_details || coalesce(v_attachment, '{}'));
END $$;

-- The members of an answer; lists are left out when empty.
CREATE FUNCTION bulk_answer(p_success text, p_matched bigint, p_done bigint, p_failed bigint, p_jobs text, p_errors text)
RETURNS text LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT '{"total_matched":' || p_matched || ',"' || p_success || '":' || p_done
        || ',"total_skipped":' || greatest(p_matched - p_done - p_failed, 0) || ',"total_failed":' || p_failed
        || coalesce(',"enqueued_jobs":[' || nullif(p_jobs, '') || ']', '')
        || coalesce(',"errors":[' || nullif(p_errors, '') || ']', '') || '}'
$$;

-- p_agents: the agents that have a CSR to make, at most a hundred (NULL: so
-- many that they find it at their next look).
CREATE FUNCTION certificates_bulk_renew(p_criteria jsonb, p_ids text[], p_actor text, p_actor_type text, p_is_dry bool,
    p_words jsonb)
RETURNS TABLE (body text, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_matched bigint;
    v_ids text[];
    v_done bigint;
    v_failed bigint;
    v_jobs text;
    v_errors text;
    v_agents text[];
BEGIN
    -- Filtered before anything is locked, and what is to be skipped is not
    -- locked at all.
    SELECT count(*), array_agg(m.id ORDER BY m.id)
            FILTER (WHERE m.status NOT IN ('Archived', 'Revoked', 'Expired', 'RenewalInProgress'))
        INTO v_matched, v_ids FROM certificates_matching(p_criteria, p_ids) m;
    IF p_is_dry THEN
        SELECT count(*) FILTER (WHERE i.enabled), count(*) FILTER (WHERE NOT i.enabled) INTO v_done, v_failed
        FROM managed_certificates c JOIN issuers i ON i.id = c.issuer_id WHERE c.id = ANY (v_ids);
        RETURN QUERY SELECT bulk_answer('total_enqueued', v_matched, v_done, v_failed, '', ''), '{}'::text[];
        RETURN;
    END IF;
    -- Ids hold no character that JSON would escape.
    SELECT count(DISTINCT e.certificate_id) FILTER (WHERE e.job_id IS NOT NULL),
            count(*) FILTER (WHERE e.outcome = 'issuer_disabled'),
            string_agg('{"certificate_id":"' || e.certificate_id || '","job_id":"' || e.job_id || '"}', ',')
                FILTER (WHERE e.job_id IS NOT NULL),
            string_agg('{"certificate_id":"' || e.certificate_id || '","error":' || (p_words -> 'issuer_disabled') || '}', ',')
                FILTER (WHERE e.outcome = 'issuer_disabled'),
            array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL)
        INTO v_done, v_failed, v_jobs, v_errors, v_agents
    FROM jobs_enqueue(v_ids, p_actor, p_actor_type, false, false, false) e;
    PERFORM bulk_audit('bulk_renewal_initiated', p_actor, p_actor_type, jsonb_build_object('criteria', p_criteria,
        'certificate_ids_given', cardinality(p_ids), 'total_matched', v_matched, 'total_enqueued', v_done,
        'total_skipped', v_matched - v_done - v_failed, 'total_failed', v_failed), '[' || nullif(v_jobs, '') || ']');
    RETURN QUERY SELECT bulk_answer('total_enqueued', v_matched, v_done, v_failed, v_jobs, v_errors),
        CASE WHEN cardinality(v_agents) <= 100 THEN v_agents END;
END $$;

CREATE FUNCTION certificates_bulk_revoke(p_criteria jsonb, p_ids text[], p_reason text, p_actor text, p_actor_type text, p_is_dry bool,
    p_why text, p_words jsonb)
RETURNS TABLE (body text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_matched bigint;
    v_ids text[];
    v_done bigint;
    v_failed bigint;
    v_errors text;
BEGIN
    SELECT count(*), array_agg(m.id ORDER BY m.id) FILTER (WHERE m.status NOT IN ('Archived', 'Revoked'))
        INTO v_matched, v_ids FROM certificates_matching(p_criteria, p_ids) m;
    IF p_is_dry THEN
        SELECT count(*) FILTER (WHERE s.can), count(*) FILTER (WHERE NOT s.can) INTO v_done, v_failed
        FROM (SELECT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.certificate_id = r.id)
                OR EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = r.id AND j.type IN ('Issuance', 'Renewal')
                    AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running')) AS can
            FROM unnest(v_ids) AS r (id)) s;
        RETURN QUERY SELECT bulk_answer('total_revoked', v_matched, v_done, v_failed, '', '');
        RETURN;
    END IF;
    SELECT count(*) FILTER (WHERE e.outcome = 'revoked'), count(*) FILTER (WHERE e.outcome = 'no_version'),
            string_agg('{"certificate_id":"' || e.certificate_id || '","error":' || (p_words -> 'no_version') || '}', ',')
                FILTER (WHERE e.outcome = 'no_version')
        INTO v_done, v_failed, v_errors
    FROM certificates_revoke(v_ids, p_reason, p_actor, p_actor_type, p_why) e;
    -- Each revocation has an event of its own, under its certificate.
    PERFORM bulk_audit('bulk_revocation_initiated', p_actor, p_actor_type, jsonb_build_object('criteria', p_criteria,
        'reason', p_reason, 'certificate_ids_given', cardinality(p_ids), 'total_matched', v_matched, 'total_revoked', v_done,
        'total_skipped', v_matched - v_done - v_failed, 'total_failed', v_failed), NULL);
    RETURN QUERY SELECT bulk_answer('total_revoked', v_matched, v_done, v_failed, '', v_errors);
END $$;

-- outcome: done, or owner or team: there is no such one.
CREATE FUNCTION certificates_bulk_reassign(p_ids text[], p_owner text, p_team text, p_actor text, p_actor_type text, p_is_dry bool,
    p_words jsonb)
RETURNS TABLE (outcome text, body text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    v_matched bigint;
    v_ids text[];
    v_failed bigint;
    v_errors text;
    v_done bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM owners o WHERE o.id = p_owner) THEN
        RETURN QUERY SELECT 'owner', NULL::text;
        RETURN;
    ELSIF p_team IS NOT NULL AND NOT EXISTS (SELECT 1 FROM teams t WHERE t.id = p_team) THEN
        RETURN QUERY SELECT 'team', NULL::text;
        RETURN;
    END IF;
    SELECT count(*), count(*) FILTER (WHERE c.id IS NULL),
            string_agg('{"certificate_id":' || to_json(g.id) || ',"error":' || (p_words -> 'unknown') || '}', ',' ORDER BY g.id)
                FILTER (WHERE c.id IS NULL),
            array_agg(c.id ORDER BY c.id) FILTER (WHERE c.owner_id <> p_owner OR c.team_id <> coalesce(p_team, c.team_id))
        INTO v_matched, v_failed, v_errors, v_ids
    FROM (SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id)) g LEFT JOIN managed_certificates c ON c.id = g.id;
    IF p_is_dry THEN
        RETURN QUERY SELECT 'done', bulk_answer('total_reassigned', v_matched, coalesce(cardinality(v_ids), 0), v_failed, '', v_errors);
        RETURN;
    END IF;
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (v_ids) ORDER BY c.id FOR NO KEY UPDATE;
    WITH moved AS (
        UPDATE managed_certificates c SET owner_id = p_owner, team_id = coalesce(p_team, c.team_id), updated_at = engine_now()
        WHERE c.id = ANY (v_ids) AND (c.owner_id <> p_owner OR c.team_id <> coalesce(p_team, c.team_id))
        RETURNING c.id
    )
    SELECT array_agg(m.id ORDER BY m.id), count(*) INTO v_ids, v_done FROM moved m;
    PERFORM bulk_audit('bulk_reassignment_initiated', p_actor, p_actor_type, jsonb_build_object('owner_id', p_owner,
        'team_id', p_team, 'certificate_ids_given', cardinality(p_ids), 'total_matched', v_matched, 'total_reassigned', v_done,
        'total_skipped', v_matched - v_done - v_failed, 'total_failed', v_failed), array_to_string(v_ids, ','));
    RETURN QUERY SELECT 'done', bulk_answer('total_reassigned', v_matched, v_done, v_failed, '', v_errors);
END $$;

-- Those of p_ids that no certificate has, as JSON without brackets; NULL: none.
CREATE FUNCTION certificates_unknown(p_ids text[]) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN (SELECT string_agg(to_json(g.id)::text, ',' ORDER BY g.id)
        FROM (SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id)) g
        WHERE NOT EXISTS (SELECT 1 FROM managed_certificates c WHERE c.id = g.id));
END $$;

-- One bulk request, start to end: what its Idempotency-Key says, the effect,
-- and the answer kept for the next time, in one transaction.  Outcomes: done
-- (body is the answer), in_flight (the same key's first request has not
-- ended), other_request (the key was used for something else), owner and team
-- (there is no such one).  An answer that would be too large for the API's
-- memory undoes all.  p_why is what the jobs of revoked certificates end with,
-- p_words what is said of a certificate that failed: issuer_disabled, no_version,
-- unknown.
CREATE FUNCTION bulk_run(p_kind text, p_criteria jsonb, p_ids text[], p_wanted jsonb, p_actor text, p_actor_type text,
    p_is_dry bool, p_key text, p_request_sha256 text, p_why text, p_words jsonb)
RETURNS TABLE (outcome text, body text, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    v_principal text := p_actor_type || ' ' || p_actor;
    v_kept record;
    v_outcome text := 'done';
    v_body text;
    v_agents text[];
    v_unknown text;
BEGIN
    IF p_key IS NOT NULL AND NOT p_is_dry THEN
        IF NOT pg_try_advisory_xact_lock(hashtextextended(v_principal || ' ' || p_key, 1)) THEN
            RETURN QUERY SELECT 'in_flight', NULL::text, NULL::text[];
            RETURN;
        END IF;
        SELECT k.request_sha256, k.body INTO v_kept FROM idempotency_keys k WHERE k.principal = v_principal AND k.key = p_key;
        IF FOUND THEN
            RETURN QUERY SELECT CASE WHEN v_kept.request_sha256 = p_request_sha256 THEN 'done' ELSE 'other_request' END,
                v_kept.body, NULL::text[];
            RETURN;
        END IF;
    END IF;
    IF p_kind = 'renew' THEN
        SELECT r.body, r.agents INTO v_body, v_agents
        FROM certificates_bulk_renew(p_criteria, p_ids, p_actor, p_actor_type, p_is_dry, p_words) r;
    ELSIF p_kind = 'revoke' THEN
        SELECT r.body INTO v_body
        FROM certificates_bulk_revoke(p_criteria, p_ids, p_wanted ->> 'reason', p_actor, p_actor_type, p_is_dry, p_why, p_words) r;
    ELSE
        SELECT r.outcome, r.body INTO v_outcome, v_body
        FROM certificates_bulk_reassign(p_ids, p_wanted ->> 'owner_id', p_wanted ->> 'team_id', p_actor, p_actor_type, p_is_dry,
            p_words) r;
    END IF;
    v_unknown := certificates_unknown(p_ids);
    IF v_unknown IS NOT NULL AND v_body IS NOT NULL THEN
        v_body := left(v_body, -1) || ',"unknown_ids":[' || v_unknown || ']}';
    END IF;
    IF octet_length(v_body) > 125000000 THEN
        RAISE EXCEPTION 'the answer has % bytes', octet_length(v_body)
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    IF p_key IS NOT NULL AND NOT p_is_dry AND v_outcome = 'done' THEN
        INSERT INTO idempotency_keys (principal, key, route, request_sha256, status, body)
            VALUES (v_principal, p_key, 'bulk-' || p_kind, p_request_sha256, 200, v_body);
    END IF;
    RETURN QUERY SELECT v_outcome, v_body, v_agents;
END $$;
