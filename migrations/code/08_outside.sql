-- CAs outside of our process: the intent before the request leaves, what came of it, and the park of an order that nobody
-- knows anything of.
--
-- A job's checkpoint, while an order of it may exist at the CA:
--   {"state": "placing", "order_reference": ..., "send_before": ..., "limit_ms": ...}
--   {"state": "ordered", "order_id": ..., "ordered_at": ..., "polls": ..., ...}
--                                  the CA has the order of that id: it is polled when run_after says; with "together", by a list
--   {"state": "uncertain", ...}    parked until a person decides
-- Without a checkpoint no order of the job exists.

-- The intent to place the order of a job, committed before the request leaves.  The request must leave before send_before
-- and is over limit_ms later; until then nobody takes the job over, however it is freed, because run_after is set here
-- already and only counts once the job is Pending again.  Outcomes: placing; cancelled (somebody wants it cancelled, or its
-- tick's budget is over: do not send); held (somebody holds its row: likewise).  No row: the job is not under this lease
-- any more.
CREATE FUNCTION issue_placing(p_worker text, p_lease bigint, p_job_id text, p_send_ms int, p_limit_ms int)
RETURNS TABLE (outcome text) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_now timestamptz := clock_timestamp(); v_send_before timestamptz := v_now + ms(p_send_ms);
    v_over timestamptz := v_send_before + ms(p_limit_ms);
BEGIN
    SELECT CASE WHEN l.id IS NULL THEN 'held' WHEN l.cancel_requested_at IS NULL AND l.budget_over_at IS NULL THEN 'placing' ELSE 'cancelled' END
        INTO outcome FROM jobs j LEFT JOIN LATERAL (SELECT o.* FROM jobs o WHERE o.id = j.id AND o.lease_id = p_lease
            AND o.leased_by = p_worker AND o.status = 'Running' FOR NO KEY UPDATE SKIP LOCKED) l ON true
        WHERE j.id = p_job_id AND j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running' AND worker_lives(p_worker);
    IF NOT FOUND THEN RETURN; END IF;
    UPDATE jobs j SET
        checkpoint = jsonb_build_object('state', 'placing', 'order_reference', j.id, 'send_before', v_send_before,
            'limit_ms', p_limit_ms),
        run_after = engine_now() + (v_over - v_now),
        -- Time to look the order up, and to store what came of it.
        attempt_until = v_over + policy_attempt_slack() WHERE j.id = p_job_id AND outcome = 'placing';
    RETURN NEXT;
END $$;

-- Whether the job is under this lease still, whose order is being looked for among all that the CA has; that may take longer
-- than an attempt, and the attempt goes on.  Where somebody holds the job's row it is as long as it was, until the next time.
CREATE FUNCTION issue_looking(p_worker text, p_lease bigint, p_job_id text) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE jobs j SET attempt_until = greatest(j.attempt_until, clock_timestamp() + policy_attempt_slack())
    FROM (SELECT o.id FROM jobs o WHERE o.id = p_job_id AND o.leased_by = p_worker AND o.lease_id = p_lease AND o.status = 'Running'
        FOR NO KEY UPDATE SKIP LOCKED) h WHERE j.id = h.id;
    RETURN EXISTS (SELECT FROM jobs j WHERE j.id = p_job_id AND j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running')
        AND worker_lives(p_worker);
END $$;

-- Stores what the CA issued, by way of issue_complete, whose rules and receipt hold here too: serial and validity are the
-- CA's, not the claim's.
CREATE FUNCTION issue_complete_outside(p_worker text, p_lease bigint, p_job_id text, p_serial text,
    p_not_before timestamptz, p_not_after timestamptz, p_pem text, p_fingerprint text, p_key_algorithm text,
    p_key_size int, p_chain text, p_order_id text, p_ca_certificate_id text) RETURNS TABLE (job_id text, agent_id text, status text) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM jobs_lock(ARRAY[p_job_id]);
    UPDATE jobs j SET serial_number = p_serial, not_before = p_not_before, not_after = p_not_after,
        checkpoint = coalesce(j.checkpoint, '{}') || jsonb_build_object('state', 'issued')
    WHERE j.id = p_job_id AND j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running';
    RETURN QUERY SELECT c.job_id, c.agent_id, c.status FROM issue_complete(p_worker, p_lease, ARRAY[p_job_id], ARRAY[p_pem],
        ARRAY[p_fingerprint], ARRAY[p_key_algorithm], ARRAY[p_key_size], p_chain) c;
    -- By these the CA is told to revoke it; where it is revoked by now, at once.
    UPDATE certificate_versions v SET ca_order_id = p_order_id, ca_certificate_id = p_ca_certificate_id
        FROM jobs j WHERE j.id = p_job_id AND j.status = 'Completed' AND v.id = j.version_id AND v.ca_order_id IS NULL AND v.ca_certificate_id IS NULL
            AND coalesce(p_order_id, p_ca_certificate_id) IS NOT NULL;
    PERFORM renewal_window_expect(j.version_id) FROM jobs j WHERE j.id = p_job_id AND j.status = 'Completed';
    PERFORM revocations_tell(ARRAY[j.certificate_id]) FROM jobs j JOIN certificate_revocations r ON r.issuer_id = j.issuer_id
        AND r.serial_number = j.serial_number AND r.issuer_state IS NULL WHERE j.id = p_job_id AND j.status = 'Completed';
END $$;

-- The key of an issuer's account at its CA, sealed.  Of two workers that made one the first one's stays.
CREATE FUNCTION issuer_account_keep(p_issuer text, p_key_sealed bytea) RETURNS TABLE (key_sealed bytea)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO issuer_accounts (issuer_id, key_sealed) VALUES (p_issuer, p_key_sealed) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
            VALUES ('system', 'System', 'issuer_account_key_created', 'issuer', p_issuer, 'config');
    END IF;
    RETURN QUERY SELECT a.key_sealed FROM issuer_accounts a WHERE a.issuer_id = p_issuer;
END $$;

-- Of an issuer whose configuration is still as it was read, the secrets, sealed anew: members that are sealed, by sealed ones.
CREATE FUNCTION issuer_secrets_reseal(p_issuer text, p_was jsonb, p_secrets jsonb) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE issuers i SET config = i.config || p_secrets WHERE i.id = p_issuer AND i.config = p_was
        AND NOT EXISTS (SELECT FROM jsonb_each(p_secrets) s WHERE NOT (coalesce(i.config -> s.key, '{}') ?& '{cms,to}' AND s.value ?& '{cms,to}'));
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        SELECT 'system', 'System', 'issuer_secrets_resealed', 'issuer', p_issuer, jsonb_build_object('secrets', jsonb_agg(s.key ORDER BY s.key)), 'config'
        FROM jsonb_each(p_secrets) s;
    RETURN true;
END $$;
