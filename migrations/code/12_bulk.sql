-- Bulk renewal, revocation and reassignment: each one statement that decides, writes and audits, for any number of
-- certificates.

-- What a call comes to.  certificate_ids are those that it changed, in a renewal one for each of job_ids; failed_ids those
-- that it could not, where it names them; held_ids those that somebody holds.  agents: those that have a CSR to make (NULL:
-- so many that they find it at their next look).  under_way: how many others another renewal is about to renew; is_repeat:
-- all that were left.
CREATE TYPE bulk_result AS (matched bigint, done bigint, failed bigint, certificate_ids text[], job_ids text[],
    failed_ids text[], agents text[], held_ids text[], under_way bigint, is_repeat bool);

-- The certificates that meet all criteria given (profile_id, owner_id, agent_id, issuer_id, team_id, source), among p_ids
-- unless that is NULL.
CREATE FUNCTION certificates_matching(p_criteria jsonb, p_ids text[]) RETURNS TABLE (id text, status text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN QUERY SELECT c.id, c.status::text FROM managed_certificates c
    WHERE (p_ids IS NULL OR c.id = ANY (p_ids))
        AND (p_criteria ->> 'profile_id' IS NULL OR c.certificate_profile_id = p_criteria ->> 'profile_id')
        AND (p_criteria ->> 'owner_id' IS NULL OR c.owner_id = p_criteria ->> 'owner_id')
        AND (p_criteria ->> 'issuer_id' IS NULL OR c.issuer_id = p_criteria ->> 'issuer_id')
        AND (p_criteria ->> 'team_id' IS NULL OR c.team_id = p_criteria ->> 'team_id')
        AND (p_criteria ->> 'source' IS NULL OR c.source = p_criteria ->> 'source')
        AND (p_criteria ->> 'agent_id' IS NULL OR c.id IN (SELECT m.certificate_id FROM certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id WHERE t.agent_id = p_criteria ->> 'agent_id'));
END $$;

-- Those of these certificates that another bulk renewal has taken and not yet renewed.  Each holds the advisory lock, which
-- nobody waits for; a row that only it has locked or changed names its transaction.
CREATE FUNCTION certificates_in_bulk_renewal(p_ids text[]) RETURNS text[] LANGUAGE sql SECURITY DEFINER AS $$
    SELECT array_agg(c.id) FROM unnest(p_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id
    WHERE c.xmax IN (SELECT x.transactionid FROM pg_locks m
        JOIN pg_locks x ON x.pid = m.pid AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'
        WHERE m.locktype = 'advisory' AND (m.classid::bigint << 32 | m.objid::bigint) = hashtextextended('certctl.bulk_renew', 0)
            AND m.pid <> pg_backend_pid() AND m.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
$$;

-- A certificate fails where its issuer is disabled.  One whose ACME client renews it counts as done and gets no job.  No
-- renewal waits for another's locks, only to find nothing left to do behind them: the same call while one runs takes none,
-- and others that overlap take what is free.
CREATE FUNCTION bulk_renew(p_criteria jsonb, p_ids text[], p_actor text, p_actor_type text, p_is_dry bool)
RETURNS bulk_result LANGUAGE plpgsql SECURITY DEFINER SET work_mem = '64MB' AS $$
DECLARE v bulk_result; v_all text[]; v_ids text[]; v_rest text[]; v_busy text[]; v_clients text[]; v_asked bigint;
BEGIN
    -- Filtered before anything is locked, and what is to be skipped is not locked at all.
    SELECT count(*), array_agg(m.id ORDER BY m.id)
            FILTER (WHERE m.status NOT IN ('Archived', 'Revoked', 'Expired', 'RenewalInProgress'))
        INTO v.matched, v_all FROM certificates_matching(p_criteria, p_ids) m;
    v.agents := '{}';
    IF p_is_dry THEN
        SELECT count(*) FILTER (WHERE k.is_done), count(*) FILTER (WHERE NOT k.is_done) INTO v.done, v.failed
        FROM managed_certificates c JOIN issuers i ON i.id = c.issuer_id LEFT JOIN acme_certificates a ON a.certificate_id = c.id
        CROSS JOIN LATERAL (SELECT i.enabled OR a.certificate_id IS NOT NULL AS is_done) k WHERE c.id = ANY (v_all);
        RETURN v;
    END IF;
    v.is_repeat := v_all IS NOT NULL AND NOT pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', p_criteria, p_ids), 2));
    IF NOT v.is_repeat THEN
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('certctl.bulk_renew', 0));
        v_ids := certificates_take_free(v_all);
        v_rest := ARRAY(SELECT unnest(v_all) EXCEPT SELECT unnest(v_ids));
        IF v_rest <> '{}' THEN v_busy := certificates_in_bulk_renewal(v_rest); END IF;
        v.is_repeat := cardinality(v_busy) = cardinality(v_all);
        v_rest := ARRAY(SELECT u.id FROM (SELECT unnest(v_rest) EXCEPT SELECT unnest(v_busy)) AS u (id) ORDER BY u.id);
    END IF;
    v.under_way := CASE WHEN v.is_repeat THEN cardinality(v_all) ELSE cardinality(v_busy) END;
    IF v.is_repeat THEN
        v.done := 0; v.failed := 0;
        RETURN v;
    END IF;
    -- What anybody else holds is waited for.
    IF v_rest <> '{}' THEN SELECT v_ids || t.ids, t.held INTO v_ids, v.held_ids FROM certificates_take(v_rest) t; END IF;
    SELECT array_agg(e.certificate_id), count(*) FILTER (WHERE e.outcome = 'asked') INTO v_clients, v_asked
        FROM acme_renew_ask(v_ids, p_actor, p_actor_type, false) e;
    IF v_clients IS NOT NULL THEN v_ids := ARRAY(SELECT unnest(v_ids) EXCEPT SELECT unnest(v_clients)); END IF;
    SELECT count(DISTINCT e.certificate_id) FILTER (WHERE e.job_id IS NOT NULL) + v_asked,
            count(*) FILTER (WHERE e.outcome IN ('issuer_disabled', 'held')) + coalesce(cardinality(v.held_ids), 0),
            array_agg(e.certificate_id) FILTER (WHERE e.job_id IS NOT NULL),
            array_agg(e.job_id) FILTER (WHERE e.job_id IS NOT NULL),
            array_agg(e.certificate_id) FILTER (WHERE e.outcome = 'issuer_disabled'),
            array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL),
            v.held_ids || array_agg(e.certificate_id) FILTER (WHERE e.outcome = 'held')
        INTO v.done, v.failed, v.certificate_ids, v.job_ids, v.failed_ids, v.agents, v.held_ids
    FROM jobs_enqueue(v_ids, p_actor, p_actor_type, false, false, false) e;
    v.agents := CASE WHEN cardinality(v.agents) > policy_hinted_agents() THEN NULL ELSE coalesce(v.agents, '{}') END;
    RETURN v;
END $$;

-- A certificate fails where it has no version to revoke.
CREATE FUNCTION bulk_revoke(p_criteria jsonb, p_ids text[], p_reason text, p_actor text, p_actor_type text, p_is_dry bool, p_why text)
RETURNS bulk_result LANGUAGE plpgsql SECURITY DEFINER SET work_mem = '64MB' AS $$
DECLARE v bulk_result; v_ids text[];
BEGIN
    SELECT count(*), array_agg(m.id ORDER BY m.id) FILTER (WHERE m.status NOT IN ('Archived', 'Revoked'))
        INTO v.matched, v_ids FROM certificates_matching(p_criteria, p_ids) m;
    IF p_is_dry THEN
        SELECT count(*) FILTER (WHERE s.can), count(*) FILTER (WHERE NOT s.can) INTO v.done, v.failed
        FROM (SELECT EXISTS (SELECT 1 FROM certificate_versions o WHERE o.certificate_id = r.id)
                OR EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = r.id AND job_issues(j.type)
                    AND job_is_active(j.status)) AS can FROM unnest(v_ids) AS r (id)) s;
        RETURN v;
    END IF;
    -- Each revocation has an event of its own, under its certificate.
    SELECT count(*) FILTER (WHERE e.outcome = 'revoked'), count(*) FILTER (WHERE e.outcome IN ('no_version', 'held')),
            array_agg(e.certificate_id) FILTER (WHERE e.outcome = 'no_version'), array_agg(e.certificate_id) FILTER (WHERE e.outcome = 'held')
        INTO v.done, v.failed, v.failed_ids, v.held_ids
    FROM certificates_revoke(v_ids, p_reason, p_actor, p_actor_type, p_why) e;
    RETURN v;
END $$;

-- A certificate fails where there is none of that id.
CREATE FUNCTION bulk_reassign(p_ids text[], p_owner text, p_team text, p_is_dry bool)
RETURNS bulk_result LANGUAGE plpgsql SECURITY DEFINER SET work_mem = '64MB' AS $$
DECLARE v bulk_result;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE c.id IS NULL), array_agg(g.id ORDER BY g.id) FILTER (WHERE c.id IS NULL),
            array_agg(c.id ORDER BY c.id) FILTER (WHERE c.owner_id <> p_owner OR c.team_id <> coalesce(p_team, c.team_id))
        INTO v.matched, v.failed, v.failed_ids, v.certificate_ids
    FROM (SELECT DISTINCT u.id FROM unnest(p_ids) AS u (id)) g LEFT JOIN managed_certificates c ON c.id = g.id;
    IF NOT p_is_dry THEN
        SELECT t.ids, t.held INTO v.certificate_ids, v.held_ids FROM certificates_take(v.certificate_ids) t;
        v.failed := v.failed + coalesce(cardinality(v.held_ids), 0);
        WITH moved AS (
            UPDATE managed_certificates c SET owner_id = p_owner, team_id = coalesce(p_team, c.team_id), updated_at = engine_now()
            WHERE c.id = ANY (v.certificate_ids) AND (c.owner_id <> p_owner OR c.team_id <> coalesce(p_team, c.team_id))
            RETURNING c.id
        )
        SELECT array_agg(m.id ORDER BY m.id) INTO v.certificate_ids FROM moved m;
    END IF;
    v.done := coalesce(cardinality(v.certificate_ids), 0);
    RETURN v;
END $$;

-- The summary event of a bulk call; what it changed lies beside it, unless each has an event of its own.  Ids hold no
-- character that JSON would escape.
CREATE FUNCTION bulk_audit(p_kind text, p_actor text, p_actor_type text, p_asked jsonb, r bulk_result) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_list text := CASE WHEN r.job_ids IS NULL THEN array_to_string(r.certificate_ids, ',')
        ELSE (SELECT '[' || string_agg('{"certificate_id":"' || u.certificate || '","job_id":"' || u.job || '"}', ',') || ']'
            FROM unnest(r.certificate_ids, r.job_ids) AS u (certificate, job)) END;
    v_attachment jsonb := '{}';
BEGIN
    IF v_list <> '' THEN
        INSERT INTO audit_attachments (sha256, content) VALUES (encode(sha256(convert_to(v_list, 'UTF8')), 'hex'), v_list)
            RETURNING jsonb_build_object('attachment_id', id, 'attachment_sha256', sha256) INTO v_attachment;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, k.action, 'certificate', 'bulk', p_asked || v_attachment || jsonb_build_object(
            'total_matched', r.matched, k.total, r.done, 'total_skipped', r.matched - r.done - r.failed, 'total_failed', r.failed)
        FROM (VALUES ('renew', 'bulk_renewal_initiated', 'total_enqueued'), ('revoke', 'bulk_revocation_initiated', 'total_revoked'),
            ('reassign', 'bulk_reassignment_initiated', 'total_reassigned')) AS k (kind, action, total) WHERE k.kind = p_kind;
END $$;

-- One bulk request, start to end: what its Idempotency-Key says, the effect, and what it came to, kept for the next time,
-- in one transaction.  Outcomes: done, repeat (other renewals do all of it: nothing was done, and the key stays free),
-- in_flight (the same key's first request has not ended), other_request (the key was
-- used for something else), owner and team (there is no such one).  Lists are NULL where empty; certificates are listed
-- with jobs only.  More than p_max_listed of them undo all: they would not fit into the API's memory.  p_why is what the
-- jobs of revoked certificates end with.
CREATE FUNCTION bulk_run(p_kind text, p_criteria jsonb, p_ids text[], p_wanted jsonb, p_actor text, p_actor_type text,
    p_is_dry bool, p_key text, p_request_sha256 text, p_why text, p_max_listed int, OUT outcome text, OUT matched bigint,
    OUT done bigint, OUT failed bigint, OUT certificate_ids text[], OUT job_ids text[], OUT failed_ids text[],
    OUT unknown_ids text[], OUT agents text[], OUT held_ids text[], OUT under_way bigint) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_principal text := p_actor_type || ' ' || p_actor; v bulk_result;
BEGIN
    IF p_key IS NOT NULL AND NOT p_is_dry THEN
        IF NOT pg_try_advisory_xact_lock(hashtextextended(v_principal || ' ' || p_key, 1)) THEN
            outcome := 'in_flight';
            RETURN;
        END IF;
        SELECT CASE WHEN k.request_sha256 = p_request_sha256 THEN 'done' ELSE 'other_request' END,
            k.matched, k.done, k.failed, k.certificate_ids, k.job_ids, k.failed_ids, k.unknown_ids, k.held_ids, k.under_way
        INTO outcome, matched, done, failed, certificate_ids, job_ids, failed_ids, unknown_ids, held_ids, under_way
        FROM idempotency_keys k WHERE k.principal = v_principal AND k.key = p_key;
        IF FOUND THEN RETURN; END IF;
    END IF;
    IF p_kind = 'renew' THEN
        v := bulk_renew(p_criteria, p_ids, p_actor, p_actor_type, p_is_dry);
    ELSIF p_kind = 'revoke' THEN
        v := bulk_revoke(p_criteria, p_ids, p_wanted ->> 'reason', p_actor, p_actor_type, p_is_dry, p_why);
    ELSIF p_kind IS DISTINCT FROM 'reassign' THEN
        RAISE EXCEPTION 'no bulk call is called %', p_kind USING ERRCODE = 'invalid_parameter_value';
    ELSIF NOT EXISTS (SELECT 1 FROM owners o WHERE o.id = p_wanted ->> 'owner_id') THEN
        outcome := 'owner';
    ELSIF p_wanted ? 'team_id' AND NOT EXISTS (SELECT 1 FROM teams t WHERE t.id = p_wanted ->> 'team_id') THEN
        outcome := 'team';
    ELSE
        v := bulk_reassign(p_ids, p_wanted ->> 'owner_id', p_wanted ->> 'team_id', p_is_dry);
    END IF;
    IF outcome IS NOT NULL THEN RETURN; END IF;
    IF greatest(cardinality(v.job_ids), cardinality(v.failed_ids)) > p_max_listed THEN
        RAISE EXCEPTION 'more than % certificates and jobs to be listed', p_max_listed USING ERRCODE = 'program_limit_exceeded';
    END IF;
    unknown_ids := (SELECT array_agg(u.id ORDER BY u.id) FROM (SELECT unnest(p_ids) EXCEPT
        SELECT c.id FROM managed_certificates c WHERE c.id = ANY (p_ids)) AS u (id));
    IF NOT p_is_dry THEN
        PERFORM bulk_audit(p_kind, p_actor, p_actor_type,
            jsonb_build_object('criteria', p_criteria, 'certificate_ids_given', cardinality(p_ids)) || p_wanted
                || CASE WHEN v.is_repeat THEN '{"is_repeat": true}' ELSE '{}' END::jsonb
                || CASE WHEN v.under_way > 0 THEN jsonb_build_object('total_under_way', v.under_way) ELSE '{}' END, v);
    END IF;
    IF v.job_ids IS NULL THEN v.certificate_ids := NULL; END IF;
    IF p_key IS NOT NULL AND NOT p_is_dry AND v.is_repeat IS NOT TRUE THEN
        INSERT INTO idempotency_keys (principal, key, route, request_sha256, matched, done, failed, certificate_ids, job_ids,
                failed_ids, unknown_ids, held_ids, under_way)
            VALUES (v_principal, p_key, 'bulk-' || p_kind, p_request_sha256, v.matched, v.done, v.failed, v.certificate_ids,
                v.job_ids, v.failed_ids, unknown_ids, v.held_ids, v.under_way);
    END IF;
    outcome := CASE WHEN v.is_repeat THEN 'repeat' ELSE 'done' END; matched := v.matched; done := v.done; failed := v.failed; certificate_ids := v.certificate_ids;
    job_ids := v.job_ids; failed_ids := v.failed_ids; agents := v.agents; held_ids := v.held_ids; under_way := v.under_way;
END $$;
