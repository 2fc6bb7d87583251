-- What comes of the validations of challenges (RFC 8555 section 7.1.6): docs/operator/acme-validation.md.
--
-- Locks: order, its authorization, its challenge, then the task.

-- Whether a challenge is to be tried: nobody has decided of it, its authorization or its order, and their time is not over.
CREATE FUNCTION acme_challenge_is_open(p_challenge text, p_authz text, p_order text, p_ends timestamptz) RETURNS bool
LANGUAGE sql STABLE AS $$
    SELECT p_challenge = 'processing' AND p_authz = 'pending' AND p_order = 'pending' AND p_ends > engine_now()
$$;

-- A try of the worker's task: valid; failed, with the challenge's error and the order's as problem documents; moot: it was
-- not to be tried.  p_result and p_ms, for the numbers: valid or the type of the error, and how long it took.  p_resolver: why
-- no name server answered the worker, empty where one did, NULL where none was asked.  One that failed is put off to the next try, the last one fails authorization and order.  What it is now:
-- processing, valid, invalid, or moot where somebody has decided meanwhile; no row: the task is not this worker's.
CREATE FUNCTION acme_challenge_end(p_worker text, p_lease bigint, p_task text, p_outcome text, p_error jsonb, p_order_error jsonb,
    p_result text, p_ms bigint, p_resolver text)
RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v record; v_status text;
BEGIN
    PERFORM words_check(ARRAY[p_outcome], '{valid,failed,moot}', ARRAY[p_task]);
    PERFORM 1 FROM tasks t JOIN acme_challenges c ON c.challenge_id = t.subject JOIN acme_authorizations z ON z.authz_id = c.authz_id
        JOIN acme_orders o ON o.order_id = z.order_id WHERE t.id = p_task FOR NO KEY UPDATE OF o;
    PERFORM 1 FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running' FOR UPDATE;
    IF NOT FOUND THEN RETURN; END IF;
    -- By another statement: they are as they are now that the order is held.
    SELECT c.challenge_id, c.type, c.attempts + 1 AS tries, z.authz_id, z.identifier ->> 'value' AS name, o.order_id, o.account_id,
            acme_challenge_is_open(c.status, z.status, o.status, least(z.expires_at, o.expires_at)) AS is_open INTO v
        FROM tasks t JOIN acme_challenges c ON c.challenge_id = t.subject JOIN acme_authorizations z ON z.authz_id = c.authz_id
        JOIN acme_orders o ON o.order_id = z.order_id WHERE t.id = p_task;
    v_status := CASE WHEN p_outcome = 'moot' OR v.is_open IS NOT TRUE THEN 'moot' WHEN p_outcome = 'valid' THEN 'valid'
        WHEN v.tries < policy_acme_tries() THEN 'processing' ELSE 'invalid' END;
    IF v_status = 'processing' THEN
        UPDATE tasks t SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
            run_after = v_now + jittered(back_off(policy_acme_retry(), policy_acme_retry_most(), v.tries - 1)) WHERE t.id = p_task;
    ELSE
        DELETE FROM tasks t WHERE t.id = p_task;
    END IF;
    IF v_status <> 'moot' THEN
        PERFORM stats_acme_validation(v.type, p_result, p_ms);
        UPDATE acme_challenges c SET status = v_status, attempts = v.tries, error = CASE WHEN p_outcome = 'failed' THEN p_error END,
            validated_at = CASE WHEN p_outcome = 'valid' THEN v_now END WHERE c.challenge_id = v.challenge_id;
    END IF;
    IF v_status IN ('valid', 'invalid') THEN
        UPDATE acme_authorizations z SET status = v_status, updated_at = v_now WHERE z.authz_id = v.authz_id;
        UPDATE acme_orders o SET status = CASE v_status WHEN 'valid' THEN 'ready' ELSE 'invalid' END, updated_at = v_now,
            error = CASE WHEN v_status = 'invalid' THEN p_order_error END
        WHERE o.order_id = v.order_id AND (v_status = 'invalid' OR NOT EXISTS (SELECT 1 FROM acme_authorizations z
            WHERE z.order_id = v.order_id AND z.status <> 'valid'));
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        VALUES ('acme:' || v.account_id, 'System', 'acme_challenge_completed', 'acme_challenge', v.challenge_id, jsonb_strip_nulls(jsonb_build_object(
            'authz_id', v.authz_id, 'order_id', v.order_id, 'identifier', v.name, 'type', v.type, 'status', v_status,
            'tries', v.tries, 'error', CASE WHEN v_status = 'invalid' THEN p_error END)));
    END IF;
    UPDATE workers w SET resolver_why = p_resolver, resolver_failed_at = CASE WHEN p_resolver <> '' THEN v_now END,
        resolver_since = CASE WHEN p_resolver <> '' THEN coalesce(w.resolver_since, v_now) END
        WHERE w.incarnation = p_worker AND (p_resolver <> '' OR p_resolver = '' AND w.resolver_why <> '');
    RETURN NEXT v_status;
END $$;

-- Challenges whose task was given up, as its workers died with it, are invalid, and with them their orders: nobody looks
-- at them again.
CREATE FUNCTION acme_challenges_give_up(p_limit int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_error jsonb := jsonb_build_object('why', 'given_up'); v_tasks text[]; v_n bigint;
BEGIN
    SELECT array_agg(l.id) INTO v_tasks FROM (SELECT t.id FROM tasks t JOIN acme_challenges c ON c.challenge_id = t.subject
        JOIN acme_authorizations z ON z.authz_id = c.authz_id JOIN acme_orders o ON o.order_id = z.order_id
        WHERE t.status = 'Failed' AND t.kind = 'acme_validate' ORDER BY o.order_id LIMIT p_limit FOR NO KEY UPDATE OF o SKIP LOCKED) l;
    -- By another statement: they are as they are now that the orders are held.
    WITH given_up AS (
        DELETE FROM tasks t WHERE t.status = 'Failed' AND t.kind = 'acme_validate' AND (t.id = ANY (v_tasks)
            OR NOT EXISTS (SELECT 1 FROM acme_challenges c WHERE c.challenge_id = t.subject)) RETURNING t.subject
    ), known AS MATERIALIZED (
        SELECT c.challenge_id, c.type, c.attempts, z.authz_id, z.identifier ->> 'value' AS name, o.order_id, o.account_id
        FROM given_up g JOIN acme_challenges c ON c.challenge_id = g.subject JOIN acme_authorizations z ON z.authz_id = c.authz_id
        JOIN acme_orders o ON o.order_id = z.order_id
        WHERE acme_challenge_is_open(c.status, z.status, o.status, least(z.expires_at, o.expires_at))
    ), challenges AS (
        UPDATE acme_challenges c SET status = 'invalid', error = v_error FROM known k WHERE c.challenge_id = k.challenge_id
    ), authorizations AS (
        UPDATE acme_authorizations z SET status = 'invalid', updated_at = v_now FROM known k WHERE z.authz_id = k.authz_id
    ), orders AS (
        UPDATE acme_orders o SET status = 'invalid', updated_at = v_now, error = v_error FROM known k WHERE o.order_id = k.order_id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT acme_actor(k.account_id), 'System', 'acme_challenge_completed', 'acme_challenge', k.challenge_id, jsonb_build_object(
            'authz_id', k.authz_id, 'order_id', k.order_id, 'identifier', k.name, 'type', k.type, 'status', 'invalid',
            'tries', k.attempts, 'error', v_error) FROM known k
    )
    SELECT count(*) INTO v_n FROM given_up;
    RETURN v_n;
END $$;
