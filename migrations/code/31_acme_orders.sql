-- Orders of the ACME server (RFC 8555 section 7.4): made, settled by their jobs, finalized, cleaned away.
--
-- Locks: account, order, its authorizations, their challenges; then certificates and jobs, as everywhere.
--
-- Plans are kept, for making them took three times as long as an order's statements themselves: an array of one looks so
-- much cheaper than one of ten that the planner would go on planning.

-- --- what becomes of an order ---
-- What an order is as of now: one that was not finalized in time is invalid, whatever its row says yet.
CREATE FUNCTION acme_order_status(p_status text, p_expires_at timestamptz, p_now timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_status IN ('pending', 'ready') AND p_expires_at <= p_now THEN 'invalid' ELSE p_status END
$$;

-- Those of these jobs that wait for a CSR which nobody sends: the one that they came with is gone.
CREATE FUNCTION acme_jobs_begun_anew(p_ids text[]) RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT coalesce(array_agg(j.id), '{}') FROM jobs j WHERE j.id = ANY (p_ids) AND j.status IN ('AwaitingCSR', 'AwaitingApproval')
        AND NOT EXISTS (SELECT 1 FROM certificate_requests r WHERE r.job_id = j.id)
$$;

-- Orders whose job has ended are valid or invalid; those that were not finalized in time are invalid.  error.why is a word
-- that handlers/acme/order.c has the sentence of.  A job goes on for as long as it takes, an approval included; one that was
-- begun anew, since somebody changed what the certificate is to be, has no CSR any more and gets none: it ends with p_why.
CREATE FUNCTION acme_orders_settle(p_ids text[], p_why text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE v_now timestamptz := engine_now(); v_ids text[]; v_jobs text[];
BEGIN
    SELECT array_agg(l.order_id) INTO v_ids FROM (SELECT o.order_id FROM acme_orders o WHERE o.order_id = ANY (p_ids)
        AND (o.status = 'processing' OR o.status IN ('pending', 'ready') AND o.expires_at <= v_now)
        ORDER BY o.order_id FOR NO KEY UPDATE) l;
    IF v_ids IS NULL THEN RETURN 0; END IF;
    v_jobs := acme_jobs_begun_anew(ARRAY(SELECT o.job_id FROM acme_orders o WHERE o.order_id = ANY (v_ids) AND o.status = 'processing'));
    IF v_jobs <> '{}' THEN
        v_jobs := acme_jobs_begun_anew((SELECT t.ids FROM jobs_take(v_jobs) t)); -- what somebody holds is met by the next look
        PERFORM jobs_finish(v_jobs, 'Cancelled', p_why, 'system', 'System');
    END IF;
    -- Another statement, so that it sees the job of an order that was finalized while the first waited.
    RETURN acme_orders_end(v_ids, v_jobs);
END $$;

-- The same of orders that the caller has locked.  p_changed: jobs that ended because they were begun anew.
CREATE FUNCTION acme_orders_end(p_ids text[], p_changed text[]) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE v_now timestamptz := engine_now(); v_n bigint;
BEGIN
    WITH known AS MATERIALIZED (
        SELECT o.order_id, v.id AS version_id, CASE WHEN o.status <> 'processing' THEN 'expired'
            WHEN v.id IS NOT NULL OR j.status = 'Completed' THEN 'valid' WHEN j.id = ANY (p_changed) THEN 'order_changed'
            WHEN j.id IS NULL THEN 'job_gone' WHEN j.status = 'Failed' THEN 'job_failed'
            WHEN j.status = 'Cancelled' THEN 'job_cancelled' END AS what
        FROM unnest(p_ids) AS u (id) JOIN acme_orders o ON o.order_id = u.id LEFT JOIN jobs j ON j.id = o.job_id
        LEFT JOIN certificate_versions v ON v.id = coalesce(j.version_id, 'certver' || substr(o.job_id, 4))
    ), settled AS (
        UPDATE acme_orders o SET status = CASE k.what WHEN 'valid' THEN 'valid' ELSE 'invalid' END, updated_at = v_now,
            version_id = k.version_id, error = CASE WHEN k.what <> 'valid' THEN jsonb_strip_nulls(jsonb_build_object('why', k.what, 'job', o.job_id)) END
        FROM known k WHERE o.order_id = k.order_id AND k.what IS NOT NULL
        RETURNING o.order_id, o.account_id, o.certificate_id, o.job_id, k.what
    ), authorizations AS (
        UPDATE acme_authorizations z SET status = 'expired', updated_at = v_now FROM settled s
        WHERE s.what = 'expired' AND z.order_id = s.order_id AND z.status = 'pending'
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT acme_actor(s.account_id), 'System', CASE s.what WHEN 'valid' THEN 'acme_order_finalized' WHEN 'expired' THEN 'acme_order_expired'
            ELSE 'acme_order_failed' END, 'acme_order', s.order_id, jsonb_strip_nulls(jsonb_build_object('certificate_id', s.certificate_id,
            'job_id', s.job_id, 'why', nullif(s.what, 'valid'))) FROM settled s
    )
    SELECT count(*) INTO v_n FROM settled;
    RETURN v_n;
END $$;

-- Orders as they are by now, whosever they are, with their authorizations: a row each, at says whose it is.
CREATE FUNCTION acme_orders_look(p_ids text[], p_why text) RETURNS TABLE (at bigint, order_id text, account_id text, status text,
    expires_at timestamptz, identifiers jsonb, error jsonb, job_id text, version_id text, replaces text, authorizations text[])
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE v_due text[];
BEGIN
    SELECT array_agg(o.order_id) INTO v_due FROM unnest(p_ids) AS u (id) JOIN acme_orders o ON o.order_id = u.id LEFT JOIN jobs j ON j.id = o.job_id
        WHERE CASE o.status WHEN 'processing' THEN (j.status IN ('Pending', 'Running')) IS NOT TRUE
            ELSE o.status IN ('pending', 'ready') AND o.expires_at <= engine_now() END;
    IF v_due IS NOT NULL THEN PERFORM acme_orders_settle(v_due, p_why); END IF;
    RETURN QUERY SELECT u.at, o.order_id, o.account_id, o.status, o.expires_at, o.identifiers, o.error, o.job_id, o.version_id, o.replaces,
        ARRAY(SELECT z.authz_id FROM acme_authorizations z WHERE z.order_id = o.order_id ORDER BY z.authz_id)
        FROM unnest(p_ids) WITH ORDINALITY AS u (id, at) JOIN acme_orders o ON o.order_id = u.id;
END $$;

-- Orders whose jobs have just completed are valid with them, by the same transaction.  It holds the jobs, whose locks come behind
-- those of orders: an order that somebody holds is settled when it is looked at.
CREATE FUNCTION acme_orders_complete(p_jobs text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE v_ids text[];
BEGIN
    SELECT array_agg(l.order_id) INTO v_ids FROM (SELECT o.order_id FROM unnest(p_jobs) AS u (id) JOIN acme_orders o ON o.job_id = u.id
        AND o.status = 'processing' FOR NO KEY UPDATE OF o SKIP LOCKED) l;
    IF v_ids IS NOT NULL THEN PERFORM acme_orders_end(v_ids, NULL); END IF;
END $$;

-- --- new orders ---
-- The challenges that an identifier may be proven by: a wildcard by the DNS alone (RFC 8555 section 8.3), an address not by
-- it (RFC 8738 section 7).
CREATE FUNCTION acme_challenge_types(p_type text, p_is_wildcard bool) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_is_wildcard THEN '{dns-01}'::text[] WHEN p_type = 'ip' THEN '{http-01,tls-alpn-01}'
        ELSE '{http-01,dns-01,tls-alpn-01}' END
$$;

-- Orders that are wanted, many in one transaction: of each its account and profile, types and values of the identifiers (p_mark
-- between them), the key of their names, what it replaces, whether nothing is to be proven (acme_auth_mode), how long order and
-- authorizations live, and the account's limits; a limit of 0 is none.  A row each, at says whose it is; but none for one that
-- replaces what another of these replaces.  Outcomes: created; ended (the account is not valid any more); those of acme_replaces;
-- open (as many orders are open as may be); limited (the next token comes in wait_s).
CREATE FUNCTION acme_orders_create(p_accounts text[], p_profiles text[], p_types text[], p_values text[], p_names_keys text[], p_replaces text[],
    p_are_trusted bool[], p_order_ttl_ms bigint[], p_authz_ttl_ms bigint[], p_per_hour int[], p_concurrent int[], p_mark text)
RETURNS TABLE (at bigint, outcome text, wait_s bigint, order_id text, status text, expires_at timestamptz, identifiers jsonb, authorizations text[])
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now(); v record; v_account text; v_is_valid bool; v_outcome text; v_wait_s bigint;
    v_open bigint; v_open_ends timestamptz; -- of the account, those among these included
    v_at bigint[]; v_orders text[]; v_replaced text[]; -- that are made
BEGIN
    FOR v IN SELECT r.at, r.account, r.vals, r.replaces, r.per_hour, r.concurrent,
            bool_or(r.concurrent > 0 OR r.replaces IS NOT NULL) OVER (PARTITION BY r.account) AS is_judged
        FROM unnest(p_accounts, p_values, p_replaces, p_per_hour, p_concurrent) WITH ORDINALITY
            AS r (account, vals, replaces, per_hour, concurrent, at) ORDER BY r.account, r.at
    LOOP
        IF v.account IS DISTINCT FROM v_account THEN
            v_account := v.account;
            v_open := NULL;
            IF v.is_judged THEN
                -- One after the other, and judged by statements that see what the one before has written.
                PERFORM 1 FROM acme_accounts a WHERE a.account_id = v_account AND a.status = 'valid' FOR NO KEY UPDATE;
            ELSE
                PERFORM 1 FROM acme_accounts a WHERE a.account_id = v_account AND a.status = 'valid' FOR SHARE;
            END IF;
            v_is_valid := FOUND;
        END IF;
        v_wait_s := 0;
        -- Its end came meanwhile, and with it that of the orders that were open then.
        v_outcome := CASE WHEN v_is_valid THEN 'created' ELSE 'ended' END;
        IF v.replaces IS NOT NULL AND v_is_valid THEN
            CONTINUE WHEN v.replaces = ANY (v_replaced); -- by itself it finds that one
            SELECT CASE r.outcome WHEN 'fine' THEN 'created' ELSE r.outcome END INTO v_outcome
                FROM acme_replaces(v_account, v.replaces, string_to_array(v.vals, p_mark)) r;
        END IF;
        IF v.concurrent > 0 AND v_outcome = 'created' THEN
            IF v_open IS NULL THEN
                SELECT count(*), min(o.expires_at) INTO v_open, v_open_ends FROM acme_orders o WHERE o.account_id = v_account
                    AND o.status IN ('pending', 'ready', 'processing') AND (o.status = 'processing' OR o.expires_at > v_now);
            END IF;
            IF v_open >= v.concurrent THEN
                v_outcome := 'open';
                v_wait_s := greatest(1, least(extract(epoch FROM policy_acme_open_wait()), ceil(extract(epoch FROM v_open_ends - v_now))));
                PERFORM acme_limit_tell(v_account, 'concurrent_orders', v_wait_s);
            END IF;
        END IF;
        IF v_outcome = 'created' THEN
            v_wait_s := acme_rate_take('order', v_account, v.per_hour);
            IF v_wait_s > 0 THEN v_outcome := 'limited'; PERFORM acme_limit_tell(v_account, 'orders_per_hour', v_wait_s); END IF;
        END IF;
        IF v_outcome <> 'created' THEN
            RETURN QUERY SELECT v.at, v_outcome, v_wait_s, NULL::text, NULL::text, NULL::timestamptz, NULL::jsonb, NULL::text[];
            CONTINUE;
        END IF;
        v_at := v_at || v.at;
        v_orders := v_orders || id_new('acme-ord');
        v_replaced := v_replaced || v.replaces;
        v_open := v_open + 1;
        v_open_ends := least(v_open_ends, v_now + ms(least(p_order_ttl_ms[v.at], p_authz_ttl_ms[v.at])));
    END LOOP;
    IF v_at IS NULL THEN RETURN; END IF;
    -- No authorization ends before its order does.
    INSERT INTO acme_orders (order_id, account_id, profile_id, identifiers, names_key, status, expires_at, replaces, created_at, updated_at)
    SELECT u.id, p_accounts[u.at], p_profiles[u.at], n.identifiers, p_names_keys[u.at], CASE WHEN p_are_trusted[u.at] THEN 'ready' ELSE 'pending' END,
        v_now + ms(least(p_order_ttl_ms[u.at], p_authz_ttl_ms[u.at])), p_replaces[u.at], v_now, v_now
    FROM unnest(v_at, v_orders) AS u (at, id) CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('type', i.type, 'value', i.value) ORDER BY i.n) AS identifiers
        FROM unnest(string_to_array(p_types[u.at], p_mark), string_to_array(p_values[u.at], p_mark)) WITH ORDINALITY AS i (type, value, n)) n;
    WITH made AS (
        INSERT INTO acme_authorizations AS z (authz_id, order_id, identifier, status, expires_at, wildcard, created_at, updated_at)
        SELECT id_new('acme-authz'), u.id, jsonb_build_object('type', i.type, 'value', regexp_replace(i.value, '^[*][.]', '')),
            CASE WHEN p_are_trusted[u.at] THEN 'valid' ELSE 'pending' END, v_now + ms(p_authz_ttl_ms[u.at]), i.value LIKE '*.%', v_now, v_now
        FROM unnest(v_at, v_orders) AS u (at, id)
        CROSS JOIN LATERAL unnest(string_to_array(p_types[u.at], p_mark), string_to_array(p_values[u.at], p_mark)) AS i (type, value)
        RETURNING z.authz_id, z.identifier ->> 'type' AS type, z.wildcard, z.status
    )
    INSERT INTO acme_challenges (challenge_id, authz_id, type, status, token, validated_at, created_at)
    SELECT id_new('acme-chall'), m.authz_id, c.type, m.status,
        rtrim(translate(encode(gen_random_bytes(policy_acme_token()), 'base64'), '+/', '-_'), '='), CASE WHEN m.status = 'valid' THEN v_now END, v_now
    FROM made m CROSS JOIN LATERAL unnest(acme_challenge_types(m.type, m.wildcard)) WITH ORDINALITY AS c (type, at)
    WHERE c.at = 1 OR m.status <> 'valid';
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT acme_actor(p_accounts[u.at]), 'User', 'acme_order_created', 'acme_order', u.id,
        jsonb_build_object('profile_id', p_profiles[u.at], 'identifiers', string_to_array(p_values[u.at], p_mark))
    FROM unnest(v_at, v_orders) AS u (at, id);
    RETURN QUERY SELECT u.at, 'created', 0::bigint, o.order_id, o.status, o.expires_at, o.identifiers,
        ARRAY(SELECT z.authz_id FROM acme_authorizations z WHERE z.order_id = o.order_id ORDER BY z.authz_id)
        FROM unnest(v_at, v_orders) AS u (at, id) JOIN acme_orders o ON o.order_id = u.id;
END $$;

-- --- authorizations and challenges ---
-- An account gives an authorization up (RFC 8555 section 7.5.2), and with it an order that is not finalized.  Outcomes:
-- deactivated, final (it is neither pending nor valid), unknown, foreign.
CREATE FUNCTION acme_authz_deactivate(p_account text, p_id text, OUT outcome text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_order record;
BEGIN
    SELECT o.order_id, o.account_id, o.status INTO v_order FROM acme_authorizations z JOIN acme_orders o ON o.order_id = z.order_id
        WHERE z.authz_id = p_id FOR NO KEY UPDATE OF o;
    IF NOT FOUND OR v_order.account_id <> p_account THEN
        outcome := CASE WHEN v_order.order_id IS NULL THEN 'unknown' ELSE 'foreign' END;
        RETURN;
    END IF;
    UPDATE acme_authorizations z SET status = 'deactivated', updated_at = v_now
        WHERE z.authz_id = p_id AND z.status IN ('pending', 'valid') AND z.expires_at > v_now;
    outcome := CASE WHEN FOUND THEN 'deactivated' ELSE 'final' END;
    IF outcome = 'final' THEN RETURN; END IF;
    UPDATE acme_orders o SET status = 'invalid', updated_at = v_now, error = jsonb_build_object('why', 'deactivated')
        WHERE o.order_id = v_order.order_id AND o.status IN ('pending', 'ready');
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (acme_actor(p_account), 'User', 'acme_authorization_deactivated', 'acme_order', v_order.order_id, jsonb_build_object('authz_id', p_id));
END $$;

-- The client has done what a challenge asks for: a worker is to look.  Outcomes: accepted; shown (it is processing or has
-- ended); over (its authorization or order is); limited; unknown; foreign.
CREATE FUNCTION acme_challenge_answer(p_account text, p_id text, p_per_hour int, OUT outcome text, OUT wait_s bigint,
    OUT due_after text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v record;
BEGIN
    wait_s := 0;
    SELECT o.order_id, o.account_id INTO v FROM acme_challenges c JOIN acme_authorizations z ON z.authz_id = c.authz_id
        JOIN acme_orders o ON o.order_id = z.order_id WHERE c.challenge_id = p_id FOR NO KEY UPDATE OF o;
    IF NOT FOUND OR v.account_id <> p_account THEN
        outcome := CASE WHEN v.order_id IS NULL THEN 'unknown' ELSE 'foreign' END;
        RETURN;
    END IF;
    -- By another statement: they are as they are now that the order is held.
    SELECT o.status, o.expires_at, z.status AS authz, z.expires_at AS authz_ends, c.status AS challenge, c.type, z.authz_id INTO v
        FROM acme_challenges c JOIN acme_authorizations z ON z.authz_id = c.authz_id JOIN acme_orders o ON o.order_id = z.order_id WHERE c.challenge_id = p_id;
    outcome := CASE WHEN v.challenge <> 'pending' THEN 'shown'
        WHEN v.authz <> 'pending' OR v.status <> 'pending' OR least(v.expires_at, v.authz_ends) <= v_now THEN 'over' ELSE 'accepted' END;
    IF outcome = 'accepted' THEN wait_s := acme_rate_take('challenge', p_id, p_per_hour); END IF;
    IF wait_s > 0 THEN outcome := 'limited'; PERFORM acme_limit_tell(p_account, 'challenge_responses_per_hour', wait_s); END IF;
    IF outcome <> 'accepted' THEN RETURN; END IF;
    UPDATE acme_challenges c SET status = 'processing' WHERE c.challenge_id = p_id;
    due_after := lane_key(v_now);
    INSERT INTO tasks (id, kind, subject, dedupe_key, run_after, created_at)
        VALUES (id_new('task'), 'acme_validate', p_id, 'acme_validate:' || p_id, v_now, v_now)
        ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (acme_actor(p_account), 'User', 'acme_challenge_processing', 'acme_challenge', p_id,
            jsonb_build_object('authz_id', v.authz_id, 'type', v.type));
END $$;

-- --- finalize ---
-- The certificate of that account for these names, which a new order renews: one that is as it was ordered, and that nothing
-- issues just now.  Held by the caller from here on, whose settings of the planner are this one's.
CREATE FUNCTION acme_certificate_take(p_account text, p_names_key text, p_names text[], p_profile text, p_issuer text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    RETURN (SELECT c.id FROM (SELECT a.certificate_id FROM acme_certificates a WHERE a.account_id = p_account AND a.names_key = p_names_key
        ORDER BY a.certificate_id DESC LIMIT policy_acme_looked()) a
    JOIN managed_certificates c ON c.id = a.certificate_id
    WHERE c.status NOT IN ('RenewalInProgress', 'Revoked', 'Archived') AND c.certificate_profile_id = p_profile AND c.issuer_id = p_issuer
        AND c.common_name = p_names[1] AND c.sans = p_names
    ORDER BY c.id DESC LIMIT 1 FOR NO KEY UPDATE OF c SKIP LOCKED);
END $$;

-- Orders' CSRs, in which nothing but their names can be wrong any more, become jobs, many in one transaction: of each its
-- account, the order, the key of the CSR's names, hash and algorithm of its key, the CSR.  A row each, at says whose it is; but
-- none for an order that another of these is about as well, or whose certificate is another's.  Outcomes: accepted; repeated
-- (such a CSR of that key was accepted before); other_csr; other_names; pending, expired, invalid (it is not ready); unknown; foreign;
-- unconfigured (the profile names no issuer, owner or policy); issuer_disabled.  due_after: of a job that is due now (lane_key).
-- Where statistics are of empty tables any join but a nested loop walks all certificates, here and in what this calls.
CREATE FUNCTION acme_finalize(p_accounts text[], p_orders text[], p_names_keys text[], p_key_sha256s text[], p_key_algorithms text[],
    p_csr_pems text[]) RETURNS TABLE (at bigint, outcome text, job_id text, issuer_id text, due_after text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET join_collapse_limit = 1 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now(); v record; v_order acme_orders; v_account text; v_with record; v_outcome text; v_certificate text;
    v_at bigint[]; v_orders text[]; v_certificates text[]; v_is_new bool[]; -- those that are accepted
    v_jobs text[]; v_of text[]; -- jobs, and their certificates
BEGIN
    FOR v IN SELECT r.account, r.order_id, r.names_key, r.key_sha256, r.key_algorithm, r.at
        FROM unnest(p_accounts, p_orders, p_names_keys, p_key_sha256s, p_key_algorithms) WITH ORDINALITY
            AS r (account, order_id, names_key, key_sha256, key_algorithm, at) ORDER BY r.order_id, r.at
    LOOP
        CONTINUE WHEN v.order_id = v_order.order_id; -- the one before
        SELECT o.* INTO v_order FROM acme_orders o WHERE o.order_id = v.order_id FOR NO KEY UPDATE;
        v_outcome := CASE WHEN v_order.order_id IS NULL THEN 'unknown' WHEN v_order.account_id <> v.account THEN 'foreign'
            WHEN v_order.names_key <> v.names_key THEN 'other_names'
            WHEN v_order.status IN ('processing', 'valid') THEN CASE WHEN EXISTS (SELECT 1 FROM certificate_requests r
                WHERE r.job_id = v_order.job_id AND r.key_sha256 = v.key_sha256) THEN 'repeated' ELSE 'other_csr' END
            WHEN v_order.status = 'invalid' THEN 'invalid' WHEN v_order.expires_at <= v_now THEN 'expired'
            WHEN v_order.status = 'pending' OR EXISTS (SELECT 1 FROM acme_authorizations z WHERE z.order_id = v.order_id
                AND (z.status <> 'valid' OR z.expires_at <= v_now)) THEN 'pending' ELSE 'accepted' END;
        IF v_outcome = 'accepted' THEN
            IF v_account IS DISTINCT FROM v.account THEN -- for most of them as for the one before; its profile is the account's
                v_account := v.account;
                SELECT i.id AS issuer_id, i.enabled, coalesce(p.acme_renewal_policy_id, acme_policy_default()) AS policy_id INTO v_with
                    FROM acme_accounts a JOIN certificate_profiles p ON p.id = v_order.profile_id AND p.enabled
                    JOIN issuers i ON i.id = p.issuer_id JOIN owners w ON w.id = coalesce(a.owner_id, p.acme_owner_id) WHERE a.account_id = v.account;
            END IF;
            v_outcome := CASE WHEN v_with.policy_id IS NULL THEN 'unconfigured' WHEN NOT v_with.enabled THEN 'issuer_disabled' ELSE 'accepted' END;
        END IF;
        IF v_outcome <> 'accepted' THEN
            RETURN QUERY SELECT v.at, v_outcome, v_order.job_id, NULL::text, NULL::text;
            CONTINUE;
        END IF;
        v_certificate := acme_certificate_take(v.account, v_order.names_key || ' ' || v.key_algorithm,
            ARRAY(SELECT n.j ->> 'value' FROM jsonb_array_elements(v_order.identifiers) WITH ORDINALITY AS n (j, i) ORDER BY n.i),
            v_order.profile_id, v_with.issuer_id);
        CONTINUE WHEN v_certificate = ANY (v_certificates); -- by itself it finds that in progress
        v_at := v_at || v.at;
        v_orders := v_orders || v.order_id;
        v_is_new := v_is_new || (v_certificate IS NULL);
        v_certificates := v_certificates || coalesce(v_certificate, id_new('mc-acme'));
    END LOOP;
    IF v_at IS NULL THEN RETURN; END IF;

    -- In progress from the start: nobody else has seen them yet.
    INSERT INTO managed_certificates (id, name, common_name, sans, environment, owner_id, team_id, issuer_id, renewal_policy_id,
        certificate_profile_id, source, status, created_at, updated_at, ordered_by)
    SELECT u.id, left(n.names[1], policy_acme_name()) || ' ' || u.id, n.names[1], n.names, '', w.id, w.team_id, p.issuer_id,
        coalesce(p.acme_renewal_policy_id, acme_policy_default()), p.id, 'ACME', 'RenewalInProgress', v_now, v_now, acme_actor(o.account_id)
    FROM unnest(v_orders, v_certificates, v_is_new) AS u (order_id, id, is_new) JOIN acme_orders o ON o.order_id = u.order_id
    JOIN acme_accounts a ON a.account_id = o.account_id JOIN certificate_profiles p ON p.id = o.profile_id
    JOIN owners w ON w.id = coalesce(a.owner_id, p.acme_owner_id) CROSS JOIN LATERAL (SELECT ARRAY(SELECT n.j ->> 'value'
        FROM jsonb_array_elements(o.identifiers) WITH ORDINALITY AS n (j, i) ORDER BY n.i) AS names) n
    WHERE u.is_new;
    INSERT INTO acme_certificates (certificate_id, account_id, profile_id, names_key)
    SELECT u.id, o.account_id, o.profile_id, o.names_key || ' ' || p_key_algorithms[u.at]
    FROM unnest(v_at, v_orders, v_certificates, v_is_new) AS u (at, order_id, id, is_new) JOIN acme_orders o ON o.order_id = u.order_id
    WHERE u.is_new;
    FOR v IN SELECT o.account_id, array_agg(u.id) AS ids, array_agg(p_csr_pems[u.at]) AS csrs, array_agg(p_key_sha256s[u.at]) AS keys
        FROM unnest(v_at, v_orders, v_certificates) AS u (at, order_id, id) JOIN acme_orders o ON o.order_id = u.order_id
        GROUP BY o.account_id
    LOOP
        SELECT v_of || array_agg(e.certificate_id), v_jobs || array_agg(e.job_id), min(e.outcome) FILTER (WHERE e.outcome <> 'enqueued')
            INTO v_of, v_jobs, v_outcome FROM jobs_enqueue(v.ids, acme_actor(v.account_id), 'User', true, true, true, v.csrs, v.keys) e;
        IF v_outcome IS NOT NULL THEN
            RAISE EXCEPTION 'a certificate of account %: %', v.account_id, v_outcome USING ERRCODE = 'serialization_failure';
        END IF;
    END LOOP;
    UPDATE acme_orders o SET status = 'processing', job_id = j.id, certificate_id = u.id, csr_pem = p_csr_pems[u.at],
        updated_at = v_now
    FROM unnest(v_at, v_orders, v_certificates) AS u (at, order_id, id) JOIN unnest(v_of, v_jobs) AS j (certificate_id, id)
        ON j.certificate_id = u.id WHERE o.order_id = u.order_id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT acme_actor(o.account_id), 'User', 'certificate_created', 'certificate', c.id,
        jsonb_build_object('common_name', c.common_name, 'issuer_id', c.issuer_id)
    FROM unnest(v_orders, v_certificates, v_is_new) AS u (order_id, id, is_new) JOIN acme_orders o ON o.order_id = u.order_id
    JOIN managed_certificates c ON c.id = u.id WHERE u.is_new
    UNION ALL
    SELECT acme_actor(o.account_id), 'User', 'acme_order_processing', 'acme_order', o.order_id,
        jsonb_build_object('certificate_id', o.certificate_id, 'job_id', o.job_id)
    FROM unnest(v_orders) AS u (order_id) JOIN acme_orders o ON o.order_id = u.order_id;
    RETURN QUERY SELECT u.at, 'accepted', j.id, j.issuer_id::text, CASE WHEN j.status = 'Pending' THEN lane_key(j.run_after) END
        FROM unnest(v_at, v_orders) AS u (at, order_id) JOIN acme_orders o ON o.order_id = u.order_id JOIN jobs j ON j.id = o.job_id;
END $$;

-- What ACME accounts had issued, with its chain: versions by their ids, whatever a plan of empty tables makes of them.
CREATE FUNCTION acme_certs_of(p_ids text[]) RETURNS TABLE (at bigint, account_id text, pem text) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$ BEGIN
    RETURN QUERY SELECT u.at, w.account_id, w.pem FROM unnest(p_ids) WITH ORDINALITY AS u (id, at) CROSS JOIN LATERAL (
        SELECT a.account_id, v.pem_chain || coalesce(h.pem, '') AS pem FROM certificate_versions v
        JOIN acme_certificates a ON a.certificate_id = v.certificate_id LEFT JOIN certificate_chains h ON h.id = v.chain_id
        WHERE v.id = u.id AND v.key_holder = '' OFFSET 0) w;
END $$;

-- --- cleaning ---
-- Keys of external accounts that have admitted nobody since p_before: how many went.  The trail says where they are.
CREATE FUNCTION acme_eab_keys_clean(p_before timestamptz, p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE v_n bigint;
BEGIN
    WITH gone AS (
        DELETE FROM acme_eab_keys d WHERE d.key_id IN (SELECT o.key_id FROM acme_eab_keys o
            WHERE least(o.revoked_at, o.expires_at, CASE WHEN NOT o.reusable THEN o.used_at END) < p_before
            ORDER BY least(o.revoked_at, o.expires_at, CASE WHEN NOT o.reusable THEN o.used_at END) LIMIT p_limit FOR UPDATE SKIP LOCKED)
        RETURNING d.key_id, acme_eab_state(d.revoked_at, d.uses, d.reusable, d.expires_at, engine_now()) AS status
    )
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
    SELECT 'system', 'System', 'acme_eab_key_deleted', 'acme_eab_key', g.key_id, jsonb_build_object('status', g.status), 'auth' FROM gone g;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- Accounts that their clients ended before p_before and that have neither orders nor certificates: how many went.  One that an
-- operator revoked stays, for it is what shuts its key out.  Those that have some are walked, some at each look and round again.
CREATE FUNCTION acme_accounts_clean(p_before timestamptz, p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE v_mark duty_marks; v_ids text[]; v_last timestamptz; v_n bigint;
BEGIN
    INSERT INTO duty_marks (name) VALUES ('acme_accounts') ON CONFLICT DO NOTHING;
    SELECT m.* INTO v_mark FROM duty_marks m WHERE m.name = 'acme_accounts' FOR UPDATE;
    SELECT array_agg(w.account_id ORDER BY w.updated_at, w.account_id), max(w.updated_at) INTO v_ids, v_last
        FROM (SELECT a.account_id, a.updated_at FROM acme_accounts a WHERE a.status = 'deactivated' AND a.updated_at < p_before
            AND (a.updated_at, a.account_id) > (v_mark.low_at, v_mark.low_id) ORDER BY a.updated_at, a.account_id LIMIT p_limit) w;
    UPDATE duty_marks m SET low_at = n.at, low_id = n.id
        FROM (SELECT CASE WHEN cardinality(v_ids) >= p_limit THEN v_last ELSE '-infinity' END AS at,
            CASE WHEN cardinality(v_ids) >= p_limit THEN v_ids[p_limit] ELSE '' END AS id) n
        WHERE m.name = 'acme_accounts' AND (m.low_at, m.low_id) <> (n.at, n.id);
    DELETE FROM acme_accounts d WHERE d.account_id = ANY (v_ids) AND d.status = 'deactivated'
        AND NOT EXISTS (SELECT 1 FROM acme_orders o WHERE o.account_id = d.account_id)
        AND NOT EXISTS (SELECT 1 FROM acme_certificates c WHERE c.account_id = d.account_id);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- Orders that expired, those whose job ended while nobody looked, and what is of no use any more: in chunks, each found by an
-- index.  Those that wait long (for an approval) are walked, some at each look and round again.  p_keep_ms: how long accounts and keys
-- of external accounts are kept that have ended; 0: for ever.
CREATE FUNCTION duty_acme_cleanup(p_keep_ms bigint, p_limit int, p_words jsonb, OUT rows bigint, OUT is_more bool) LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE v_now timestamptz := engine_now(); v_low text; v_ids text[]; v_n bigint; v_why text := job_say(p_words, 'order_changed', NULL);
BEGIN
    is_more := false;
    -- Settled by the duty alone: what somebody holds is met by the next look.
    rows := acme_orders_settle(ARRAY(SELECT o.order_id FROM acme_orders o WHERE o.status IN ('pending', 'ready') AND o.expires_at <= v_now
        ORDER BY o.expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED), v_why);
    is_more := rows >= p_limit;
    INSERT INTO duty_marks (name) VALUES ('acme_processing') ON CONFLICT DO NOTHING;
    SELECT m.low_id INTO v_low FROM duty_marks m WHERE m.name = 'acme_processing' FOR UPDATE;
    SELECT array_agg(w.job_id ORDER BY w.job_id) INTO v_ids FROM (SELECT o.job_id FROM acme_orders o WHERE o.status = 'processing' AND o.job_id > v_low
        ORDER BY o.job_id LIMIT p_limit) w;
    UPDATE duty_marks m SET low_id = n.id FROM (SELECT CASE WHEN cardinality(v_ids) >= p_limit THEN v_ids[p_limit] ELSE '' END AS id) n
        WHERE m.name = 'acme_processing' AND m.low_id <> n.id;
    v_n := acme_orders_settle(ARRAY(SELECT o.order_id FROM acme_orders o WHERE o.status = 'processing' AND o.job_id = ANY (v_ids)
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = o.job_id AND j.status IN ('Pending', 'Running')) FOR NO KEY UPDATE SKIP LOCKED), v_why);
    rows := rows + v_n;
    is_more := is_more OR v_n > 0 AND cardinality(v_ids) >= p_limit;
    DELETE FROM acme_orders d WHERE d.order_id IN (SELECT o.order_id FROM acme_orders o
        WHERE o.expires_at < v_now - policy_acme_kept() AND o.status IN ('valid', 'invalid') ORDER BY o.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    rows := rows + v_n;
    is_more := is_more OR v_n >= p_limit;
    DELETE FROM acme_nonces d WHERE d.nonce IN (SELECT o.nonce FROM acme_nonces o WHERE o.expires_at < v_now - policy_acme_nonce_slack() ORDER BY o.expires_at
        LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    rows := rows + v_n;
    is_more := is_more OR v_n >= p_limit;
    DELETE FROM acme_buckets d WHERE (d.kind, d.subject) IN (SELECT o.kind, o.subject FROM acme_buckets o WHERE o.at < v_now - policy_acme_rate()
        ORDER BY o.at LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    rows := rows + v_n;
    is_more := is_more OR v_n >= p_limit;
    DELETE FROM acme_nonce_keys k WHERE k.made_at < v_now - policy_acme_nonce_key_kept();
    GET DIAGNOSTICS v_n = ROW_COUNT;
    rows := rows + v_n;
    v_n := acme_challenges_give_up(p_limit);
    rows := rows + v_n;
    is_more := is_more OR v_n >= p_limit;
    IF p_keep_ms > 0 THEN
        v_n := acme_eab_keys_clean(v_now - ms(p_keep_ms), p_limit);
        rows := rows + v_n;
        is_more := is_more OR v_n >= p_limit;
        v_n := acme_accounts_clean(v_now - ms(p_keep_ms), p_limit);
        rows := rows + v_n;
        is_more := is_more OR v_n >= p_limit;
    END IF;
END $$;
