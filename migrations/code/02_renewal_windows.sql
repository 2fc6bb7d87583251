-- When CAs outside want what they issued renewed (RFC 9773), of issuers that are to ask (ari_enabled).
--
-- The newest version of each key holder is a row of renewal_windows from when it is stored.  A duty makes tasks of those that are
-- due, a worker asks the CA, and the time picked from the window it answers moves the certificate's renew_after: to an earlier
-- time than its policy's, never to a later one.  Whatever goes wrong, the policy's time stands.

CREATE FUNCTION issuer_asks_windows(p_type text, p_config jsonb) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT p_type = 'ACME' AND coalesce(p_config @> '{"ari_enabled": true}', false)
$$;

-- When its CA wants a certificate renewed, NULL: it does not say.  Not at once after it was issued: a CA that always says "now"
-- would renew for ever.
CREATE FUNCTION renewal_window_at(p_certificate text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT min(greatest(w.renew_at, c.last_renewal_at + policy_window_floor()))
    FROM renewal_windows w JOIN managed_certificates c ON c.id = w.certificate_id JOIN issuers i ON i.id = w.issuer_id
    WHERE w.certificate_id = p_certificate AND w.renew_at IS NOT NULL AND issuer_asks_windows(i.type, i.config)
        AND NOT EXISTS (SELECT 1 FROM certificate_versions v WHERE v.certificate_id = w.certificate_id AND v.key_holder = w.key_holder
            AND v.id > w.version_id)
$$;

-- A version was stored: its CA is asked about it next.  What an ACME client of ours obtained, it renews itself.
CREATE FUNCTION renewal_window_expect(p_version text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO renewal_windows AS w (certificate_id, key_holder, version_id, issuer_id, ask_at)
    SELECT v.certificate_id, v.key_holder, v.id, v.issuer_id, engine_now()
    FROM certificate_versions v JOIN issuers i ON i.id = v.issuer_id
    WHERE v.id = p_version AND i.type = 'ACME' AND NOT EXISTS (SELECT 1 FROM acme_certificates a WHERE a.certificate_id = v.certificate_id)
    ON CONFLICT (certificate_id, key_holder) DO UPDATE SET version_id = excluded.version_id, issuer_id = excluded.issuer_id,
        ask_at = excluded.ask_at, asked_at = NULL, starts_at = NULL, ends_at = NULL, explanation_url = NULL, renew_at = NULL,
        due_at = NULL, failures = 0, said = NULL WHERE w.version_id < excluded.version_id
$$;

-- Certificates whose CA is not asked any more follow their policy again.
CREATE FUNCTION renewal_windows_forget(p_issuer text, p_limit int) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_ids text[];
BEGIN
    SELECT array_agg(f.id) INTO v_ids FROM (SELECT c.id FROM renewal_windows w JOIN managed_certificates c ON c.id = w.certificate_id
        WHERE w.issuer_id = p_issuer AND w.renew_at IS NOT NULL LIMIT p_limit FOR NO KEY UPDATE OF c SKIP LOCKED) f;
    IF v_ids IS NULL THEN RETURN 0; END IF;
    UPDATE renewal_windows w SET starts_at = NULL, ends_at = NULL, explanation_url = NULL, renew_at = NULL, due_at = NULL, asked_at = NULL,
        ask_at = engine_now() FROM unnest(v_ids) AS u (id) WHERE w.certificate_id = u.id AND w.issuer_id = p_issuer;
    PERFORM certificates_retime(v_ids);
    RETURN cardinality(v_ids);
END $$;

-- One task an issuer of certificates that their CA is due to be asked about; each is due again some minutes later, should the
-- task be lost.  An issuer has so many tasks at a time, each with a key of its own.
CREATE FUNCTION duty_renewal_windows(p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_rows bigint := 0; r record; v_key text; v_versions text[];
BEGIN
    FOR r IN SELECT i.id, i.enabled, issuer_asks_windows(i.type, i.config) AS asks, l.cap > 0 AND l.breaker_state = 'closed' AS is_open
        FROM issuers i JOIN lanes l ON l.issuer_id = i.id WHERE i.type = 'ACME'
    LOOP
        IF NOT r.asks THEN
            v_rows := v_rows + renewal_windows_forget(r.id, p_limit);
            CONTINUE;
        END IF;
        CONTINUE WHEN NOT r.enabled OR NOT r.is_open OR NOT EXISTS (SELECT 1 FROM renewal_windows w WHERE w.issuer_id = r.id AND w.ask_at <= v_now)
            OR EXISTS (SELECT 1 FROM renewal_window_rests e WHERE e.issuer_id = r.id AND e.until > v_now);
        SELECT min(k.key) INTO v_key FROM (SELECT 'renewal_windows:' || r.id || ':' || s.n AS key FROM generate_series(1, policy_window_tasks()) AS s (n)) k
            WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.dedupe_key = k.key);
        CONTINUE WHEN v_key IS NULL;
        WITH due AS MATERIALIZED (SELECT w.certificate_id, w.key_holder FROM renewal_windows w
            WHERE w.issuer_id = r.id AND w.ask_at <= v_now ORDER BY w.ask_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED),
        taken AS (UPDATE renewal_windows w SET ask_at = v_now + policy_window_lost() FROM due d
            WHERE w.certificate_id = d.certificate_id AND w.key_holder = d.key_holder RETURNING w.version_id)
        SELECT array_agg(t.version_id) INTO v_versions FROM taken t;
        CONTINUE WHEN v_versions IS NULL;
        INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id, payload, run_after, created_at)
            VALUES (id_new('task'), 'renewal_windows', r.id, v_key, r.id, jsonb_build_object('versions', v_versions), v_now, v_now);
        v_rows := v_rows + cardinality(v_versions);
    END LOOP;
    RETURN v_rows;
END $$;

-- What a task of these is to ask.  Outcomes: go, a row for each; none, where nothing of it is left; later, as of
-- revocation_begin.  Those that its lane does not let through are due again as if the task were lost.  No row: the task is not
-- under this lease any more.
CREATE FUNCTION renewal_windows_begin(p_worker text, p_lease bigint, p_task text) RETURNS TABLE (outcome text, type text, config text,
    version_id text, pem text, not_after timestamptz) LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE v_now timestamptz := engine_now(); v_task tasks; v_ids text[]; v_gone text[]; v_n int;
BEGIN
    SELECT t.* INTO v_task FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease
        AND t.status = 'Running' AND worker_lives(p_worker);
    IF NOT FOUND THEN RETURN; END IF;
    SELECT array_agg(v.id) FILTER (WHERE k.is_wanted), array_agg(v.certificate_id) FILTER (WHERE NOT k.is_wanted) INTO v_ids, v_gone
    FROM jsonb_array_elements_text(v_task.payload -> 'versions') AS u (id) JOIN certificate_versions v ON v.id = u.id
    JOIN managed_certificates c ON c.id = v.certificate_id
    CROSS JOIN LATERAL (SELECT v.not_after > v_now AND c.status NOT IN ('Revoked', 'Archived') AND NOT EXISTS (SELECT 1
        FROM certificate_versions n WHERE n.certificate_id = v.certificate_id AND n.key_holder = v.key_holder AND n.id > v.id) AS is_wanted) k;
    IF v_gone IS NOT NULL THEN -- what came after it, if anything, has a row of its own
        DELETE FROM renewal_windows w USING unnest(v_gone) AS g (id) WHERE w.certificate_id = g.id
            AND w.version_id IN (SELECT u.id FROM jsonb_array_elements_text(v_task.payload -> 'versions') AS u (id))
            AND (v_ids IS NULL OR w.version_id <> ALL (v_ids));
    END IF;
    IF v_ids IS NULL THEN
        outcome := 'none';
        RETURN NEXT;
        RETURN;
    END IF;
    v_n := task_enters_lane(v_task, cardinality(v_ids), false);
    IF v_n = 0 THEN
        outcome := 'later';
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'go', i.type::text, coalesce(i.config, '{}')::text, v.id, v.pem_chain, v.not_after
    FROM unnest(v_ids[:v_n]) AS u (id) JOIN certificate_versions v ON v.id = u.id JOIN issuers i ON i.id = v_task.issuer_id;
END $$;

-- How long a CA is left alone that asks for p_wait_s (0: it does not say): within bounds, as RFC 9773 section 4.3.2 has it,
-- and spread a little, but never sooner than it asks.
CREATE FUNCTION renewal_window_wait(p_wait_s bigint) RETURNS interval LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN p_wait_s > 0 THEN greatest(policy_window_least(), least(policy_window_most(), make_interval(secs => p_wait_s)))
        ELSE policy_window_again() END * (1 + policy_window_spread() * random())
$$;

-- And after so many failures in a row (section 4.3.3): soon at first, then as if it had said nothing.
CREATE FUNCTION renewal_window_retry(p_failures int) RETURNS interval LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN p_failures >= policy_window_tries() THEN renewal_window_wait(0)
        ELSE jittered(back_off(policy_window_least(), policy_window_again(), p_failures)) END
$$;

-- What the CA said of each version, and of the call as a whole; it ends the task.  Outcomes of a version: window; refused (a
-- window that makes no sense, so there is none); fault (an answer without one: what it said before stands); silent; later (not
-- asked).  Of the call: done; silent; refused (it gives no windows); unable (nothing was sent).  false: the task is not this
-- worker's any more, and nothing was stored.  A certificate whose row somebody holds is asked about again as if the task were
-- lost.
CREATE FUNCTION renewal_windows_store(p_worker text, p_lease bigint, p_task text, p_versions text[], p_outcomes text[], p_starts bigint[],
    p_ends bigint[], p_urls text[], p_said text[], p_waits_s bigint[], p_outcome text, p_words text, p_wait_s bigint) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_issuer text; v_mine text[]; v_moved text[];
BEGIN
    PERFORM words_check(p_outcomes, '{window,refused,fault,silent,later}', p_versions);
    PERFORM words_check(ARRAY[p_outcome], '{done,silent,refused,unable}', ARRAY[p_task]);
    DELETE FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'
        RETURNING t.issuer_id INTO v_issuer;
    IF NOT FOUND THEN RETURN false; END IF;
    SELECT array_agg(l.id) INTO v_mine FROM (SELECT c.id FROM managed_certificates c WHERE c.id IN (SELECT v.certificate_id
        FROM unnest(p_versions) AS u (id) JOIN certificate_versions v ON v.id = u.id) ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED) l;
    WITH told AS MATERIALIZED (
        SELECT w.certificate_id, w.key_holder, w.starts_at, w.ends_at, u.outcome, u.url, u.said, u.wait_s,
            to_timestamp(u.starts) AS new_starts_at, to_timestamp(u.ends) AS new_ends_at, CASE u.outcome
                WHEN 'window' THEN (w.starts_at, w.ends_at) IS DISTINCT FROM (to_timestamp(u.starts), to_timestamp(u.ends))
                WHEN 'refused' THEN w.starts_at IS NOT NULL ELSE false END AS is_moved
        FROM unnest(p_versions, p_outcomes, p_starts, p_ends, p_urls, p_said, p_waits_s) AS u (id, outcome, starts, ends, url, said, wait_s)
        JOIN certificate_versions v ON v.id = u.id
        JOIN renewal_windows w ON w.certificate_id = v.certificate_id AND w.key_holder = v.key_holder AND w.version_id = v.id
        WHERE v.certificate_id = ANY (v_mine)
    ), kept AS (
        UPDATE renewal_windows w SET
            ask_at = v_now + CASE t.outcome WHEN 'later' THEN ms(0) WHEN 'silent' THEN renewal_window_retry(w.failures)
                WHEN 'window' THEN renewal_window_wait(t.wait_s) ELSE renewal_window_wait(0) END,
            asked_at = CASE WHEN t.outcome IN ('later', 'silent') THEN w.asked_at ELSE v_now END,
            failures = CASE t.outcome WHEN 'silent' THEN w.failures + 1 WHEN 'later' THEN w.failures ELSE 0 END,
            said = CASE WHEN t.outcome = 'later' THEN w.said ELSE nullif(t.said, '') END,
            starts_at = CASE WHEN NOT t.is_moved THEN w.starts_at WHEN t.outcome = 'window' THEN t.new_starts_at END,
            ends_at = CASE WHEN NOT t.is_moved THEN w.ends_at WHEN t.outcome = 'window' THEN t.new_ends_at END,
            -- Picked once a window, so that it does not come closer with each time that the CA is asked.
            renew_at = CASE WHEN NOT t.is_moved THEN w.renew_at
                WHEN t.outcome = 'window' THEN t.new_starts_at + random() * (t.new_ends_at - t.new_starts_at) END,
            explanation_url = CASE t.outcome WHEN 'window' THEN nullif(t.url, '') WHEN 'refused' THEN NULL ELSE w.explanation_url END,
            due_at = CASE WHEN NOT t.is_moved THEN w.due_at END
        FROM told t WHERE w.certificate_id = t.certificate_id AND w.key_holder = t.key_holder
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_worker, 'System', 'certificate_renewal_window_moved', 'certificate', t.certificate_id, jsonb_strip_nulls(jsonb_build_object(
            'issuer_id', v_issuer, 'was_start', t.starts_at, 'was_end', t.ends_at, 'start', t.new_starts_at, 'end', t.new_ends_at,
            'explanation_url', nullif(t.url, '')))
        FROM told t WHERE t.is_moved AND t.outcome = 'window' AND t.starts_at IS NOT NULL
    )
    SELECT array_agg(DISTINCT t.certificate_id) INTO v_moved FROM told t WHERE t.is_moved;
    IF v_moved IS NOT NULL THEN PERFORM renewal_windows_apply(v_moved); END IF;
    IF p_outcome = 'done' THEN
        DELETE FROM renewal_window_rests e WHERE e.issuer_id = v_issuer;
    ELSE
        INSERT INTO renewal_window_rests AS e (issuer_id, until, failures, said)
        VALUES (v_issuer, v_now + CASE WHEN p_outcome <> 'silent' OR p_wait_s > 0 THEN renewal_window_wait(p_wait_s)
            ELSE renewal_window_retry(0) END, 1, p_words)
        ON CONFLICT (issuer_id) DO UPDATE SET failures = e.failures + 1, said = excluded.said, until = CASE
            WHEN p_outcome <> 'silent' OR p_wait_s > 0 THEN excluded.until ELSE v_now + renewal_window_retry(e.failures) END;
    END IF;
    RETURN true;
END $$;

-- The windows of these certificates, whose rows the caller holds, moved.  One that failed and is past its policy's time keeps
-- the time of its next try.
CREATE FUNCTION renewal_windows_apply(p_ids text[]) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE v_now timestamptz := engine_now();
BEGIN
    WITH timed AS (
        SELECT c.id, renew_after_of(c.id, c.valid_from, c.expires_at, p.renewal_window_days, p.renewal_percent) AS by_policy,
            renewal_window_at(c.id) AS by_window
        FROM unnest(p_ids) AS u (id) JOIN managed_certificates c ON c.id = u.id JOIN renewal_policies p ON p.id = c.renewal_policy_id
        WHERE certificate_renews(c.status) AND c.renew_after < 'infinity' AND c.renewal_wanted IS NULL AND c.expires_at IS NOT NULL
    ), set AS (
        UPDATE managed_certificates c SET renew_after = least(t.by_policy, t.by_window) FROM timed t
        WHERE c.id = t.id AND NOT (t.by_policy <= v_now AND c.renew_after > v_now)
        RETURNING c.id, c.renew_after, c.renew_after < t.by_policy AS is_by_window
    )
    UPDATE renewal_windows w SET due_at = s.renew_after FROM set s WHERE w.certificate_id = s.id AND s.is_by_window AND w.renew_at IS NOT NULL;
END $$;
