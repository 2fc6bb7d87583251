-- What becomes of ACME accounts' keys and certificates: key change, revocation, renewal information.

-- The account's next key.  Outcomes: changed; taken (it is that of account_id); raced (the account's key is p_old no more, or
-- the account is not valid); limited (the next token comes in wait_s).
CREATE FUNCTION acme_key_change(p_account text, p_old text, p_new text, p_pem text, p_per_hour int, OUT outcome text,
    OUT wait_s int, OUT account_id text) LANGUAGE plpgsql SECURITY DEFINER AS $$
#variable_conflict use_column
DECLARE v_profile text; v_other text;
BEGIN
    SELECT a.profile_id INTO v_profile FROM acme_accounts a
        WHERE a.account_id = p_account AND a.jwk_thumbprint = p_old AND a.status = 'valid' FOR NO KEY UPDATE;
    IF NOT FOUND THEN outcome := 'raced'; RETURN; END IF;
    SELECT a.account_id INTO v_other FROM acme_accounts a WHERE a.profile_id = v_profile AND a.jwk_thumbprint = p_new;
    IF NOT FOUND THEN
        wait_s := acme_rate_take('key_change', p_account, p_per_hour);
        IF wait_s > 0 THEN outcome := 'limited'; PERFORM acme_limit_tell(p_account, 'key_changes_per_hour', wait_s); RETURN; END IF;
        BEGIN
            UPDATE acme_accounts a SET jwk_thumbprint = p_new, jwk_pem = p_pem, updated_at = engine_now()
                WHERE a.account_id = p_account;
        EXCEPTION WHEN unique_violation THEN -- an account was made with it, or changed to it, meanwhile
            SELECT a.account_id INTO v_other FROM acme_accounts a WHERE a.profile_id = v_profile AND a.jwk_thumbprint = p_new;
            IF NOT FOUND THEN outcome := 'raced'; RETURN; END IF; -- and has another key again by now
        END;
    END IF;
    account_id := v_other;
    outcome := CASE WHEN v_other IS NULL THEN 'changed' ELSE 'taken' END;
    IF v_other IS NOT NULL THEN RETURN; END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (acme_actor(p_account), 'User', 'acme_account_key_changed', 'acme_account', p_account,
            jsonb_build_object('old_thumbprint', p_old, 'new_thumbprint', p_new), 'auth');
END $$;

-- Versions of ACME certificates by their serial, 40 digits; CAs outside may have written it shorter.
CREATE FUNCTION acme_versions(p_serial text) RETURNS TABLE (version_id text, certificate_id text, issuer_id text, serial_number text,
    account_id text, profile_id text) LANGUAGE sql STABLE AS $$
    SELECT v.id, v.certificate_id, v.issuer_id, v.serial_number::text, a.account_id, a.profile_id
    FROM issuers i CROSS JOIN LATERAL (SELECT o.id, o.certificate_id, o.issuer_id, o.serial_number FROM certificate_versions o
        WHERE o.issuer_id = i.id AND o.serial_number IN (p_serial, ltrim(p_serial, '0')) LIMIT 2) v
    JOIN acme_certificates a ON a.certificate_id = v.certificate_id
$$;

-- Whether an account has proven, to a worker, that it holds all these names, and still may say so.
CREATE FUNCTION acme_holds_names(p_account text, p_types text[], p_values text[]) RETURNS bool LANGUAGE sql STABLE AS $$
    WITH proven AS MATERIALIZED (
        SELECT DISTINCT z.identifier ->> 'type' AS type, CASE WHEN z.wildcard THEN '*.' ELSE '' END || (z.identifier ->> 'value') AS value
        FROM acme_orders o JOIN acme_authorizations z ON z.order_id = o.order_id
        WHERE o.account_id = p_account AND z.status = 'valid' AND z.expires_at > engine_now()
            -- Those of profiles that trust were valid from the start: nobody tried anything.
            AND EXISTS (SELECT 1 FROM acme_challenges c WHERE c.authz_id = z.authz_id AND c.status = 'valid' AND c.attempts > 0)
    )
    SELECT cardinality(p_types) > 0 AND NOT EXISTS (SELECT 1 FROM unnest(p_types, p_values) AS u (type, value)
        WHERE NOT EXISTS (SELECT 1 FROM proven n WHERE n.type = u.type AND n.value = u.value))
$$;

-- Revokes a certificate of a profile's.  It is known by serial and fingerprint, so that no other with that serial is taken
-- for it.  p_account: who asks, NULL: whoever holds the certificate's own key.  What stands for the certificate now revokes
-- all of it, as an operator does, but no other serial; an older one, or one whose successor is on its way, revokes that serial
-- alone.  Outcomes: revoked, already_revoked, unknown, foreign, expired, held.
CREATE FUNCTION acme_revoke(p_actor text, p_account text, p_profile text, p_serial text, p_fingerprint text, p_types text[], p_values text[],
    p_reason text, p_why text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v record; v_outcome text;
BEGIN
    SELECT f.*, o.not_after INTO v FROM acme_versions(p_serial) f JOIN certificate_versions o ON o.id = f.version_id
        WHERE f.profile_id = p_profile AND o.fingerprint_sha256 = p_fingerprint;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    IF p_account IS NOT NULL AND v.account_id <> p_account AND NOT acme_holds_names(p_account, p_types, p_values) THEN RETURN 'foreign'; END IF;
    IF v.not_after <= v_now THEN RETURN 'expired'; END IF;
    PERFORM 1 FROM managed_certificates c WHERE c.id = v.certificate_id FOR NO KEY UPDATE;
    -- From here on nobody else revokes or replaces it.
    IF EXISTS (SELECT 1 FROM certificate_revocations r WHERE r.issuer_id = v.issuer_id AND r.serial_number = v.serial_number) THEN
        RETURN 'already_revoked';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM certificate_versions n WHERE n.certificate_id = v.certificate_id AND n.id > v.version_id)
        AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = v.certificate_id AND job_issues(j.type) AND job_is_active(j.status)) THEN
        SELECT e.outcome INTO v_outcome FROM certificates_revoke(ARRAY[v.certificate_id], p_reason, p_actor, 'User', p_why, v.version_id) e;
        IF v_outcome IN ('revoked', 'held') THEN RETURN v_outcome; END IF; -- one that was archived is known by its serials alone
    END IF;
    INSERT INTO certificate_revocations (id, certificate_id, serial_number, reason, revoked_by, revoked_at, issuer_id)
        VALUES (id_new('rev'), v.certificate_id, v.serial_number, p_reason, p_actor, v_now, v.issuer_id);
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES (p_actor, 'User', 'certificate_version_revoked', 'certificate', v.certificate_id,
            jsonb_build_object('reason', p_reason, 'serial_numbers', jsonb_build_array(v.serial_number)));
    PERFORM revocations_tell(ARRAY[v.certificate_id]);
    RETURN 'revoked';
END $$;

-- --- renewal information (RFC 9773) ---
-- When the certificates with this serial are to be renewed: from when their policy has it on, for half of what is left then.
-- Now, that is before now, where what was issued is not to be used any longer: it was revoked, an operator asked for a renewal
-- or changed what it is to be, or its CA signs no more.  In plpgsql, so that its plan is kept: making it takes longer than all else.
CREATE FUNCTION acme_renewal_info(p_serial text) RETURNS TABLE (pem text, starts_at timestamptz, ends_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT v.pem_chain, CASE WHEN u.is_urgent THEN greatest(v.not_before, engine_now() - policy_acme_window()) ELSE w.starts_at END,
        CASE WHEN u.is_urgent THEN engine_now() ELSE w.starts_at + (v.not_after - w.starts_at) / 2 END
    FROM acme_versions(p_serial) f JOIN certificate_versions v ON v.id = f.version_id
    JOIN managed_certificates c ON c.id = f.certificate_id JOIN acme_certificates a ON a.certificate_id = f.certificate_id
    JOIN renewal_policies p ON p.id = c.renewal_policy_id JOIN issuers i ON i.id = v.issuer_id
    CROSS JOIN LATERAL (SELECT renew_after_of(c.id, v.not_before, v.not_after, p.renewal_window_days, p.renewal_percent) AS starts_at) w
    CROSS JOIN LATERAL (SELECT c.renewal_wanted IS NOT NULL OR a.renew_asked_at >= v.created_at OR NOT i.enabled
        OR EXISTS (SELECT 1 FROM certificate_revocations r WHERE r.issuer_id = v.issuer_id AND r.serial_number = v.serial_number)
        -- Where all of them leave that CA, a certificate's turn comes with its wave.
        OR EXISTS (SELECT 1 FROM certificate_profiles o WHERE o.id = f.profile_id AND o.issuer_id <> v.issuer_id
            AND NOT EXISTS (SELECT 1 FROM replacements e WHERE e.from_issuer_id = v.issuer_id AND e.to_issuer_id = o.issuer_id
                AND e.state IN ('running', 'paused', 'cancelling') AND c.issuer_id = v.issuer_id))
        OR EXISTS (SELECT 1 FROM ca_certificates ca JOIN certificate_chains h ON h.id = v.chain_id
            WHERE ca.issuer_id = v.issuer_id AND ca.state = 'former' AND ca.chain_pem = h.pem) AS is_urgent) u;
END $$;

-- Certificates that ACME clients renew, among these: nobody else has a key for them, so no job could get a CSR, and what an
-- operator can do is to ask.  The client hears of it when it looks next.  The caller has locked the certificates.  Others give
-- no row.  Outcomes: asked; archived, revoked, in_progress (the client is at it).
CREATE FUNCTION acme_renew_ask(p_ids text[], p_actor text, p_actor_type text, p_is_audited bool) RETURNS TABLE (certificate_id text, outcome text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN QUERY WITH known AS MATERIALIZED (
        SELECT c.id, CASE c.status WHEN 'Archived' THEN 'archived' WHEN 'Revoked' THEN 'revoked' WHEN 'RenewalInProgress' THEN 'in_progress'
            ELSE 'asked' END AS outcome
        FROM unnest(p_ids) AS u (id) JOIN acme_certificates a ON a.certificate_id = u.id JOIN managed_certificates c ON c.id = u.id
    ), asked AS (
        UPDATE acme_certificates a SET renew_asked_at = engine_now() FROM known k WHERE a.certificate_id = k.id AND k.outcome = 'asked'
        RETURNING a.certificate_id AS id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_actor, p_actor_type, 'acme_renewal_asked', 'certificate', n.id, '{}' FROM asked n WHERE p_is_audited
    )
    SELECT k.id, k.outcome FROM known k ORDER BY k.id;
END $$;

-- The serial in a certificate's identifier, 40 digits; the caller has seen that it is one.
CREATE FUNCTION acme_certid_serial(p_certid text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT lpad(ltrim(encode(decode(rpad(translate(s.t, '-_', '+/'), (length(s.t) + 3) / 4 * 4, '='), 'base64'), 'hex'), '0'), 40, '0')
    FROM (SELECT split_part(p_certid, '.', 2) AS t) s
$$;

-- May an order of this account replace that certificate (RFC 9773 section 5)?  Its certificate, if so.  The caller holds the
-- account.  Outcomes: fine, unknown (it is none of the account's), unrelated (no name of it is ordered), replaced (by another order, that
-- did not fail).
CREATE FUNCTION acme_replaces(p_account text, p_certid text, p_values text[], OUT outcome text, OUT certificate_id text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_serial text := acme_certid_serial(p_certid); v_names text[];
BEGIN
    SELECT f.certificate_id, c.sans INTO acme_replaces.certificate_id, v_names FROM acme_versions(v_serial) f
        JOIN managed_certificates c ON c.id = f.certificate_id WHERE f.account_id = p_account ORDER BY f.version_id DESC LIMIT 1;
    outcome := CASE WHEN NOT FOUND THEN 'unknown' WHEN NOT v_names && p_values THEN 'unrelated'
        WHEN EXISTS (SELECT 1 FROM acme_orders o WHERE o.replaces = p_certid AND o.account_id = p_account AND o.status <> 'invalid'
            AND (o.status IN ('processing', 'valid') OR o.expires_at > engine_now())) THEN 'replaced' ELSE 'fine' END;
END $$;
