-- Revocation lists: when one is due, and what reads and writes them.

-- Whether an issuer's list lacks a revocation that was made shortly before it or any time after.  The overlap bounds what
-- numbers of another cluster, in a database that was restored, can make of it.
CREATE FUNCTION crl_is_behind(p_issuer text, p_this_update timestamptz, p_snapshot pg_snapshot) RETURNS bool
LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT EXISTS (SELECT 1 FROM certificate_revocations r
        WHERE r.issuer_id = p_issuer AND r.created_at > p_this_update - policy_crl_overlap()
            AND (r.created_at > p_this_update OR NOT pg_visible_in_snapshot(r.xid, p_snapshot)))
$$;

-- Whether the issuer's CA makes its list itself, and a script of the operator's fetches it.
CREATE FUNCTION crl_is_fetched(p_issuer issuers) RETURNS bool LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(p_issuer.config ->> 'crl_script', '') <> ''
$$;

-- And whether there is something to fetch it for: nobody can tell whose list it is before the CA has issued anything.
CREATE FUNCTION crl_is_wanted(p_issuer issuers) RETURNS bool LANGUAGE sql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    SELECT p_issuer.enabled AND crl_is_fetched(p_issuer)
        AND EXISTS (SELECT 1 FROM certificate_versions v WHERE v.issuer_id = p_issuer.id)
$$;

-- Whether the task of a list failed for good so lately that the next is not made yet.
CREATE FUNCTION crl_rests(p_list text, p_now timestamptz) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT EXISTS (SELECT 1 FROM tasks f
        WHERE f.subject = p_list AND f.kind IN ('crl_build', 'crl_fetch') AND f.status = 'Failed' AND f.run_after > p_now)
$$;

-- Tasks for the lists of CAs that make theirs themselves.  One is due when there is none; when the CA was told of a revocation that
-- the last run of the script knew nothing of, or has not been for too long; when half its life is over, or when the last run
-- failed or brought a list without something that is revoked here; and where p_only_behind is false in any case, for the CA may
-- have revoked what we know nothing of.  As for lists of our own, it is when the list came that counts, not when it was made.
CREATE FUNCTION crl_fetch_ask(p_limit int, p_only_behind bool) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_n bigint;
BEGIN
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id, run_after, created_at)
    SELECT id_new('task'), 'crl_fetch', i.id, 'crl:' || i.id, i.id, v_now, v_now FROM issuers i
    LEFT JOIN crl_cache k ON k.list = i.id
    WHERE crl_is_fetched(i) AND crl_is_wanted(i) AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.dedupe_key = 'crl:' || i.id) AND NOT crl_rests(i.id, v_now)
        AND CASE
            WHEN k.list IS NULL THEN true
            WHEN v_now < k.generated_at + greatest(policy_crl_rest(), ms(k.generation_duration_ms::bigint * policy_crl_rest_factor())) THEN false
            WHEN EXISTS (SELECT 1 FROM certificate_revocations r WHERE r.issuer_id = i.id AND r.created_at > k.generated_at - policy_crl_overlap()
                AND (r.created_at > k.generated_at OR NOT pg_visible_in_snapshot(r.xid, k.snapshot))
                AND (r.issuer_state <> 'waiting' OR r.issuer_said IS NOT NULL OR r.created_at < v_now - policy_crl_fetch_told())) THEN true
            ELSE v_now > k.generated_at + policy_crl_fetch_again() AND (NOT p_only_behind
                OR v_now > k.this_update + (k.next_update - k.this_update) / policy_crl_life_part()
                OR (SELECT e.error IS NOT NULL FROM crl_generation_events e WHERE e.issuer_id = i.id ORDER BY e.id DESC LIMIT 1)) END
    ORDER BY i.id LIMIT p_limit FOR KEY SHARE OF i SKIP LOCKED
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- Where p_only_behind is false successors of roots are asked for too.  A list is due when there is none, when half its life
-- is over, when its CA has another certificate now, or when it is behind; the last alone is looked at often, but no list is
-- made again before many times what making it took has passed, nor while one rests that failed.
CREATE FUNCTION duty_crl_refresh(p_limit int, p_only_behind bool) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_n bigint;
BEGIN
    PERFORM ca_successor_ask(NULL) WHERE NOT p_only_behind;
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id, run_after, created_at)
    SELECT id_new('task'), 'crl_build', ca.list, 'crl:' || ca.list, ca.issuer_id, v_now, v_now FROM ca_certificates ca
    LEFT JOIN crl_cache k ON k.list = ca.list WHERE ca.not_after > v_now AND ca.state <> 'next'
        AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.dedupe_key = 'crl:' || ca.list)
        AND EXISTS (SELECT 1 FROM issuers i WHERE i.id = ca.issuer_id FOR KEY SHARE SKIP LOCKED)
        AND NOT crl_rests(ca.list, v_now) AND CASE
            WHEN k.list IS NULL THEN true
            WHEN NOT p_only_behind AND (k.ca_fingerprint <> ca.fingerprint_sha256
                OR v_now > k.this_update + (k.next_update - k.this_update) / policy_crl_life_part()) THEN true
            WHEN v_now < k.generated_at + greatest(policy_crl_rest(), ms(k.generation_duration_ms::bigint * policy_crl_rest_factor())) THEN false
            ELSE crl_is_behind(ca.issuer_id, k.this_update, k.snapshot) END ORDER BY ca.list LIMIT p_limit
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n + crl_fetch_ask(p_limit, p_only_behind);
END $$;

-- Somebody asked for a list that is not there.
CREATE FUNCTION crl_request(p_issuer text, p_list text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id, run_after, created_at)
    SELECT id_new('task'), CASE WHEN crl_is_fetched(i) THEN 'crl_fetch' ELSE 'crl_build' END, p_list, 'crl:' || p_list, i.id,
        engine_now(), engine_now() FROM issuers i
    WHERE i.id = p_issuer AND NOT crl_rests(p_list, engine_now()) AND (NOT crl_is_fetched(i) OR crl_is_wanted(i))
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
$$;

-- The number of the list that a task is about to make.  It is the time, or one more than the last where that is more: so it
-- also grows in a database that was put back to an older state.  The row is locked until the revocations were read in the
-- same transaction, so that a list with a higher number never knows less.  No row: the lease is lost.
CREATE FUNCTION crl_begin(p_worker text, p_lease bigint, p_task text)
RETURNS TABLE (crl_number bigint, this_update timestamptz, snapshot pg_snapshot) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_issuer text; v_now timestamptz := date_trunc('second', engine_now()); v_number bigint;
BEGIN
    SELECT t.issuer_id INTO v_issuer FROM tasks t
        WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running';
    IF v_issuer IS NULL THEN RETURN; END IF;
    INSERT INTO crl_numbers AS n (issuer_id, last_number) VALUES (v_issuer, extract(epoch FROM v_now)::bigint)
        ON CONFLICT (issuer_id) DO UPDATE SET last_number = greatest(n.last_number + 1, excluded.last_number)
        RETURNING n.last_number INTO v_number;
    RETURN QUERY SELECT v_number, v_now, pg_current_snapshot();
END $$;

-- What the task that fetches a list is to do.  Outcomes: go; later (it was put off: by the issuer's lane, or because a run that its
-- worker did not see the end of may go on); none (there is none to be fetched any more, and the task is gone).  With go the
-- task is the only one that runs the script until the time of a run is over, whatever becomes of this worker.  No row: the
-- lease is lost.
CREATE FUNCTION crl_fetch_begin(p_worker text, p_lease bigint, p_task text) RETURNS TABLE (outcome text, type text, config text,
    now bigint, snapshot pg_snapshot, crl_number bigint, this_update bigint, next_update bigint, ca_fingerprint text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_task tasks; v_issuer issuers; v_until timestamptz;
BEGIN
    SELECT t.* INTO v_task FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease
        AND t.status = 'Running' AND worker_lives(p_worker) FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT i.* INTO v_issuer FROM issuers i WHERE i.id = v_task.issuer_id;
    v_until := (v_task.payload ->> 'runs_until')::timestamptz;
    outcome := 'later';
    IF NOT crl_is_wanted(v_issuer) THEN
        DELETE FROM tasks t WHERE t.id = p_task;
        outcome := 'none';
    ELSIF v_until > v_now THEN
        UPDATE tasks t SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL, run_after = v_until WHERE t.id = p_task;
    ELSIF task_enters_lane(v_task, 1, false) > 0 THEN
        UPDATE tasks t SET payload = jsonb_build_object('runs_until', v_now + policy_crl_fetch_run()) WHERE t.id = p_task;
        outcome := 'go';
    END IF;
    RETURN QUERY SELECT outcome, v_issuer.type::text, coalesce(v_issuer.config, '{}')::text, floor(extract(epoch FROM v_now))::bigint,
        pg_current_snapshot(), k.crl_number, floor(extract(epoch FROM k.this_update))::bigint, floor(extract(epoch FROM k.next_update))::bigint,
        k.ca_fingerprint
    FROM (SELECT 1) one LEFT JOIN crl_cache k ON k.list = v_task.subject;
END $$;

-- By what its signer is known: a certificate of the issuer's with its chain, for each of its newest chains.  They are looked
-- for among some of its certificates by serial, which are of all its time, and among the last that anybody issued: a CA that
-- has another key now may have issued one by it, of thousands.
CREATE FUNCTION crl_fetch_issued(p_worker text, p_lease bigint, p_task text) RETURNS TABLE (pem text)
LANGUAGE sql STABLE SECURITY DEFINER AS $$
    WITH its AS MATERIALIZED (SELECT t.issuer_id AS id FROM tasks t
        WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'),
    looked AS (
        (SELECT v.id, v.chain_id FROM certificate_versions v WHERE v.issuer_id = (SELECT i.id FROM its i) AND v.chain_id IS NOT NULL
            ORDER BY v.serial_number DESC LIMIT policy_crl_chains_looked())
        UNION ALL SELECT n.id, n.chain_id FROM (SELECT v.id, v.chain_id, v.issuer_id FROM certificate_versions v
            ORDER BY v.id DESC LIMIT policy_crl_chains_looked()) n
        WHERE n.issuer_id = (SELECT i.id FROM its i) AND n.chain_id IS NOT NULL)
    SELECT v.pem_chain || c.pem FROM (SELECT l.chain_id, max(l.id) AS id FROM looked l
        GROUP BY l.chain_id ORDER BY l.chain_id DESC LIMIT policy_crl_chains()) d
    JOIN certificate_chains c ON c.id = d.chain_id JOIN certificate_versions v ON v.id = d.id ORDER BY c.id DESC
$$;

-- What goes into it, by serial.  A certificate that expired is kept for a while, so that it stands in a list made after its
-- end (RFC 5280 section 3.3); short-lived ones by a profile for such are left out.  Whether a serial is a number is for the
-- reader to see.
CREATE FUNCTION crl_revocations(p_worker text, p_lease bigint, p_task text) RETURNS TABLE (serial text, revoked_at bigint, reason text, is_over bool)
LANGUAGE sql STABLE SECURITY DEFINER SET work_mem = '32MB' SET enable_seqscan = on SET enable_hashjoin = on
SET enable_mergejoin = on AS $$
    SELECT lpad(lower(r.serial_number), 40, '0') COLLATE "C" AS serial, floor(extract(epoch FROM r.revoked_at))::bigint, r.reason,
        coalesce(v.not_after <= (SELECT engine_now()), false)
    FROM certificate_revocations r
    LEFT JOIN certificate_versions v ON v.issuer_id = r.issuer_id AND v.serial_number = r.serial_number
    LEFT JOIN managed_certificates c ON c.id = r.certificate_id
    LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
    WHERE r.issuer_id = (SELECT t.issuer_id FROM tasks t
            WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running')
        AND length(r.serial_number) <= 40
        AND (v.not_after IS NULL OR v.not_after > (SELECT engine_now()) - policy_crl_expired())
        AND NOT (coalesce(p.allow_short_lived, false) AND coalesce(v.not_after - v.not_before < policy_short_lived(), false))
    ORDER BY 1
$$;

-- The task is done: its list is kept unless a later one stands there already.  Outcomes: stored, older (noted with
-- p_why_older), lost.  One that was fetched may be the one that is there, and numbers of another key's lists say nothing, nor
-- does that of one that has ended.
-- p_lacks: which revocations are not in it, for people.  p_others: which certificates in use another key signed, likewise.
CREATE FUNCTION crl_store(p_worker text, p_lease bigint, p_task text, p_der bytea, p_number bigint, p_this timestamptz,
    p_next timestamptz, p_revoked int, p_etag text, p_ca text, p_snapshot pg_snapshot, p_ms int, p_why_older text,
    p_lacks text DEFAULT NULL, p_others text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_issuer text; v_list text; v_kind text; v_now timestamptz := engine_now(); v_stored bool;
BEGIN
    DELETE FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'
        RETURNING t.issuer_id, t.subject, t.kind INTO v_issuer, v_list, v_kind;
    IF v_issuer IS NULL THEN RETURN 'lost'; END IF;
    -- What failed before it is over now, and no more to be told of.
    DELETE FROM tasks f WHERE f.subject = v_list AND f.kind IN ('crl_build', 'crl_fetch') AND f.status = 'Failed';
    INSERT INTO crl_cache AS k (list, issuer_id, crl_der, crl_number, this_update, next_update, generated_at,
        generation_duration_ms, revoked_count, etag, ca_fingerprint, snapshot, other_keys, other_keys_since)
    VALUES (v_list, v_issuer, p_der, p_number, p_this, p_next, v_now, p_ms, p_revoked, p_etag, p_ca, p_snapshot, p_others,
        CASE WHEN p_others IS NOT NULL THEN v_now END)
    ON CONFLICT (list) DO UPDATE SET crl_der = excluded.crl_der, crl_number = excluded.crl_number,
        this_update = excluded.this_update, next_update = excluded.next_update, generated_at = excluded.generated_at,
        generation_duration_ms = excluded.generation_duration_ms, revoked_count = excluded.revoked_count,
        etag = excluded.etag, ca_fingerprint = excluded.ca_fingerprint, snapshot = excluded.snapshot, updated_at = v_now,
        other_keys = excluded.other_keys,
        other_keys_since = CASE WHEN excluded.other_keys IS NOT NULL THEN coalesce(k.other_keys_since, excluded.other_keys_since) END
        WHERE CASE v_kind WHEN 'crl_fetch' THEN k.this_update <= excluded.this_update
                AND (k.crl_number <= excluded.crl_number OR k.ca_fingerprint <> excluded.ca_fingerprint OR k.next_update <= v_now)
            ELSE k.crl_number < excluded.crl_number END;
    v_stored := FOUND;
    INSERT INTO crl_generation_events (issuer_id, crl_number, duration_ms, revoked_count, started_at, succeeded, error)
        VALUES (v_issuer, p_number, p_ms, p_revoked, v_now - ms(p_ms), true,
            CASE WHEN NOT v_stored THEN p_why_older ELSE p_lacks END);
    DELETE FROM crl_generation_events e WHERE e.issuer_id = v_issuer AND e.started_at < v_now - policy_crl_events();
    RETURN CASE WHEN v_stored THEN 'stored' ELSE 'older' END;
END $$;

-- It came to nothing; what ran for it has ended.
CREATE FUNCTION crl_failed(p_worker text, p_lease bigint, p_task text, p_ms int, p_error text) RETURNS void
LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE tasks t SET payload = t.payload - 'runs_until'
    WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running' AND t.payload ? 'runs_until';
    INSERT INTO crl_generation_events (issuer_id, crl_number, duration_ms, revoked_count, started_at, succeeded, error)
    SELECT t.issuer_id, 0, p_ms, 0, engine_now() - ms(p_ms), false, p_error FROM tasks t
    WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'
        AND t.issuer_id IS NOT NULL
$$;
