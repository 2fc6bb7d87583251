-- The queue of tasks, all kinds in one.

-- Whether a task is due, and how many leases of tasks are running.  In plpgsql, so that its plan is kept.
CREATE FUNCTION tasks_due(p_low_after timestamptz, p_low_id text, p_low_lease bigint)
RETURNS TABLE (due bool, running bigint, first_after timestamptz, first_id text, low_lease bigint)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
SET plan_cache_mode = force_generic_plan AS $$ BEGIN
    RETURN QUERY SELECT f.id IS NOT NULL, r.n, f.run_after, f.id, r.low
    FROM (SELECT count(DISTINCT t.lease_id) AS n, min(t.lease_id) AS low FROM tasks t
        WHERE t.status = 'Running' AND t.lease_id >= p_low_lease) r
    LEFT JOIN (SELECT t.id, t.run_after FROM tasks t
        WHERE t.status = 'Pending' AND t.run_after <= (SELECT engine_now()) AND (t.run_after, t.id) >= (p_low_after, p_low_id)
        ORDER BY t.run_after, t.id LIMIT 1) f ON true;
END $$;

-- Hands due tasks of one kind to a worker, as jobs_claim does jobs.  A kind that ends in one statement for all of a lease
-- gains by many, or one of many short calls; another that calls out is alone, so that it is not kept by its neighbours.
-- claimed is 0 where there is nothing to have; no row: it is not for this worker.
CREATE FUNCTION tasks_claim(p_incarnation text, p_term bigint, p_worker text, p_limit int, p_low_after timestamptz,
    p_low_id text, p_attempt_ms int) RETURNS TABLE (lease_id bigint, claimed bigint, last_after timestamptz, last_id text, is_full bool)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    v_now timestamptz := engine_now(); v_lease bigint; v_kind text; v_limit int;
    v_rows tid[]; v_ids text[]; v_afters timestamptz[]; v_n bigint;
BEGIN
    PERFORM leadership_check(p_term, p_incarnation);
    IF NOT worker_lives(p_worker) THEN RETURN; END IF;
    SELECT q.kind INTO v_kind FROM tasks q
        WHERE q.status = 'Pending' AND q.run_after <= v_now AND (q.run_after, q.id) >= (p_low_after, p_low_id)
        ORDER BY q.run_after, q.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
    v_limit := least(p_limit, CASE v_kind WHEN 'noop' THEN policy_noop_batch() WHEN 'acme_validate' THEN policy_acme_batch() ELSE 1 END);
    -- The rows are locked, so they stay where they are.
    SELECT array_agg(l.ctid), array_agg(l.id), array_agg(l.run_after) INTO v_rows, v_ids, v_afters
    FROM (SELECT k.ctid, k.id, k.run_after, bool_or(k.kind <> v_kind) OVER (ORDER BY k.run_after, k.id) AS is_behind
        FROM (SELECT q.ctid, q.id, q.run_after, q.kind FROM tasks q
            WHERE q.status = 'Pending' AND q.run_after <= v_now AND (q.run_after, q.id) >= (p_low_after, p_low_id)
            ORDER BY q.run_after, q.id LIMIT v_limit FOR NO KEY UPDATE SKIP LOCKED) k) l WHERE NOT l.is_behind;
    IF v_rows IS NULL THEN
        RETURN QUERY SELECT NULL::bigint, 0::bigint, p_low_after, p_low_id, false; -- there is none
        RETURN;
    END IF;
    v_lease := nextval('lease_seq');
    UPDATE tasks t SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
        attempt_until = clock_timestamp() + ms(p_attempt_ms), deliveries = t.deliveries + 1
    WHERE t.ctid = ANY (v_rows);
    v_n := cardinality(v_ids);
    -- A worker that is given nothing rests for a while: where there is one task and no more, it is not to be sent for more.
    RETURN QUERY SELECT v_lease, v_n, v_afters[v_n], v_ids[v_n], v_n = v_limit AND EXISTS (SELECT 1 FROM tasks q
        WHERE q.status = 'Pending' AND q.run_after <= v_now AND (q.run_after, q.id) > (v_afters[v_n], v_ids[v_n])
        ORDER BY q.run_after, q.id LIMIT 1);
END $$;

-- The end of tasks that leave nothing behind, all of a lease in one statement.  What somebody holds is freed with the
-- lease.  By a hash: a worker's session would compare each task of the lease with each id.
CREATE FUNCTION tasks_done(p_worker text, p_lease bigint, p_ids text[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_hashjoin = on AS $$
    WITH done AS (
        DELETE FROM tasks t WHERE t.ctid IN (SELECT o.ctid FROM unnest(p_ids) AS u (id) JOIN tasks o ON o.id = u.id
            WHERE o.lease_id = p_lease AND o.leased_by = p_worker AND o.status = 'Running' FOR UPDATE OF o SKIP LOCKED)
        RETURNING 1)
    SELECT count(*) FROM done
$$;

-- What the test of an issuer's configuration found: success, by which the task is done, or failed; then task_failed
-- follows.  Who asked for the test is told of once.  The issuer is locked first, as by who changes it; then it is seen whether the task is this worker's still.  No
-- row: it is not, and nothing was written.
CREATE FUNCTION task_ca_init_end(p_worker text, p_lease bigint, p_task text, p_status text) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_issuer text;
BEGIN
    PERFORM words_check(ARRAY[p_status], '{success,failed}', ARRAY[p_task]);
    SELECT i.id INTO v_issuer FROM issuers i
        WHERE i.id = (SELECT t.issuer_id FROM tasks t WHERE t.id = p_task) FOR NO KEY UPDATE;
    IF p_status = 'success' THEN
        PERFORM lane_succeeded(v_issuer); -- its jobs need not wait for the next try
        DELETE FROM renewal_window_rests e WHERE e.issuer_id = v_issuer;
    END IF;
    PERFORM 1 FROM tasks t WHERE t.id = p_task AND t.leased_by = p_worker AND t.lease_id = p_lease AND t.status = 'Running'
        FOR NO KEY UPDATE;
    IF FOUND THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
            SELECT t.payload ->> 'actor', t.payload ->> 'actor_type', 'issuer_test_connection_' || p_status, 'issuer', v_issuer, 'config'
            FROM tasks t WHERE t.id = p_task AND t.payload ? 'actor';
        UPDATE tasks t SET payload = '{}' WHERE t.id = p_task AND p_status = 'failed' AND t.payload ? 'actor';
        DELETE FROM tasks t WHERE t.id = p_task AND p_status = 'success';
        RETURN QUERY UPDATE issuers i SET test_status = p_status, last_tested_at = engine_now() WHERE i.id = v_issuer RETURNING i.id;
    END IF;
END $$;

-- How many calls, p_want at most, the lane of its issuer lets a running task make now; 0: it was put off, and nothing counted.
-- As many tasks of a kind and lane as the lane's cap go at once, beside its jobs, by its rate.  p_tries: its call says whether the
-- issuer works again, so it may be the one that an open breaker lets through.
CREATE FUNCTION task_enters_lane(p_task tasks, p_want int, p_tries bool) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_lane lanes; v_is_held bool; v_n int := 0;
BEGIN
    SELECT l.* INTO v_lane FROM lanes l WHERE l.issuer_id = p_task.issuer_id;
    v_is_held := v_lane.breaker_state <> 'closed' OR v_lane.rate_per_s IS NOT NULL;
    IF v_is_held THEN -- what is about to change is locked; where somebody holds it, it is tried later
        SELECT l.* INTO v_lane FROM lanes l WHERE l.issuer_id = p_task.issuer_id FOR NO KEY UPDATE SKIP LOCKED;
    END IF;
    IF FOUND AND (p_tries OR v_lane.breaker_state = 'closed') AND v_lane.cap > (SELECT count(*) FROM tasks t
            WHERE t.status = 'Running' AND t.kind = p_task.kind AND t.issuer_id = p_task.issuer_id AND t.id <> p_task.id) THEN
        v_n := least(p_want, lane_allows(v_lane, v_now)); -- NULL: as many as there are
    END IF;
    IF v_n <= 0 THEN
        UPDATE tasks t SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
            run_after = greatest(v_now + jittered(policy_revoke_rest()), v_lane.opened_until) WHERE t.id = p_task.id;
        RETURN 0;
    END IF;
    IF v_is_held THEN
        UPDATE lanes l SET rate_tokens = lane_tokens(l, v_now) - v_n, rate_at = v_now,
            breaker_state = CASE WHEN l.breaker_state = 'closed' THEN 'closed' ELSE 'half_open' END,
            trial_lease = CASE WHEN l.breaker_state = 'closed' THEN NULL ELSE p_task.lease_id END
        WHERE l.issuer_id = p_task.issuer_id;
    END IF;
    RETURN v_n;
END $$;
