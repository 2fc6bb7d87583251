-- The lanes of the issuers: room, rate and breaker.  Their state are rows, so that a new leader finds it as the old one
-- left it.

CREATE FUNCTION lanes_for_issuer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO lanes (issuer_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- A bucket that holds what a second brings, one at least.
CREATE FUNCTION lane_tokens(l lanes, p_now timestamptz) RETURNS double precision LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN l.rate_at = '-infinity' THEN greatest(l.rate_per_s, 1)
        ELSE least(greatest(l.rate_per_s, 1),
            l.rate_tokens + greatest(extract(epoch FROM p_now - l.rate_at)::float8, 0) * l.rate_per_s) END
$$;

-- How many jobs a lane lets through now; NULL: as many as there are.
CREATE FUNCTION lane_allows(l lanes, p_now timestamptz) RETURNS int LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CASE
        WHEN l.breaker_state = 'closed' AND l.rate_per_s IS NULL THEN NULL
        WHEN l.breaker_state = 'open' AND l.opened_until > p_now THEN 0
        WHEN l.breaker_state <> 'closed'
            AND EXISTS (SELECT 1 FROM jobs j WHERE j.lease_id = l.trial_lease AND j.status = 'Running') THEN 0
        ELSE least(CASE WHEN l.breaker_state <> 'closed' THEN 1 END, floor(lane_tokens(l, p_now))::int) END
$$;

-- What a call came to is not waited for where somebody holds the lane's row: the next call says the same.
--
-- One call to the issuer failed.  The fifth in a row opens the breaker; the failure of the job let through after that opens
-- it for twice as long, to a limit.  What was under way when it opened changes nothing.
CREATE FUNCTION lane_failed(p_issuer text, p_lease bigint, p_error text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE lanes l SET failures = l.failures + 1, last_error = p_error,
        breaker_state = CASE WHEN o.is_opening THEN 'open' ELSE l.breaker_state END,
        opened_until = CASE WHEN o.is_opening
            THEN engine_now() + back_off(policy_breaker_first(), policy_breaker_most(), l.opens) ELSE l.opened_until END,
        opens = l.opens + CASE WHEN o.is_opening THEN 1 ELSE 0 END,
        trial_lease = CASE WHEN o.is_opening THEN NULL ELSE l.trial_lease END
    FROM (SELECT n.issuer_id, CASE WHEN n.breaker_state = 'closed' THEN n.failures + 1 >= n.failures_max
            ELSE coalesce(n.trial_lease = p_lease, false) END AS is_opening
        FROM lanes n WHERE n.issuer_id = p_issuer FOR NO KEY UPDATE SKIP LOCKED) o WHERE l.issuer_id = o.issuer_id
$$;

CREATE FUNCTION lane_succeeded(p_issuer text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE lanes l SET failures = 0, opens = 0, breaker_state = 'closed', opened_until = NULL, trial_lease = NULL,
        last_error = NULL WHERE l.issuer_id = (SELECT n.issuer_id FROM lanes n WHERE n.issuer_id = p_issuer FOR NO KEY UPDATE SKIP LOCKED)
$$;

-- --- why something waits ---
-- What a job waits for: in lines of their own a word of apiserver/handlers/jobs/reason.c, the agent or issuer it is about,
-- since or until when, and what was said.  No row: it runs or has ended.  why is what was said, of its lane too.
CREATE FUNCTION job_reason(j jobs) RETURNS TABLE (reason text, why text) LANGUAGE sql STABLE AS $$
    SELECT format(E'%s\n%s\n%s\n%s', w.word, w.subject, to_char(w.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), w.why), w.why
    FROM (SELECT CASE j.status WHEN 'AwaitingCSR' THEN 'no_target' ELSE 'approval' END AS word, '' AS subject, NULL::timestamptz AS at,
            j.last_error AS why
        WHERE j.status = 'AwaitingApproval' OR (j.status = 'AwaitingCSR' AND j.agent_id IS NULL)
    UNION ALL SELECT CASE WHEN a.retired_at IS NOT NULL THEN 'agent_retired' WHEN a.status = 'Offline' THEN 'agent_offline'
            WHEN j.run_after > engine_now() THEN 'later' WHEN j.type = 'Deployment' THEN 'agent' ELSE 'csr' END, a.id,
        CASE WHEN a.retired_at IS NOT NULL THEN a.retired_at WHEN a.status = 'Offline' THEN coalesce(a.last_heartbeat_at, a.registered_at)
            WHEN j.run_after > engine_now() THEN j.run_after END, j.last_error
        FROM agents a WHERE a.id = j.agent_id AND (j.status = 'AwaitingCSR' OR (j.type = 'Deployment'
            AND (j.status = 'Pending' OR (j.status = 'Running' AND (a.status = 'Offline' OR a.retired_at IS NOT NULL)))))
    UNION ALL SELECT CASE WHEN NOT i.enabled THEN 'issuer_disabled' WHEN j.run_after = 'infinity' THEN 'order_uncertain'
            WHEN j.run_after > engine_now() THEN CASE WHEN j.checkpoint IS NULL THEN 'later' ELSE 'order' END
            WHEN l.cap = 0 THEN 'lane_closed' WHEN l.breaker_state <> 'closed' THEN 'lane_stopped'
            WHEN lane_allows(l, engine_now()) = 0 THEN 'lane_rate' WHEN f.n = 0 THEN 'no_worker' WHEN f.n > 0 THEN 'worker_fault'
            WHEN cardinality(j.died_with) >= policy_deaths_alone() THEN 'suspect' ELSE 'turn' END, i.id,
        CASE WHEN j.run_after = 'infinity' THEN NULL WHEN j.run_after > engine_now() THEN j.run_after
            WHEN l.breaker_state <> 'closed' THEN l.opened_until END,
        -- Of a fault all workers have, even where something else was said when the job was given back before.
        coalesce(CASE WHEN i.enabled AND l.cap > 0 AND l.breaker_state = 'closed' THEN f.why END, j.last_error,
            CASE WHEN l.breaker_state <> 'closed' THEN l.last_error END)
        FROM issuers i JOIN lanes l ON l.issuer_id = i.id
        LEFT JOIN (SELECT count(*) AS n, min(coalesce(w.faults ->> '', w.faults ->> j.issuer_id)) AS why FROM workers w
            WHERE w.lease_until > clock_timestamp()
            HAVING count(*) = count(coalesce(w.faults ->> '', w.faults ->> j.issuer_id))) f ON j.run_after <= engine_now()
        WHERE i.id = j.issuer_id AND j.status = 'Pending' AND j.type <> 'Deployment') w
$$;

-- What an operator should know of a certificate beside its status, in lines as of job_reason.  PL/pgSQL keeps its plan.
CREATE FUNCTION certificate_reason(c managed_certificates) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE c.status WHEN 'Revoked' THEN (SELECT CASE r.issuer_state WHEN 'by_hand' THEN E'revoke_by_hand\n' ELSE E'not_revoked_there\n' END
            || r.issuer_id || E'\n\n' || coalesce(r.issuer_said, '') FROM certificate_revocations r
            WHERE r.certificate_id = c.id AND r.issuer_state <> 'confirmed' ORDER BY r.id LIMIT 1)
        WHEN 'Archived' THEN NULL WHEN 'RenewalInProgress' THEN coalesce(
        (SELECT r.reason FROM jobs j CROSS JOIN LATERAL job_reason(j) r
            WHERE j.certificate_id = c.id AND job_issues(j.type) AND r.reason !~ E'^(csr|turn)\n' ORDER BY j.id LIMIT 1),
        c.renewal_wanted)
        ELSE coalesce(c.renewal_wanted, (SELECT E'deployment_failing\n' || m.target_id FROM certificate_target_mappings m
            WHERE m.certificate_id = c.id AND m.desired_version_id IS DISTINCT FROM m.deployed_version_id AND m.deploy_failures > 0
            ORDER BY m.target_id LIMIT 1),
            (SELECT E'served_other\n' || o.target_id FROM served_other o WHERE o.certificate_id = c.id ORDER BY o.target_id LIMIT 1),
            CASE WHEN c.status = 'Failed' THEN (SELECT E'failed\n\n\n' || j.last_error FROM jobs j WHERE j.certificate_id = c.id
                AND j.status = 'Failed' AND job_issues(j.type) ORDER BY j.id DESC LIMIT 1) END,
            (SELECT CASE WHEN i.enabled THEN E'by_hand\n' || p.id ELSE E'issuer_off\n' || i.id END
            FROM renewal_policies p, issuers i WHERE p.id = c.renewal_policy_id AND i.id = c.issuer_id AND NOT (p.auto_renew AND i.enabled)),
            CASE WHEN c.renew_after = 'infinity' AND certificate_renews(c.status) THEN 'ends_with_ca' END)
        END);
END $$;

-- What a list says of a certificate beside its row: its targets, certificate_deployment and certificate_reason.  It is made
-- part of the statement that calls it, and calls those, which cost more than the row, only where they have something to say.
CREATE FUNCTION certificate_now(c managed_certificates) RETURNS TABLE (target_ids json, deployment_status text, reason text)
LANGUAGE sql STABLE AS $$
    SELECT array_to_json(coalesce(t.ids, '{}')), CASE WHEN t.has_failed THEN 'failed' WHEN t.is_pending THEN 'pending'
            WHEN t.may_be_other THEN certificate_deployment(c.id) WHEN t.has_any THEN 'deployed' END,
        CASE WHEN c.status = 'RenewalInProgress' OR (c.status = 'Revoked' AND EXISTS (SELECT 1 FROM certificate_revocations r
            WHERE r.certificate_id = c.id AND r.issuer_state <> 'confirmed')) OR (c.status NOT IN ('Revoked', 'Archived') AND (c.status = 'Failed'
            OR t.has_failed OR t.may_be_other OR c.renewal_wanted IS NOT NULL OR c.renew_after = 'infinity'
            OR c.renewal_policy_id = ANY (ARRAY(SELECT p.id FROM renewal_policies p WHERE NOT p.auto_renew))
            OR c.issuer_id = ANY (ARRAY(SELECT i.id FROM issuers i WHERE NOT i.enabled)))) THEN certificate_reason(c) END
    FROM (SELECT array_agg(m.target_id ORDER BY m.target_id) AS ids, bool_or(m.desired_version_id IS NOT NULL) AS has_any,
            bool_or(m.desired_version_id IS DISTINCT FROM m.deployed_version_id) AS is_pending,
            bool_or(m.desired_version_id IS DISTINCT FROM m.deployed_version_id AND m.deploy_failures > 0) AS has_failed,
            -- By the target, however many are other.
            bool_or((SELECT s.is_other FROM served_certificates s WHERE s.target_id = m.target_id)) AS may_be_other
        FROM certificate_target_mappings m WHERE m.certificate_id = c.id) t
$$;

-- When something is due, as the keys of lanes have it: compared as bytes they come in the order of their times.
CREATE FUNCTION lane_key(p_after timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN isfinite(p_after) THEN to_char(p_after AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"+00"') ELSE p_after::text END
$$;

-- What the leader must know to hand out work: every lane that has a due job behind its low-water key, and how many batches
-- each lane has running.
CREATE FUNCTION lanes_due(p_issuers text[], p_low_after timestamptz[], p_low_ids text[])
RETURNS TABLE (issuer_id text, issuer_type text, cap int, running bigint, due bool, allows int, breaker_state text,
    opened_until timestamptz, last_error text) LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off AS $$
DECLARE v_now timestamptz := engine_now();
BEGIN
    RETURN QUERY
    SELECT l.issuer_id, i.type::text, l.cap, coalesce(r.n, 0),
        i.enabled AND EXISTS (SELECT 1 FROM jobs j
            WHERE j.issuer_id = l.issuer_id AND j.status = 'Pending' AND job_issues(j.type) AND j.run_after <= v_now
                AND (j.run_after, j.id) >= (coalesce(w.low_after, '-infinity'), coalesce(w.low_id, ''))),
        CASE WHEN l.breaker_state <> 'closed' OR l.rate_per_s IS NOT NULL THEN lane_allows(l, v_now) END,
        l.breaker_state, l.opened_until, l.last_error FROM lanes l JOIN issuers i ON i.id = l.issuer_id
    LEFT JOIN unnest(p_issuers, p_low_after, p_low_ids) AS w (issuer_id, low_after, low_id) ON w.issuer_id = l.issuer_id
    LEFT JOIN (SELECT j.issuer_id, count(DISTINCT j.lease_id) AS n FROM jobs j
        WHERE j.status = 'Running' AND job_issues(j.type) GROUP BY 1) r ON r.issuer_id = l.issuer_id;
END $$;
