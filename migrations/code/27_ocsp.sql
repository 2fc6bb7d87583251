-- The status of certificates one by one (RFC 6960).

-- What is known of each serial of an issuer.  Short-lived certificates by a profile for such are good until they end, as they
-- stand in no list.  A serial is looked for with and without leading zeros, as people's own SQL may have written it.
-- list: of the key that signed it, where its chain says which.  Without settings of its own it becomes a part of who asks.
CREATE FUNCTION ocsp_status(p_issuer text, p_serial text) RETURNS TABLE (status text, reason text, revoked_at timestamptz, list text)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN r.id IS NOT NULL AND NOT coalesce(p.allow_short_lived AND v.not_after - v.not_before < policy_short_lived(), false)
            THEN 'revoked' WHEN r.id IS NULL AND v.id IS NULL AND x.id IS NULL THEN 'unknown' ELSE 'good' END,
        r.reason, r.revoked_at, coalesce(ca.list, x.list)
    FROM (SELECT 1) AS one
    LEFT JOIN LATERAL (SELECT o.id, o.certificate_id, o.chain_id, o.not_before, o.not_after FROM certificate_versions o
            WHERE o.issuer_id = p_issuer AND o.serial_number = p_serial
        UNION ALL SELECT o.id, o.certificate_id, o.chain_id, o.not_before, o.not_after FROM certificate_versions o
            WHERE p_serial LIKE '0%' AND o.issuer_id = p_issuer AND o.serial_number = ltrim(p_serial, '0') LIMIT 1) v ON true
    LEFT JOIN LATERAL (SELECT o.id, o.reason, o.revoked_at FROM certificate_revocations o
            WHERE o.issuer_id = p_issuer AND o.serial_number = p_serial
        UNION ALL SELECT o.id, o.reason, o.revoked_at FROM certificate_revocations o
            WHERE p_serial LIKE '0%' AND o.issuer_id = p_issuer AND o.serial_number = ltrim(p_serial, '0') LIMIT 1) r ON true
    -- No leaf: a CA below another.
    LEFT JOIN LATERAL (SELECT o.id, k.list FROM intermediate_cas o JOIN intermediate_cas p ON p.id = o.parent_ca_id
        LEFT JOIN ca_certificates k ON k.issuer_id = p.owning_issuer_id AND k.key_id = p.key_id
        WHERE v.id IS NULL AND o.owning_issuer_id = p_issuer AND o.serial_number = p_serial LIMIT 1) x ON true
    LEFT JOIN managed_certificates c ON r.id IS NOT NULL AND c.id = v.certificate_id
    LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
    LEFT JOIN certificate_chains h ON h.id = v.chain_id
    LEFT JOIN ca_certificates ca ON ca.issuer_id = p_issuer AND ca.state <> 'next' AND ca.chain_pem = h.pem
$$;

-- Has a worker sign.  Nothing is lost with it but time, so its commit waits for no disk.
CREATE FUNCTION ocsp_ask(p_requests int[], p_issuers text[], p_serials text[], p_cert_ids text[], p_nonces text[]) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_id text := id_new('task');
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO ocsp_batches (id, requests, issuers, serials, cert_ids, nonces)
        VALUES (v_id, p_requests, p_issuers, p_serials, p_cert_ids, p_nonces);
    INSERT INTO tasks (id, kind, subject, run_after, created_at) VALUES (v_id, 'ocsp_sign', v_id, engine_now(), engine_now());
    RETURN v_id;
END $$;

-- What became of these batches: those that are signed go.
CREATE FUNCTION ocsp_answers(p_ids text[]) RETURNS TABLE (id text, answers text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY DELETE FROM ocsp_batches b WHERE b.id = ANY (p_ids) AND b.answers IS NOT NULL
        RETURNING b.id, encode(b.answers, 'hex');
END $$;

-- Nobody waits for them any more.
CREATE FUNCTION ocsp_forget(p_id text) RETURNS void LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off AS $$
    DELETE FROM tasks t WHERE t.id = p_id AND t.kind = 'ocsp_sign' AND t.status = 'Pending';
    DELETE FROM ocsp_batches b WHERE b.id = p_id
$$;

-- An answer goes on being asked for.
CREATE FUNCTION ocsp_asked(p_issuer text, p_serial text, p_cert_id text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE ocsp_response_cache k SET asked_at = engine_now()
    WHERE k.issuer_id = p_issuer AND k.serial_hex = p_serial AND k.cert_id = p_cert_id
$$;

-- What a batch asks, with what is known now.  None: the lease is lost, or the database forgot it.
CREATE FUNCTION ocsp_load(p_worker text, p_lease bigint, p_task text) RETURNS TABLE (request int, issuer_id text, issuer_type text,
    serial text, cert_id text, nonce text, status text, reason text, revoked_at bigint, list text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$ BEGIN
    RETURN QUERY SELECT u.request, u.issuer_id, i.type::text, u.serial, u.cert_id, u.nonce, s.status, s.reason,
        floor(extract(epoch FROM s.revoked_at))::bigint, s.list
    FROM tasks t JOIN ocsp_batches b ON b.id = t.id
    CROSS JOIN LATERAL unnest(b.requests, b.issuers, b.serials, b.cert_ids, b.nonces) WITH ORDINALITY
        AS u (request, issuer_id, serial, cert_id, nonce, n)
    LEFT JOIN issuers i ON i.id = u.issuer_id
    CROSS JOIN LATERAL ocsp_status(u.issuer_id, u.serial) s
    WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'
    ORDER BY u.n;
END $$;

-- Answers that fall due, in the same form; each is put off, so that nobody else takes it and what cannot be signed is not
-- tried for ever.
CREATE FUNCTION ocsp_due(p_worker text, p_lease bigint, p_task text, p_limit int) RETURNS TABLE (request int, issuer_id text,
    issuer_type text, serial text, cert_id text, nonce text, status text, reason text, revoked_at bigint, list text)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$ BEGIN
    RETURN QUERY WITH due AS (
        UPDATE ocsp_response_cache k SET refresh_at = engine_now() + policy_ocsp_rest()
        WHERE k.ctid = ANY (ARRAY(SELECT o.ctid FROM ocsp_response_cache o, tasks t
            WHERE o.refresh_at <= (SELECT engine_now()) AND o.asked_at > engine_now() - policy_ocsp_kept()
                AND t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'
            ORDER BY o.refresh_at LIMIT p_limit FOR NO KEY UPDATE OF o SKIP LOCKED))
        RETURNING k.issuer_id, k.serial_hex, k.cert_id)
    SELECT (row_number() OVER ())::int, d.issuer_id, i.type::text, d.serial_hex, d.cert_id, '', s.status, s.reason,
        floor(extract(epoch FROM s.revoked_at))::bigint, s.list
    FROM due d JOIN issuers i ON i.id = d.issuer_id CROSS JOIN LATERAL ocsp_status(d.issuer_id, d.serial_hex) s;
END $$;

-- Keeps answers, in the order of their key.  Which of two is newer is no matter: who reads one asks whether it still says what
-- is so.
CREATE FUNCTION ocsp_keep(p_issuers text[], p_serials text[], p_cert_ids text[], p_responses bytea[], p_statuses text[],
    p_reasons int[], p_revoked bigint[], p_this bigint, p_next bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_this timestamptz := to_timestamp(p_this); v_next timestamptz := to_timestamp(p_next); v_n bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO ocsp_response_cache AS k (issuer_id, serial_hex, cert_id, response_der, cert_status, revocation_reason, revoked_at,
        this_update, next_update, generated_at, refresh_at, asked_at)
    SELECT DISTINCT ON (u.issuer_id, u.serial, u.cert_id) u.issuer_id, u.serial, u.cert_id, u.response, u.status, u.reason,
        to_timestamp(u.revoked), v_this, v_next, v_now, v_this + (v_next - v_this) / policy_ocsp_life_part(), v_now
    FROM unnest(p_issuers, p_serials, p_cert_ids, p_responses, p_statuses, p_reasons, p_revoked)
        AS u (issuer_id, serial, cert_id, response, status, reason, revoked)
    JOIN issuers i ON i.id = u.issuer_id
    ORDER BY u.issuer_id, u.serial, u.cert_id
    ON CONFLICT (issuer_id, serial_hex, cert_id) DO UPDATE SET response_der = excluded.response_der,
        cert_status = excluded.cert_status, revocation_reason = excluded.revocation_reason, revoked_at = excluded.revoked_at,
        this_update = excluded.this_update, next_update = excluded.next_update, generated_at = excluded.generated_at,
        refresh_at = excluded.refresh_at;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- The end of a batch.
CREATE FUNCTION ocsp_store(p_worker text, p_lease bigint, p_task text, p_answers bytea) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running';
    IF NOT FOUND THEN RETURN false; END IF;
    UPDATE ocsp_batches b SET answers = p_answers WHERE b.id = p_task;
    RETURN true;
END $$;

-- Who answers for a key of a CA: the one that is there unless it is p_former's turn to go.  Two workers may race: the row
-- decides, and each uses what is read back.
CREATE FUNCTION ocsp_responder_store(p_list text, p_former text, p_cert_pem text, p_serial text, p_fingerprint text,
    p_ca_fingerprint text, p_not_before timestamptz, p_not_after timestamptz, p_key_sealed bytea) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO ocsp_responders AS r (list, issuer_id, cert_pem, cert_serial, fingerprint_sha256, ca_fingerprint, key_path, key_alg,
        not_before, not_after)
    SELECT ca.list, ca.issuer_id, p_cert_pem, p_serial, p_fingerprint, p_ca_fingerprint, 'ocsp_responder_keys:' || ca.list,
        'ECDSA-P256', p_not_before, p_not_after FROM ca_certificates ca WHERE ca.list = p_list
    ON CONFLICT (list) DO UPDATE SET cert_pem = excluded.cert_pem, cert_serial = excluded.cert_serial,
        fingerprint_sha256 = excluded.fingerprint_sha256, ca_fingerprint = excluded.ca_fingerprint, not_before = excluded.not_before,
        not_after = excluded.not_after, rotated_from = r.cert_serial, updated_at = now()
        WHERE r.fingerprint_sha256 = p_former;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO ocsp_responder_keys (list, key_sealed) VALUES (p_list, p_key_sealed)
        ON CONFLICT (list) DO UPDATE SET key_sealed = excluded.key_sealed;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        SELECT 'system', 'System', 'ocsp_responder_created', 'issuer', ca.issuer_id, jsonb_build_object('fingerprint_sha256', p_fingerprint),
            'config' FROM ca_certificates ca WHERE ca.list = p_list;
    RETURN true;
END $$;

-- A worker could not have a responder; p_why '': it could.
CREATE FUNCTION ocsp_responder_fault(p_list text, p_why text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM ocsp_responder_faults f WHERE f.list = p_list AND p_why = '';
    INSERT INTO ocsp_responder_faults AS f (list, since, failed_at, why)
    SELECT ca.list, engine_now(), engine_now(), p_why FROM ca_certificates ca WHERE ca.list = p_list AND p_why <> ''
    ON CONFLICT (list) DO UPDATE SET why = excluded.why, failed_at = excluded.failed_at,
        since = CASE WHEN f.failed_at > excluded.failed_at - policy_condition_ocsp() THEN f.since ELSE excluded.since END
$$;

-- What nobody asked for lately goes when it falls due, and so do batches that nobody fetched; for the others a task is made.
CREATE FUNCTION duty_ocsp_refresh(p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_n bigint;
BEGIN
    DELETE FROM ocsp_batches b WHERE b.id < id_bound('task', v_now - policy_ocsp_batch());
    DELETE FROM ocsp_response_cache k WHERE k.ctid = ANY (ARRAY(SELECT o.ctid FROM ocsp_response_cache o
        WHERE o.refresh_at <= v_now AND o.asked_at <= v_now - policy_ocsp_kept() ORDER BY o.refresh_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_n = ROW_COUNT;
    INSERT INTO tasks (id, kind, subject, dedupe_key, run_after, created_at)
    SELECT id_new('task'), 'ocsp_refresh', 'responses', 'ocsp_refresh', v_now, v_now
    WHERE EXISTS (SELECT 1 FROM ocsp_response_cache k WHERE k.refresh_at <= v_now ORDER BY k.refresh_at LIMIT 1)
    ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    RETURN v_n;
END $$;
