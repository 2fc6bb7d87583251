-- The ACME server's accounts, nonces and rates.

-- Who did what an ACME account did, in the audit trail.
CREATE FUNCTION acme_actor(p_account text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'acme:' || p_account $$;

-- The keys by which nonces are known, the newest first, which is the one to issue by; made where there is none that is young.
-- Two processes at once make two, and both serve.
CREATE FUNCTION acme_nonce_keys_live() RETURNS TABLE (id text, key text) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM acme_nonce_keys k WHERE k.made_at > now() - policy_acme_nonce_key()) THEN
        INSERT INTO acme_nonce_keys (id, key) VALUES (encode(gen_random_bytes(8), 'hex'), gen_random_bytes(32));
    END IF;
    RETURN QUERY SELECT k.id, encode(k.key, 'hex') FROM acme_nonce_keys k ORDER BY k.made_at DESC, k.id LIMIT 8;
END $$;

-- One of p_per_hour tokens, of which an hour gives as many and no more are kept: 0, or the seconds until there is one.  No rate
-- where p_per_hour is 0.
CREATE FUNCTION acme_rate_take(p_kind text, p_subject text, p_per_hour int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_rate float8 := p_per_hour / extract(epoch FROM policy_acme_rate()); v_tokens float8;
BEGIN
    IF p_per_hour <= 0 THEN RETURN 0; END IF;
    INSERT INTO acme_buckets AS b (kind, subject, tokens, at) VALUES (p_kind, p_subject, p_per_hour - 1, clock_timestamp())
    ON CONFLICT (kind, subject) DO UPDATE SET at = greatest(b.at, excluded.at),
        tokens = least(p_per_hour, b.tokens + v_rate * greatest(0, extract(epoch FROM excluded.at - b.at))) - 1
    RETURNING b.tokens INTO v_tokens;
    IF v_tokens >= 0 THEN RETURN 0; END IF;
    UPDATE acme_buckets b SET tokens = b.tokens + 1 WHERE b.kind = p_kind AND b.subject = p_subject; -- none was there to take
    RETURN ceil(-v_tokens / v_rate);
END $$;

-- The account of this key, made where there is none.  Outcomes: created, found, bound (p_eab is no key of the profile any more,
-- or another account has it).
CREATE FUNCTION acme_account_create(p_profile text, p_thumbprint text, p_pem text, p_contact text[], p_agreed bool, p_eab text,
    OUT outcome text, OUT account_id text, OUT status text, OUT contact text[]) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_owner text;
BEGIN
    IF p_eab IS NOT NULL THEN
        SELECT k.owner_id INTO v_owner FROM acme_eab_keys k WHERE k.key_id = p_eab AND k.profile_id = p_profile AND k.account_id IS NULL
            AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > engine_now()) FOR NO KEY UPDATE;
        IF NOT FOUND THEN outcome := 'bound'; END IF;
    END IF;
    IF outcome IS NULL THEN
        INSERT INTO acme_accounts AS a (account_id, jwk_thumbprint, jwk_pem, contact, profile_id, owner_id, terms_agreed_at, eab_key_id)
            VALUES (id_new('acct'), p_thumbprint, p_pem, p_contact, p_profile, v_owner, CASE WHEN p_agreed THEN engine_now() END, p_eab)
            ON CONFLICT (profile_id, jwk_thumbprint) DO NOTHING RETURNING a.account_id, a.status, a.contact INTO account_id, status, contact;
        IF FOUND THEN
            outcome := 'created';
            UPDATE acme_eab_keys k SET account_id = acme_account_create.account_id WHERE k.key_id = p_eab;
            INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
                VALUES (acme_actor(account_id), 'User', 'acme_account_created', 'acme_account', account_id,
                    jsonb_strip_nulls(jsonb_build_object('profile_id', p_profile, 'thumbprint', p_thumbprint, 'eab_key_id', p_eab,
                        'terms_agreed', p_agreed)), 'auth');
            RETURN;
        END IF;
    END IF;
    SELECT 'found', a.account_id, a.status, a.contact INTO outcome, account_id, status, contact
        FROM acme_accounts a WHERE a.profile_id = p_profile AND a.jwk_thumbprint = p_thumbprint;
    outcome := coalesce(outcome, 'bound');
END $$;

-- A new contact (NULL: as it is), or the account's end, whose open orders end with it.  A row: of an account that was valid.
CREATE FUNCTION acme_account_update(p_account text, p_contact text[], p_deactivate bool, p_actor text, p_actor_type text)
RETURNS TABLE (status text, contact text[]) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE acme_accounts a SET contact = coalesce(p_contact, a.contact), updated_at = engine_now(),
        status = CASE WHEN p_deactivate THEN 'deactivated' ELSE a.status END
        WHERE a.account_id = p_account AND a.status = 'valid' RETURNING a.status, a.contact INTO status, contact;
    IF NOT FOUND THEN RETURN; END IF;
    IF p_deactivate THEN
        UPDATE acme_orders o SET status = 'invalid', updated_at = engine_now(), error = '{"why": "deactivated"}'
            FROM (SELECT l.order_id FROM acme_orders l WHERE l.account_id = p_account AND l.status IN ('pending', 'ready')
                ORDER BY l.order_id FOR NO KEY UPDATE) l WHERE o.order_id = l.order_id;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (p_actor, p_actor_type, CASE WHEN p_deactivate THEN 'acme_account_deactivated' ELSE 'acme_account_updated' END,
            'acme_account', p_account, '{}', 'auth');
    RETURN NEXT;
END $$;
