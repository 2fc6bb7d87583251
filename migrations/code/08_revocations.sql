-- Telling the CAs outside of our process what was revoked.
--
-- A revocation of what such a CA issued is a row with issuer_state and a task of kind ca_revoke, both written by the
-- transaction that revokes.  A worker tells the CA, again and again with back-off, until it confirms; that it was told before
-- does no harm.  issuer_state:
--   waiting    the CA was not told yet, or did not say
--   pending    it works on it, and is asked again
--   refused    it said no, and is asked again
--   by_hand    it cannot be told from here
--   confirmed  it is revoked there (issuer_notified)

-- In the transaction that revokes these certificates.
CREATE FUNCTION revocations_tell(p_certificates text[]) RETURNS void LANGUAGE sql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH told AS (
        UPDATE certificate_revocations r SET issuer_state = 'waiting'
        FROM unnest(p_certificates) AS u (id) JOIN certificate_versions v ON v.certificate_id = u.id JOIN issuers i ON i.id = v.issuer_id
        WHERE r.issuer_id = v.issuer_id AND r.serial_number = v.serial_number AND r.issuer_state IS NULL AND i.type <> 'GenericCA'
        RETURNING r.id, r.issuer_id)
    INSERT INTO tasks (id, kind, subject, dedupe_key, issuer_id)
    SELECT id_new('task'), 'ca_revoke', t.id, 'ca_revoke:' || t.id, t.issuer_id FROM told t
$$;

-- What a task of these is to tell.  Outcomes: go; later (the issuer's lane does not let it through: it was put off, and
-- nothing counted).  As many of a lane's as its cap go at once, beside its jobs, by its rate and breaker.  No row: the
-- task is not under this lease any more.
CREATE FUNCTION revocation_begin(p_worker text, p_lease bigint, p_task text) RETURNS TABLE (outcome text, type text, config text,
    certificate_id text, order_id text, serial_number text, pem text, reason text, was_pending bool)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_task tasks;
BEGIN
    SELECT t.* INTO v_task FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease
        AND t.status = 'Running' AND worker_lives(p_worker);
    IF NOT FOUND THEN RETURN; END IF;
    IF task_enters_lane(v_task, 1, true) = 0 THEN
        outcome := 'later';
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'go', i.type::text, coalesce(i.config, '{}')::text, coalesce(v.ca_certificate_id, ''), coalesce(v.ca_order_id, ''),
        lower(r.serial_number), coalesce(v.pem_chain, ''), r.reason::text, r.issuer_state = 'pending'
    FROM certificate_revocations r JOIN issuers i ON i.id = r.issuer_id
    LEFT JOIN certificate_versions v ON v.issuer_id = r.issuer_id AND v.serial_number = r.serial_number WHERE r.id = v_task.subject;
END $$;

-- What it came to.  p_outcome: confirmed, by_hand, pending, refused as issuer_state has them; silent (the CA did not say: a
-- failure of its lane); unable (nothing was sent).  But for the first two it is tried again, no sooner than p_wait_ms.  Another
-- word is refused.  What changed is told of once.
CREATE FUNCTION revocation_end(p_worker text, p_lease bigint, p_task text, p_outcome text, p_said text, p_wait_ms bigint) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_task tasks; v_state text := CASE WHEN p_outcome IN ('silent', 'unable') THEN 'waiting' ELSE p_outcome END;
BEGIN
    PERFORM words_check(ARRAY[p_outcome], '{confirmed,by_hand,pending,refused,silent,unable}', ARRAY[p_task]);
    IF p_outcome = 'silent' THEN
        PERFORM lane_failed(t.issuer_id, p_lease, p_said) FROM tasks t WHERE t.id = p_task;
    ELSIF p_outcome IN ('confirmed', 'pending') THEN
        PERFORM lane_succeeded(l.issuer_id) FROM lanes l JOIN tasks t ON t.issuer_id = l.issuer_id
            WHERE t.id = p_task AND (l.failures > 0 OR l.breaker_state <> 'closed');
    END IF;
    SELECT t.* INTO v_task FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease
        AND t.status = 'Running' FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    IF v_state IN ('confirmed', 'by_hand') THEN
        DELETE FROM tasks t WHERE t.id = p_task;
    ELSE
        UPDATE tasks t SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL, attempts = t.attempts + 1,
            last_error = p_said, run_after = v_now + greatest(ms(p_wait_ms),
                jittered(back_off(policy_task_first(), policy_task_most(), t.attempts))) WHERE t.id = p_task;
    END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
    SELECT p_worker, 'System', 'certificate_revocation_' || v_state, 'certificate', coalesce(r.certificate_id, ''),
        jsonb_build_object('issuer_id', r.issuer_id, 'serial_number', r.serial_number, 'said', p_said)
    FROM certificate_revocations r WHERE r.id = v_task.subject AND r.issuer_state <> v_state AND v_state <> 'waiting';
    UPDATE certificate_revocations r SET issuer_state = v_state, issuer_said = nullif(p_said, ''), issuer_notified = v_state = 'confirmed'
        WHERE r.id = v_task.subject;
    RETURN true;
END $$;
