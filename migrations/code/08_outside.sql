-- CAs outside of our process: the intent before the request leaves, what came
-- of it, and the park of an order that nobody knows anything of.
--
-- A job's checkpoint, while an order of it may exist at the CA:
--   {"state": "placing", "order_reference": ..., "send_before": ..., "limit_ms": ...}
--   {"state": "uncertain", ...}    parked until a person decides
-- Without a checkpoint no order of the job exists.

-- The intent to place the order of a job, committed before the request leaves.  The request must
-- leave before send_before and is over limit_ms later; until then nobody takes the job over,
-- however it is freed, because run_after is set here already and only counts once the job is
-- Pending again.  Outcomes: placing; cancelled (somebody wants it cancelled, or its tick's budget
-- is over: do not send).  No row: the job is not under this lease any more.
CREATE FUNCTION issue_placing(p_worker text, p_lease bigint, p_job_id text, p_send_ms int, p_limit_ms int)
RETURNS TABLE (outcome text) LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_send_before timestamptz := v_now + ms(p_send_ms);
    v_over timestamptz := v_send_before + ms(p_limit_ms);
    v_cancelled bool;
BEGIN
    SELECT j.cancel_requested_at IS NOT NULL OR j.budget_over_at IS NOT NULL INTO v_cancelled FROM jobs j
        WHERE j.id = p_job_id AND j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running'
            AND EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.lease_until > v_now)
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_cancelled THEN
        RETURN QUERY SELECT 'cancelled';
        RETURN;
    END IF;
    UPDATE jobs j SET
        checkpoint = jsonb_build_object('state', 'placing', 'order_reference', j.id, 'send_before', v_send_before,
            'limit_ms', p_limit_ms),
        run_after = engine_now() + (v_over - v_now),
        -- Time to look the order up, and to store what came of it.
        attempt_until = v_over + policy_attempt_slack()
    WHERE j.id = p_job_id;
    RETURN QUERY SELECT 'placing';
END $$;

-- Stores what the CA issued, by way of issue_complete, whose rules and receipt
-- hold here too: serial and validity are the CA's, not the claim's.
CREATE FUNCTION issue_complete_outside(p_worker text, p_lease bigint, p_job_id text, p_serial text,
    p_not_before timestamptz, p_not_after timestamptz, p_pem text, p_fingerprint text, p_key_algorithm text,
    p_key_size int, p_chain text) RETURNS TABLE (job_id text, agent_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    PERFORM jobs_lock(ARRAY[p_job_id]);
    UPDATE jobs j SET serial_number = p_serial, not_before = p_not_before, not_after = p_not_after,
        checkpoint = coalesce(j.checkpoint, '{}') || jsonb_build_object('state', 'issued')
    WHERE j.id = p_job_id AND j.leased_by = p_worker AND j.lease_id = p_lease AND j.status = 'Running';
    RETURN QUERY SELECT c.job_id, c.agent_id FROM issue_complete(p_worker, p_lease, ARRAY[p_job_id], ARRAY[p_pem],
        ARRAY[p_fingerprint], ARRAY[p_key_algorithm], ARRAY[p_key_size], p_chain) c;
END $$;

-- Jobs that got no certificate: the outcomes of issue_set_aside, and
--   wrong      the CA sent a certificate that is not the one asked for: Failed,
--              and a failure of the lane
--   uncertain  an order may exist and nobody can say; a failure of the lane,
--              and the job waits for a person, who reads in last_error what to do
-- p_open names the jobs of which an order may exist still: they keep their
-- checkpoint, so that the next attempt looks it up first.
CREATE FUNCTION issue_outside_set_aside(p_worker text, p_lease bigint, p_job_ids text[], p_outcomes text[],
    p_errors text[], p_open text[]) RETURNS TABLE (job_id text, status text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    v_parked text[];
    v_issuer text; v_why text;
    v_ids text[]; v_outcomes text[]; v_errors text[];
BEGIN
    PERFORM words_check(p_outcomes, '{fail,retry,refuse,release,cancel,wrong,uncertain}', p_job_ids);
    PERFORM jobs_lock(p_job_ids);
    SELECT min(j.issuer_id), min(o.error) INTO v_issuer, v_why
        FROM unnest(p_job_ids, p_outcomes, p_errors) AS o (id, outcome, error)
        JOIN jobs j ON j.id = o.id
        WHERE o.outcome IN ('wrong', 'uncertain') AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running';
    WITH parked AS (
        UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL, budget_over_at = NULL,
            run_after = 'infinity', last_error = o.error,
            checkpoint = coalesce(j.checkpoint, '{}') || jsonb_build_object('state', 'uncertain')
        FROM unnest(p_job_ids, p_outcomes, p_errors) AS o (id, outcome, error)
        WHERE j.id = o.id AND o.outcome = 'uncertain' AND j.lease_id = p_lease AND j.leased_by = p_worker
            AND j.status = 'Running'
        RETURNING j.id, j.certificate_id, j.last_error
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT p_worker, 'System', 'renewal_job_order_uncertain', 'certificate', coalesce(k.certificate_id, ''),
            jsonb_build_object('job_id', k.id, 'error', k.last_error)
        FROM parked k
    )
    SELECT array_agg(k.id) INTO v_parked FROM parked k;
    UPDATE jobs j SET checkpoint = NULL
        WHERE j.id = ANY (p_job_ids) AND j.id <> ALL (p_open) AND j.checkpoint IS NOT NULL
            AND j.lease_id = p_lease AND j.leased_by = p_worker AND j.status = 'Running';
    SELECT array_agg(o.id), array_agg(CASE o.outcome WHEN 'wrong' THEN 'fail' ELSE o.outcome END), array_agg(o.error) INTO v_ids, v_outcomes, v_errors
        FROM unnest(p_job_ids, p_outcomes, p_errors) AS o (id, outcome, error) WHERE o.outcome <> 'uncertain';
    IF v_ids IS NOT NULL THEN
        RETURN QUERY SELECT s.job_id, s.status FROM issue_set_aside(p_worker, p_lease, v_ids, v_outcomes, v_errors) s;
    END IF;
    IF v_issuer IS NOT NULL THEN
        PERFORM lane_failed(v_issuer, p_lease, v_why);
    END IF;
    RETURN QUERY SELECT j.id, j.status::text FROM jobs j WHERE j.id = ANY (v_parked);
END $$;
