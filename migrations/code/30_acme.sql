-- The ACME server's accounts, nonces and rates.

-- Who did what an ACME account did, in the audit trail.
CREATE FUNCTION acme_actor(p_account text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'acme:' || p_account $$;

-- The renewal policy of what ACME clients obtain where their profile names none; NULL: an operator deleted it.  In plpgsql, so
-- that its plan is kept: every signed request asks, and making the plan took as long as all else that is asked for one.
CREATE FUNCTION acme_policy_default() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT p.id FROM renewal_policies p WHERE p.is_acme_default);
END $$;

-- The keys by which nonces are known, the newest first, which is the one to issue by; made where there is none that is young.
-- Whoever comes second while one is made takes that one: with more than are read, some would issue by one that others do not know.
CREATE FUNCTION acme_nonce_keys_live() RETURNS TABLE (id text, key text) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM acme_nonce_keys k WHERE k.made_at > now() - policy_acme_nonce_key()) THEN
        LOCK TABLE acme_nonce_keys IN SHARE ROW EXCLUSIVE MODE;
        -- By another statement, which sees what was made while this one waited.
        INSERT INTO acme_nonce_keys (id, key) SELECT encode(gen_random_bytes(8), 'hex'), gen_random_bytes(32)
            WHERE NOT EXISTS (SELECT 1 FROM acme_nonce_keys k WHERE k.made_at > now() - policy_acme_nonce_key());
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

-- What a key of external account binding is: active, or why it admits nobody.
CREATE FUNCTION acme_eab_state(p_revoked_at timestamptz, p_uses bigint, p_reusable bool, p_expires_at timestamptz, p_now timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_revoked_at IS NOT NULL THEN 'revoked' WHEN p_uses > 0 AND NOT p_reusable THEN 'used'
        WHEN p_expires_at <= p_now THEN 'expired' ELSE 'active' END
$$;

-- A limit refused what an account asked for: the trail has the first such events of an hour, for a client that asks on and on
-- shall not fill it.
CREATE FUNCTION acme_limit_tell(p_account text, p_limit text, p_wait_s bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF acme_rate_take('told', p_limit || ' ' || p_account, policy_acme_told()) > 0 THEN RETURN; END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (acme_actor(p_account), 'User', 'acme_limited', 'acme_account', p_account,
            jsonb_build_object('limit', p_limit, 'wait_s', p_wait_s), 'auth');
END $$;

-- The account of this key, made where there is none.  p_eab: the key of the external account that admits it, or NULL.  Outcomes:
-- created, found; eab_unknown, eab_foreign (of another profile), or eab_ and its state, where it admits nobody.
CREATE FUNCTION acme_account_create(p_profile text, p_thumbprint text, p_pem text, p_contact text[], p_agreed bool, p_eab text,
    OUT outcome text, OUT account_id text, OUT status text, OUT contact text[]) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_key acme_eab_keys; v_word text := 'active';
BEGIN
    IF p_eab IS NOT NULL THEN
        -- Who comes second waits here, and has the row as the first has left it.
        SELECT k.* INTO v_key FROM acme_eab_keys k WHERE k.key_id = p_eab FOR NO KEY UPDATE;
        v_word := CASE WHEN v_key.key_id IS NULL THEN 'unknown' WHEN v_key.profile_id <> p_profile THEN 'foreign'
            ELSE acme_eab_state(v_key.revoked_at, v_key.uses, v_key.reusable, v_key.expires_at, engine_now()) END;
    END IF;
    IF v_word = 'active' THEN
        INSERT INTO acme_accounts AS a (account_id, jwk_thumbprint, jwk_pem, contact, profile_id, owner_id, terms_agreed_at, eab_key_id)
            VALUES (id_new('acct'), p_thumbprint, p_pem, p_contact, p_profile, v_key.owner_id, CASE WHEN p_agreed THEN engine_now() END, p_eab)
            ON CONFLICT (profile_id, jwk_thumbprint) DO NOTHING RETURNING a.account_id, a.status, a.contact INTO account_id, status, contact;
        IF FOUND THEN
            outcome := 'created';
            INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
                VALUES (acme_actor(account_id), 'User', 'acme_account_created', 'acme_account', account_id,
                    jsonb_strip_nulls(jsonb_build_object('profile_id', p_profile, 'thumbprint', p_thumbprint, 'eab_key_id', p_eab,
                        'terms_agreed', p_agreed)), 'auth');
            IF p_eab IS NOT NULL THEN PERFORM acme_eab_use(p_eab, account_id, p_profile); END IF;
            RETURN;
        END IF;
    END IF;
    SELECT 'found', a.account_id, a.status, a.contact INTO outcome, account_id, status, contact
        FROM acme_accounts a WHERE a.profile_id = p_profile AND a.jwk_thumbprint = p_thumbprint;
    outcome := coalesce(outcome, 'eab_' || v_word);
END $$;

-- A key, which the caller holds, has admitted that account.  What admits nobody else is no secret that is kept.
CREATE FUNCTION acme_eab_use(p_id text, p_account text, p_profile text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE acme_eab_keys k SET uses = k.uses + 1, used_at = engine_now(), account_id = p_account,
        hmac_sealed = CASE WHEN k.reusable THEN k.hmac_sealed ELSE '' END WHERE k.key_id = p_id;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (acme_actor(p_account), 'User', 'acme_eab_key_used', 'acme_eab_key', p_id,
            jsonb_build_object('account_id', p_account, 'profile_id', p_profile), 'auth');
$$;

-- What is not finalized of an account that has ended ends with it.
CREATE FUNCTION acme_account_orders_end(p_account text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE acme_orders o SET status = 'invalid', updated_at = engine_now(), error = '{"why": "account_ended"}'
    FROM (SELECT l.order_id FROM acme_orders l WHERE l.account_id = p_account AND l.status IN ('pending', 'ready')
        ORDER BY l.order_id FOR NO KEY UPDATE) l WHERE o.order_id = l.order_id
$$;

-- A new contact (NULL: as it is), or the account's end, whose open orders end with it.  A row: of an account that was valid.
CREATE FUNCTION acme_account_update(p_account text, p_contact text[], p_deactivate bool, p_actor text, p_actor_type text)
RETURNS TABLE (status text, contact text[]) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE acme_accounts a SET contact = coalesce(p_contact, a.contact), updated_at = engine_now(),
        status = CASE WHEN p_deactivate THEN 'deactivated' ELSE a.status END
        WHERE a.account_id = p_account AND a.status = 'valid' RETURNING a.status, a.contact INTO status, contact;
    IF NOT FOUND THEN RETURN; END IF;
    IF p_deactivate THEN PERFORM acme_account_orders_end(p_account); END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (p_actor, p_actor_type, CASE WHEN p_deactivate THEN 'acme_account_deactivated' ELSE 'acme_account_updated' END,
            'acme_account', p_account, '{}', 'auth');
    RETURN NEXT;
END $$;

-- An operator ends an account (RFC 8555 section 7.1.2).  What was finalized goes on, what was issued stays.  Outcomes: revoked,
-- ended (it was before; status says how), unknown.
CREATE FUNCTION acme_account_revoke(p_account text, p_actor text, p_actor_type text, p_why text, OUT outcome text, OUT status text)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    SELECT a.status INTO acme_account_revoke.status FROM acme_accounts a WHERE a.account_id = p_account FOR NO KEY UPDATE;
    outcome := CASE WHEN NOT FOUND THEN 'unknown' WHEN status <> 'valid' THEN 'ended' ELSE 'revoked' END;
    IF outcome <> 'revoked' THEN RETURN; END IF;
    status := 'revoked';
    UPDATE acme_accounts a SET status = 'revoked', updated_at = engine_now() WHERE a.account_id = p_account;
    PERFORM acme_account_orders_end(p_account);
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES (p_actor, p_actor_type, 'acme_account_revoked', 'acme_account', p_account,
            jsonb_strip_nulls(jsonb_build_object('reason', nullif(p_why, ''))), 'auth');
END $$;
