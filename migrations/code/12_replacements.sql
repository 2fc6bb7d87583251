-- Leaving a CA: its certificates get another issuer and are renewed by it, in waves.
--
-- A replacement is a row, and what became of each certificate is one of replacement_items.  The duty moves a piece of it at
-- a time, and each piece is one transaction that ends with its counters, so that whatever is killed goes on from where the
-- last one ended.  A certificate keeps what it has until the new issuer's is there: moving it changes its issuer and makes
-- the job of a renewal, and what keeps a job from being doubled keeps this from it too.
--
-- State of a certificate: moving (a job of the new issuer is in its lane, or about to be), waiting (for somebody: reason),
-- failed (its job did, and is tried again), issued (and not yet served everywhere), done, skipped (it cannot go: reason),
-- returned (the replacement was cancelled before it got anything).

-- --- which can go ---
-- What a name is, as issuers are limited to some: uri, email, ip, wildcard or dns.
CREATE FUNCTION name_kind(p_name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_name LIKE '%://%' THEN 'uri' WHEN p_name LIKE '%@%' THEN 'email'
        WHEN p_name ~ '^[0-9.]+$' OR p_name ~ '^[0-9a-fA-F.]*:[0-9a-fA-F:.]*$' THEN 'ip' WHEN p_name LIKE '%:%' THEN 'uri'
        WHEN p_name LIKE '*.%' THEN 'wildcard' ELSE 'dns' END
$$;

-- Whether the name is in that part of a CA's name constraints (RFC 5280 section 4.2.1.10): a name and those below it, with
-- a leading dot those below it alone; a network.
CREATE FUNCTION name_is_below(p_name text, p_base text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p_base LIKE '%/%' THEN RETURN p_name::inet <<= p_base::inet; END IF;
    RETURN p_base = '' OR lower(p_name) = p_base
        OR right(lower(p_name), length(p_base) + 1) = '.' || p_base OR p_base LIKE '.%' AND right(lower(p_name), length(p_base)) = p_base;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false; -- no address
END $$;

-- Whether no client would accept the name of a CA with these constraints.  Those of names say nothing of addresses, nor the
-- other way round, and neither says anything of mail addresses and URIs.
CREATE FUNCTION name_is_constrained(p_name text, p_tree jsonb) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT k.kind NOT IN ('email', 'uri') AND (
        coalesce((SELECT NOT bool_or(name_is_below(p_name, b)) FROM jsonb_array_elements_text(p_tree -> 'permitted') AS t (b)
            WHERE (b LIKE '%/%') = (k.kind = 'ip')), false)
        OR EXISTS (SELECT 1 FROM jsonb_array_elements_text(p_tree -> 'excluded') AS t (b)
            WHERE (b LIKE '%/%') = (k.kind = 'ip') AND name_is_below(p_name, b)))
    FROM (SELECT name_kind(p_name) AS kind) k
$$;

-- Why an issuer of these limits (common/issuer/issuer_limits.h) can't issue a certificate; NULL: nothing is known against
-- it.  p_ekus and p_life (0: none) are the profile's; p_key is an algorithm, NULL for what agents make.
CREATE FUNCTION issuer_refuses(p_limits jsonb, p_names text[], p_ekus jsonb, p_life int, p_allows_short bool, p_key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE v_kind text;
BEGIN
    IF p_limits ? 'names' THEN
        SELECT k.kind INTO v_kind FROM unnest(p_names) AS u (name) CROSS JOIN LATERAL (SELECT name_kind(u.name) AS kind) k
            WHERE p_limits -> 'names' ? k.kind LIMIT 1;
        IF FOUND THEN RETURN 'name_' || v_kind; END IF;
    END IF;
    -- Servers are given clientAuth by habit, also by CAs for servers only.
    IF EXISTS (SELECT 1 FROM jsonb_array_elements_text(p_limits -> 'ekus') AS t (eku) WHERE p_ekus ? t.eku
            AND NOT (t.eku = 'clientAuth' AND p_ekus ? 'serverAuth')) THEN RETURN 'usage'; END IF;
    IF p_limits -> 'keys' ? p_key THEN RETURN 'key'; END IF;
    IF p_life BETWEEN 1 AND (p_limits ->> 'least_life')::int - 1 THEN RETURN 'life'; END IF;
    IF NOT p_allows_short AND p_limits ? 'short' AND p_life NOT BETWEEN 1 AND (p_limits ->> 'short')::int - 1 THEN RETURN 'short_lived'; END IF;
    IF EXISTS (SELECT 1 FROM jsonb_array_elements(p_limits -> 'trees') AS t (tree) CROSS JOIN unnest(p_names) AS u (name)
            WHERE name_is_constrained(u.name, t.tree -> 0)) THEN RETURN 'name_constrained'; END IF;
    RETURN NULL;
END $$;

-- Certificates of p_from, those of p_ids, and whether they can go to p_to, of these limits.  reason, of those that cannot: archived,
-- revoked; expired (its ACME client let it end); no_key_holder (no agent of a target has its key, nor an ACME client);
-- policy_forbids (a rule of allowed issuers has p_to not); profile_pins (its profile names another issuer), profile_off (it
-- is disabled); or what issuer_refuses says.  Of those that
-- can, what they wait for: acme_client (that renews it, when its renewal window says so), agent_offline, approval,
-- job_open (an order at the issuer that they leave is followed to its end first).
CREATE FUNCTION replacement_verdicts(p_from text, p_to text, p_moves_profiles bool, p_limits jsonb, p_ids text[])
RETURNS TABLE (id text, can_go bool, is_acme bool, reason text) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET plan_cache_mode = force_custom_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE v_forbids bool := EXISTS (SELECT 1 FROM policy_rules r WHERE r.enabled AND r.type = 'AllowedIssuers'
    AND NOT r.config -> 'allowed_issuer_ids' ? p_to);
BEGIN
    RETURN QUERY
    SELECT f.id, f.why IS NULL, f.is_acme, coalesce(f.why, CASE WHEN f.is_acme THEN 'acme_client'
        -- One certificate's jobs: asked by EXISTS the planner might read all of them, once.
        WHEN (SELECT true FROM jobs j WHERE j.certificate_id = f.id AND job_issues(j.type) AND job_is_active(j.status)
            AND j.checkpoint IS NOT NULL LIMIT 1) THEN 'job_open'
        WHEN f.is_approved THEN 'approval'
        WHEN NOT f.has_online THEN 'agent_offline' END)
    FROM (SELECT c.id, a.certificate_id IS NOT NULL AS is_acme, coalesce(p.requires_approval, false) AS is_approved, h.has_online,
            coalesce(CASE WHEN c.status = 'Archived' THEN 'archived' WHEN c.status = 'Revoked' THEN 'revoked'
                WHEN p.issuer_id <> p_to AND NOT (p_moves_profiles AND p.issuer_id = p_from) THEN 'profile_pins'
                WHEN NOT p.enabled THEN 'profile_off'
                WHEN v_forbids THEN 'policy_forbids'
                WHEN a.certificate_id IS NOT NULL THEN CASE WHEN c.expires_at <= engine_now() THEN 'expired' END
                WHEN h.has_online IS NULL THEN 'no_key_holder' END,
            CASE WHEN p_limits <> '{}' THEN issuer_refuses(p_limits, c.sans || c.common_name::text,
                coalesce(p.allowed_ekus, '["serverAuth"]'), coalesce(p.max_ttl_seconds, 0), coalesce(p.allow_short_lived, true),
                CASE WHEN a.certificate_id IS NOT NULL AND p_limits ? 'keys' THEN (SELECT v.key_algorithm FROM certificate_versions v
                    WHERE v.certificate_id = c.id ORDER BY v.id DESC LIMIT 1) END) END) AS why
        FROM unnest(p_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id AND c.issuer_id = p_from
        LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
        LEFT JOIN acme_certificates a ON a.certificate_id = c.id
        CROSS JOIN LATERAL (SELECT bool_or(g.status <> 'Offline') AS has_online FROM certificate_target_mappings m
            JOIN deployment_targets t ON t.id = m.target_id AND t.enabled AND t.retired_at IS NULL
            JOIN agents g ON g.id = t.agent_id AND g.retired_at IS NULL WHERE m.certificate_id = c.id) h) f;
END $$;

-- How often a certificate takes its turn in the lane: once, or where the CA issues later for a look at its order too.
CREATE FUNCTION replacement_turns(p_type text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_type IN ('ACME', 'AWSACMPCA', 'DigiCert', 'Entrust', 'GlobalSign', 'Sectigo') THEN policy_replace_turns() ELSE 1 END
$$;

-- How many certificates a second the lane of an issuer brings: by its rate, and what its cap can be expected to.
CREATE FUNCTION replacement_rate(l lanes, p_type text) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT (CASE WHEN p_type = 'GenericCA' THEN coalesce(l.rate_per_s, policy_replace_rate())
        ELSE least(l.rate_per_s, l.cap / extract(epoch FROM policy_replace_call())) / replacement_turns(p_type) END)::float8
$$;

-- As many certificates as the lane works off in a while.
CREATE FUNCTION replacement_wave(p_rate double precision) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT least(policy_replace_wave_most(), greatest(policy_replace_wave_least(),
        ceil(p_rate * extract(epoch FROM policy_replace_wave()))))::int
$$;

-- Why nothing moves to this issuer now; NULL: something can.
CREATE FUNCTION replacement_stop(i issuers, l lanes) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT i.enabled THEN 'issuer_disabled' WHEN l.cap = 0 THEN 'lane_closed'
        WHEN l.breaker_state <> 'closed' THEN 'lane_stopped'
        WHEN EXISTS (SELECT 1 FROM ca_certificates c WHERE c.issuer_id = i.id AND c.state = 'current'
            AND c.not_after <= engine_now() + policy_life_least()) THEN 'ca_ended' END
$$;

-- The certificates of an issuer behind that one, a piece of them.
CREATE FUNCTION replacement_piece(p_from text, p_after text, p_limit int) RETURNS text[] LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
    SELECT ARRAY(SELECT c.id FROM managed_certificates c WHERE c.issuer_id = p_from AND c.id > p_after ORDER BY c.id LIMIT p_limit)
$$;

-- What would be done with the certificates behind that one, a piece of them: a row for each reason, and one without for
-- those that go at once; last is where the next piece begins, NULL behind the last one.  Locks nothing.
CREATE FUNCTION replacement_plan(p_from text, p_to text, p_moves_profiles bool, p_limits jsonb, p_after text)
RETURNS TABLE (can_go bool, reason text, n bigint, ids text[], last text) LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE v_ids text[] := replacement_piece(p_from, p_after, policy_replace_piece());
    v_last text := CASE WHEN cardinality(v_ids) = policy_replace_piece() THEN v_ids[cardinality(v_ids)] END;
BEGIN
    RETURN QUERY SELECT v.can_go, v.reason, count(*), (array_agg(v.id ORDER BY v.id))[:policy_replace_named()], v_last
    FROM replacement_verdicts(p_from, p_to, p_moves_profiles, p_limits, v_ids) v GROUP BY 1, 2;
END $$;

-- Those of a piece that cannot go, all or of one reason; and a row of no certificate, which says where the next piece begins.
CREATE FUNCTION replacement_excluded(p_from text, p_to text, p_moves_profiles bool, p_limits jsonb, p_after text, p_reason text)
RETURNS TABLE (id text, reason text, last text) LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE v_ids text[] := replacement_piece(p_from, p_after, policy_replace_piece());
BEGIN
    RETURN QUERY SELECT v.id, v.reason, NULL FROM replacement_verdicts(p_from, p_to, p_moves_profiles, p_limits, v_ids) v
        WHERE NOT v.can_go AND (p_reason IS NULL OR v.reason = p_reason) ORDER BY v.id;
    RETURN QUERY SELECT NULL::text, NULL::text, CASE WHEN cardinality(v_ids) = policy_replace_piece() THEN v_ids[cardinality(v_ids)] END;
END $$;

-- --- what a person asks for ---
-- Begins one.  Outcomes: begun; no_from, no_to (there is no such issuer), same; open (id: the one that runs); or why the
-- issuer takes nothing, as replacement_stop has it.
CREATE FUNCTION replacement_begin(p_from text, p_to text, p_wave int, p_reason text, p_moves_profiles bool, p_planned bigint,
    p_limits jsonb, p_actor text, p_actor_type text, OUT outcome text, OUT id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_to issuers; v_lane lanes; v_profiles text[];
BEGIN
    PERFORM 1 FROM issuers i WHERE i.id = p_from FOR KEY SHARE;
    IF NOT FOUND THEN outcome := 'no_from'; RETURN; END IF;
    SELECT i.* INTO v_to FROM issuers i WHERE i.id = p_to FOR KEY SHARE;
    IF NOT FOUND THEN outcome := 'no_to'; RETURN; END IF;
    IF p_from = p_to THEN outcome := 'same'; RETURN; END IF;
    SELECT l.* INTO v_lane FROM lanes l WHERE l.issuer_id = p_to;
    outcome := replacement_stop(v_to, v_lane);
    -- One that is only stopped opens again by itself.
    IF outcome <> 'lane_stopped' THEN RETURN; END IF;
    INSERT INTO replacements AS r (id, from_issuer_id, to_issuer_id, wave_size, revoke_reason, planned, limits, created_by)
        VALUES (id_new('repl'), p_from, p_to, coalesce(p_wave, replacement_wave(replacement_rate(v_lane, v_to.type))), p_reason,
            p_planned, p_limits, p_actor)
        ON CONFLICT (from_issuer_id) WHERE state IN ('running', 'paused', 'cancelling') DO NOTHING
        RETURNING r.id INTO replacement_begin.id;
    IF NOT FOUND THEN
        SELECT r.id INTO replacement_begin.id FROM replacements r WHERE r.from_issuer_id = p_from AND r.ended_at IS NULL;
        outcome := 'open';
        RETURN;
    END IF;
    IF p_moves_profiles THEN
        WITH moved AS (
            UPDATE certificate_profiles p SET issuer_id = p_to, updated_at = engine_now() WHERE p.issuer_id = p_from RETURNING p.id)
        SELECT array_agg(m.id ORDER BY m.id) INTO v_profiles FROM moved m;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, p_actor_type, 'replacement_begun', 'replacement', replacement_begin.id, jsonb_strip_nulls(jsonb_build_object(
            'from_issuer_id', p_from, 'to_issuer_id', p_to, 'planned', p_planned, 'revoke_reason', p_reason, 'profile_ids', v_profiles)));
    outcome := 'begun';
END $$;

-- p_state: running, paused or cancelling, what it is to be.  Outcomes: changed, already, ended (or about to be), unknown.
CREATE FUNCTION replacement_turn(p_id text, p_state text, p_actor text, p_actor_type text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_state text;
BEGIN
    SELECT r.state INTO v_state FROM replacements r WHERE r.id = p_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    IF v_state = p_state THEN RETURN 'already'; END IF;
    IF v_state NOT IN ('running', 'paused') THEN RETURN 'ended'; END IF;
    UPDATE replacements r SET state = p_state, updated_at = engine_now() WHERE r.id = p_id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id)
        VALUES (p_actor, p_actor_type, CASE p_state WHEN 'running' THEN 'replacement_resumed' WHEN 'paused' THEN 'replacement_paused'
            ELSE 'replacement_cancelled' END, 'replacement', p_id);
    RETURN 'changed';
END $$;

-- --- what the duty does ---
-- The next look at what is open: soon at first, and later the longer it takes.
CREATE FUNCTION replacement_next_look(p_moved_at timestamptz, p_now timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT p_now + least(policy_replace_look_most(), greatest(policy_replace_look(), (p_now - p_moved_at) / policy_replace_look_part()))
$$;

-- What became of these certificates, and the counters with it: the only writer of both.
CREATE FUNCTION replacement_put(p_id text, p_ids text[], p_states text[], p_reasons text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE v_now timestamptz := engine_now();
BEGIN
    IF p_ids IS NULL THEN RETURN; END IF;
    WITH put AS MATERIALIZED (SELECT u.id, u.state, u.reason FROM unnest(p_ids, p_states, p_reasons) AS u (id, state, reason)),
    old AS MATERIALIZED (SELECT i.certificate_id, i.state FROM put u JOIN replacement_items i
        ON i.replacement_id = p_id AND i.certificate_id = u.id),
    changes AS MATERIALIZED (SELECT u.state, 1 AS n FROM put u UNION ALL SELECT o.state, -1 FROM old o),
    written AS (
        INSERT INTO replacement_items AS i (replacement_id, certificate_id, state, reason, was_wanted, moved_at, look_after)
        SELECT p_id, u.id, u.state, left(u.reason, policy_replace_reason()), c.renewal_wanted, v_now, replacement_next_look(v_now, v_now)
        FROM put u LEFT JOIN managed_certificates c ON c.id = u.id
        ON CONFLICT (replacement_id, certificate_id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
            look_after = replacement_next_look(i.moved_at, v_now)
    )
    UPDATE replacements r SET moving = r.moving + s.moving, waiting = r.waiting + s.waiting, failed = r.failed + s.failed,
        issued = r.issued + s.issued, done = r.done + s.done, skipped = r.skipped + s.skipped, returned = r.returned + s.returned,
        updated_at = v_now
    FROM (SELECT coalesce(sum(k.n) FILTER (WHERE k.state = 'moving'), 0) AS moving, coalesce(sum(k.n) FILTER (WHERE k.state = 'waiting'), 0) AS waiting,
            coalesce(sum(k.n) FILTER (WHERE k.state = 'failed'), 0) AS failed, coalesce(sum(k.n) FILTER (WHERE k.state = 'issued'), 0) AS issued,
            coalesce(sum(k.n) FILTER (WHERE k.state = 'done'), 0) AS done, coalesce(sum(k.n) FILTER (WHERE k.state = 'skipped'), 0) AS skipped,
            coalesce(sum(k.n) FILTER (WHERE k.state = 'returned'), 0) AS returned FROM changes k) s
    WHERE r.id = p_id;
END $$;

-- Moves those of these that can go: another issuer, and the job that renews them by it.  What somebody holds waits, and so
-- does what an ACME client is just renewing.
CREATE FUNCTION replacement_move(r replacements, p_ids text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_free text[] := coalesce(certificates_take_free(p_ids), '{}'); v_going text[]; v_jobs text[];
BEGIN
    PERFORM replacement_put(r.id, array_agg(u.id), array_agg(CASE WHEN w.state IS NOT NULL THEN w.state ELSE 'waiting' END),
            array_agg(CASE WHEN w.state IS NULL THEN 'held' ELSE w.reason END))
        FROM unnest(p_ids) AS u (id) LEFT JOIN (
            SELECT v.id, CASE WHEN NOT v.can_go THEN 'skipped' WHEN v.is_acme THEN 'waiting' ELSE 'moving' END AS state,
                CASE WHEN NOT v.can_go OR v.is_acme THEN v.reason END AS reason
            FROM replacement_verdicts(r.from_issuer_id, r.to_issuer_id, false, r.limits, v_free) v JOIN managed_certificates c ON c.id = v.id
            WHERE NOT (v.can_go AND v.is_acme AND c.status = 'RenewalInProgress')) w ON w.id = u.id;
    v_going := ARRAY(SELECT i.certificate_id FROM unnest(p_ids) AS u (id) JOIN replacement_items i ON i.replacement_id = r.id
        AND i.certificate_id = u.id WHERE i.state IN ('moving', 'waiting') AND i.reason IS DISTINCT FROM 'held');
    IF v_going = '{}' THEN RETURN; END IF;
    UPDATE managed_certificates c SET issuer_id = r.to_issuer_id, ordered_by = r.created_by, updated_at = engine_now()
        FROM unnest(v_going) AS u (id) WHERE c.id = u.id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT r.created_by, 'System', 'certificate_issuer_replaced', 'certificate', u.id, jsonb_build_object('replacement_id', r.id,
            'from_issuer_id', r.from_issuer_id, 'to_issuer_id', r.to_issuer_id) FROM unnest(v_going) AS u (id);
    -- Nobody waits any longer for what the CA that is left works on.
    SELECT array_agg(j.id) INTO v_jobs FROM unnest(v_going) AS u (id) JOIN jobs j ON j.certificate_id = u.id
        WHERE job_is_active(j.status) AND j.checkpoint IS NOT NULL;
    PERFORM jobs_stop(v_jobs);
    PERFORM replacement_renew(r, v_going);
END $$;

-- Jobs of the new issuer for these, whose rows the caller holds.  What an ACME client renews gets none: its renewal window
-- has moved, for its issuer is another.
CREATE FUNCTION replacement_renew(r replacements, p_ids text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_ids text[] := ARRAY(SELECT u.id FROM unnest(p_ids) AS u (id)
    WHERE NOT EXISTS (SELECT 1 FROM acme_certificates a WHERE a.certificate_id = u.id));
BEGIN
    PERFORM e.outcome FROM jobs_enqueue(v_ids, r.created_by, 'System', false, true, true) e;
END $$;

-- How these certificates stand, of those that were moved: word is their state, or move (they have the old issuer still),
-- renew (no job, and one is due), keep (they cannot be told yet).  At once for all, by their rows.
CREATE FUNCTION replacement_looks(r replacements, p_ids text[], p_now timestamptz) RETURNS TABLE (id text, word text, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    SELECT f.id, CASE WHEN f.status IS NULL OR f.status IN ('Revoked', 'Archived') THEN 'skipped'
            WHEN f.issuer_id = r.from_issuer_id THEN CASE WHEN f.item_reason = 'held' THEN 'move' ELSE 'skipped' END
            WHEN f.issuer_id <> r.to_issuer_id THEN 'skipped'
            WHEN f.has_new THEN CASE WHEN f.is_served THEN 'done' ELSE 'issued' END
            WHEN f.is_acme THEN CASE WHEN f.ends_at <= p_now AND NOT f.is_active THEN 'skipped' ELSE 'waiting' END
            WHEN f.has_old_order OR f.waits_approval OR (f.waits_csr AND f.csr_since < p_now - policy_replace_csr()) THEN 'waiting'
            WHEN f.is_active THEN 'moving'
            WHEN f.is_due THEN 'renew'
            ELSE 'failed' END,
        CASE WHEN f.status IS NULL THEN 'gone' WHEN f.status IN ('Revoked', 'Archived') THEN lower(f.status)
            WHEN f.issuer_id = r.from_issuer_id THEN CASE WHEN f.item_reason = 'held' THEN 'held' ELSE 'moved_on' END
            WHEN f.issuer_id <> r.to_issuer_id THEN 'moved_on'
            WHEN f.has_new THEN NULL
            WHEN f.is_acme THEN CASE WHEN f.ends_at <= p_now AND NOT f.is_active THEN 'expired' ELSE 'acme_client' END
            WHEN f.has_old_order THEN 'job_open' WHEN f.waits_approval THEN 'approval'
            WHEN f.waits_csr AND f.csr_since < p_now - policy_replace_csr() THEN 'csr'
            WHEN f.is_active OR f.is_due THEN NULL
            ELSE f.last_error END
    FROM (SELECT i.certificate_id AS id, i.reason AS item_reason, c.status::text, c.issuer_id, c.expires_at AS ends_at,
            a.certificate_id IS NOT NULL AS is_acme, coalesce(c.renew_after <= p_now, c.expires_at IS NULL) AS is_due,
            j.is_active, j.has_old_order, j.waits_csr, j.waits_approval, j.csr_since, j.last_error,
            NOT j.is_active AND c.renewal_wanted IS NULL AND v.issuer_id = r.to_issuer_id AND NOT EXISTS (
                SELECT 1 FROM certificate_target_mappings m JOIN deployment_targets t ON t.id = m.target_id AND t.enabled AND t.retired_at IS NULL
                WHERE m.certificate_id = c.id AND (SELECT o.issuer_id FROM certificate_versions o WHERE o.certificate_id = c.id
                    AND o.key_holder = t.agent_id ORDER BY o.id DESC LIMIT 1) IS DISTINCT FROM r.to_issuer_id) AS has_new,
            NOT EXISTS (SELECT 1 FROM certificate_target_mappings m JOIN deployment_targets t ON t.id = m.target_id AND t.enabled
                AND t.retired_at IS NULL WHERE m.certificate_id = c.id AND m.desired_version_id IS DISTINCT FROM m.deployed_version_id) AS is_served
        FROM unnest(p_ids) AS u (id) JOIN replacement_items i ON i.replacement_id = r.id AND i.certificate_id = u.id
        LEFT JOIN managed_certificates c ON c.id = i.certificate_id
        LEFT JOIN acme_certificates a ON a.certificate_id = i.certificate_id
        CROSS JOIN LATERAL (SELECT coalesce(bool_or(job_is_active(n.status)), false) AS is_active,
                coalesce(bool_or(job_is_active(n.status) AND n.issuer_id = r.from_issuer_id AND n.checkpoint IS NOT NULL), false) AS has_old_order,
                coalesce(bool_and(n.status = 'AwaitingCSR') FILTER (WHERE job_is_active(n.status)), false) AS waits_csr,
                coalesce(bool_or(n.status = 'AwaitingApproval'), false) AS waits_approval,
                min(greatest(n.created_at, n.run_after)) FILTER (WHERE n.status = 'AwaitingCSR') AS csr_since,
                (array_agg(n.last_error ORDER BY n.id DESC) FILTER (WHERE n.status IN ('Failed', 'Cancelled')))[1] AS last_error
            FROM jobs n WHERE n.certificate_id = i.certificate_id AND job_issues(n.type)) j
        LEFT JOIN LATERAL (SELECT o.issuer_id FROM certificate_versions o WHERE o.certificate_id = i.certificate_id
            ORDER BY o.id DESC LIMIT 1) v ON true) f
$$;

-- Revokes what these certificates had of the old issuer, now that the new one's is served.
CREATE FUNCTION replacement_revoke(r replacements, p_ids text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    WITH listed AS (
        INSERT INTO certificate_revocations AS n (id, certificate_id, serial_number, reason, revoked_by, revoked_at, issuer_id)
        SELECT id_new('rev'), v.certificate_id, v.serial_number, r.revoke_reason, r.created_by, engine_now(), v.issuer_id
        FROM unnest(p_ids) AS u (id) JOIN certificate_versions v ON v.certificate_id = u.id
        WHERE v.issuer_id = r.from_issuer_id AND v.not_after > engine_now() ON CONFLICT DO NOTHING
        RETURNING n.certificate_id, n.serial_number
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT r.created_by, 'System', 'certificate_version_revoked', 'certificate', l.certificate_id, jsonb_build_object(
        'reason', r.revoke_reason, 'serial_numbers', jsonb_agg(l.serial_number), 'replacement_id', r.id) FROM listed l GROUP BY l.certificate_id;
    IF EXISTS (SELECT 1 FROM issuers i WHERE i.id = r.from_issuer_id AND i.type <> 'GenericCA') THEN PERFORM revocations_tell(p_ids); END IF;
END $$;

-- Looks at the next of what is open; how many it looked at.  Once: what comes true in between is seen the next time, with
-- all that follows from it.
CREATE FUNCTION replacement_look(r replacements, p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_ids text[]; v_words text[]; v_reasons text[]; v_move text[]; v_renew text[]; v_done text[];
BEGIN
    SELECT array_agg(o.certificate_id) INTO v_ids FROM (SELECT i.certificate_id FROM replacement_items i
        WHERE i.replacement_id = r.id AND i.state IN ('moving', 'waiting', 'failed', 'issued') AND i.look_after <= v_now
        ORDER BY i.look_after LIMIT p_limit) o;
    IF v_ids IS NULL THEN RETURN 0; END IF;
    SELECT array_agg(l.id), array_agg(CASE WHEN l.word = 'move' THEN 'waiting' WHEN l.word = 'renew' THEN 'moving'
            WHEN l.word = 'issued' AND r.state = 'cancelling' THEN 'done' ELSE l.word END), array_agg(l.reason),
            array_agg(l.id) FILTER (WHERE l.word = 'move'), array_agg(l.id) FILTER (WHERE l.word = 'renew'),
            array_agg(l.id) FILTER (WHERE l.word = 'done')
        INTO v_ids, v_words, v_reasons, v_move, v_renew, v_done FROM replacement_looks(r, v_ids, v_now) l;
    -- Those whose rows somebody holds get their job at the next look.
    IF v_renew IS NOT NULL AND r.state <> 'cancelling' THEN PERFORM replacement_renew(r, certificates_take_free(v_renew)); END IF;
    IF v_done IS NOT NULL AND r.revoke_reason IS NOT NULL AND r.state <> 'cancelling' THEN PERFORM replacement_revoke(r, v_done); END IF;
    PERFORM replacement_put(r.id, v_ids, v_words, v_reasons);
    IF v_move IS NOT NULL AND r.state = 'running' THEN PERFORM replacement_move(r, v_move); END IF;
    RETURN cardinality(v_ids);
END $$;

-- The next of the walk: as many certificates of the issuer as there is room for in the wave.  Behind the last one it begins anew, until a
-- pass found nothing, for certificates are made meanwhile.  How many rows it stepped over.
CREATE FUNCTION replacement_walk(r replacements, p_room int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE v_ids text[]; v_last text; v_n bigint;
BEGIN
    v_ids := ARRAY(SELECT w.id FROM (SELECT c.id FROM managed_certificates c WHERE c.issuer_id = r.from_issuer_id AND c.id > r.low_id
            ORDER BY c.id LIMIT policy_replace_stepped()) w
        WHERE NOT EXISTS (SELECT 1 FROM replacement_items i WHERE i.replacement_id = r.id AND i.certificate_id = w.id)
        ORDER BY w.id LIMIT p_room);
    IF cardinality(v_ids) = p_room THEN
        v_last := v_ids[p_room];
        v_n := p_room;
    ELSE
        SELECT count(*), max(u.id) INTO v_n, v_last FROM unnest(replacement_piece(r.from_issuer_id, r.low_id, policy_replace_stepped())) AS u (id);
        IF v_n < policy_replace_stepped() THEN v_last := NULL; END IF;
    END IF;
    r.found := r.found + cardinality(v_ids);
    UPDATE replacements o SET low_id = coalesce(v_last, ''), found = CASE WHEN v_last IS NULL THEN 0 ELSE r.found END,
        is_walked = v_last IS NULL AND r.found = 0 WHERE o.id = r.id;
    IF v_ids <> '{}' THEN PERFORM replacement_move(r, v_ids); END IF;
    RETURN v_n;
END $$;

-- Gives certificates back that have got nothing yet and have no job that a worker runs or that has an order.  How many.
CREATE FUNCTION replacement_return(r replacements, p_limit int, p_why text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_ids text[]; v_jobs text[];
BEGIN
    v_ids := ARRAY(SELECT i.certificate_id FROM replacement_items i WHERE i.replacement_id = r.id AND i.state IN ('moving', 'waiting', 'failed')
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = i.certificate_id AND j.issuer_id = r.to_issuer_id AND job_issues(j.type)
            AND (j.status = 'Running' OR job_is_active(j.status) AND j.checkpoint IS NOT NULL)) LIMIT p_limit);
    v_ids := certificates_take_free(v_ids);
    v_ids := ARRAY(SELECT l.id FROM replacement_looks(r, v_ids, v_now) l WHERE l.word NOT IN ('done', 'issued', 'skipped')
        -- Looked at again, now that they are held.
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = l.id AND j.issuer_id = r.to_issuer_id AND job_issues(j.type)
            AND (j.status = 'Running' OR job_is_active(j.status) AND j.checkpoint IS NOT NULL)));
    IF v_ids = '{}' THEN RETURN 0; END IF;
    -- What has a certificate needs no other of the old issuer; what waits for its first begins anew there.
    SELECT array_agg(j.id ORDER BY j.id) INTO v_jobs FROM unnest(v_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id
        JOIN jobs j ON j.certificate_id = u.id WHERE c.expires_at IS NOT NULL AND j.issuer_id = r.to_issuer_id AND job_issues(j.type)
            AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval');
    PERFORM jobs_finish(v_jobs, 'Cancelled', p_why, r.created_by, 'System');
    UPDATE managed_certificates c SET issuer_id = r.from_issuer_id, updated_at = v_now FROM unnest(v_ids) AS u (id)
        WHERE c.id = u.id AND c.issuer_id = r.to_issuer_id;
    UPDATE managed_certificates c SET renewal_wanted = i.was_wanted FROM unnest(v_ids) AS u (id)
        JOIN replacement_items i ON i.replacement_id = r.id AND i.certificate_id = u.id WHERE c.id = u.id AND c.expires_at IS NOT NULL;
    PERFORM certificates_retime(v_ids);
    PERFORM certificates_refresh(v_ids);
    PERFORM replacement_put(r.id, v_ids, array_fill('returned'::text, ARRAY[cardinality(v_ids)]), NULL);
    RETURN cardinality(v_ids);
END $$;

-- One that has nothing open any more ends.
CREATE FUNCTION replacement_end(p_id text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    WITH ended AS (
        UPDATE replacements r SET state = CASE r.state WHEN 'cancelling' THEN 'cancelled' ELSE 'completed' END, ended_at = engine_now(),
            updated_at = engine_now()
        WHERE r.id = p_id AND r.moving + r.waiting + r.failed + r.issued = 0 AND (r.state = 'cancelling' OR r.state = 'running' AND r.is_walked)
        RETURNING r.id, r.state, r.done, r.skipped, r.returned
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT 'system', 'System', 'replacement_ended', 'replacement', e.id, jsonb_build_object('state', e.state, 'done', e.done,
        'skipped', e.skipped, 'returned', e.returned) FROM ended e
$$;

-- One piece of each that is open, then of what is to be forgotten: what became of the certificates of those that ended
-- p_keep_ms ago (0: never).  Nothing moves while the lane of the new issuer stands, or somebody holds that issuer's row.
CREATE FUNCTION duty_replacements(p_keep_ms bigint, p_limit int, p_words jsonb, OUT rows bigint, OUT is_more bool)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE r replacements; v_room int; v_n bigint; v_old text;
BEGIN
    rows := 0; is_more := false;
    FOR r IN SELECT o.* FROM replacements o WHERE o.state IN ('running', 'paused', 'cancelling') ORDER BY o.from_issuer_id
        FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        v_n := replacement_look(r, p_limit);
        rows := rows + v_n;
        is_more := is_more OR v_n = p_limit;
        SELECT o.* INTO r FROM replacements o WHERE o.id = r.id;
        v_room := least(p_limit, r.wave_size - r.moving);
        IF r.state = 'cancelling' THEN
            v_n := replacement_return(r, p_limit, job_say(p_words, 'replacement_cancelled', r.id));
        ELSIF r.state = 'running' AND NOT r.is_walked AND v_room > 0 AND EXISTS (SELECT 1 FROM issuers h WHERE h.id = r.to_issuer_id
            AND (SELECT replacement_stop(h, l) IS NULL FROM lanes l WHERE l.issuer_id = h.id) FOR KEY SHARE SKIP LOCKED) THEN
            v_n := replacement_walk(r, v_room);
        ELSE
            v_n := 0;
        END IF;
        rows := rows + v_n;
        is_more := is_more OR v_n > 0;
        PERFORM replacement_end(r.id);
    END LOOP;
    SELECT o.id INTO v_old FROM replacements o WHERE p_keep_ms > 0 AND o.has_items AND o.ended_at < engine_now() - ms(p_keep_ms)
        ORDER BY o.ended_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    IF v_old IS NULL THEN RETURN; END IF;
    DELETE FROM replacement_items i WHERE i.replacement_id = v_old AND i.certificate_id IN (SELECT o.certificate_id
        FROM replacement_items o WHERE o.replacement_id = v_old ORDER BY o.certificate_id LIMIT p_limit);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    rows := rows + v_n;
    is_more := is_more OR v_n = p_limit;
    UPDATE replacements o SET has_items = false WHERE o.id = v_old AND v_n < p_limit;
END $$;
