-- The processes: who lives, who leads, who holds what.

-- --- processes ---
-- Whether a sign of life of ours outlives the server is no matter: what it lets us do is guarded by lease and term.  So it
-- does not wait for a standby.
CREATE FUNCTION commit_locally() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF current_setting('synchronous_commit') <> 'off' THEN PERFORM set_config('synchronous_commit', 'local', true); END IF;
END $$;

CREATE FUNCTION worker_lives(p_worker text) RETURNS bool LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.lease_until > clock_timestamp());
END $$;

-- A worker's own row, and its lease.  Answers with the jobs among its leases that are to stop before the outside effect:
-- somebody wants them cancelled, or their tick's budget is over.
CREATE FUNCTION worker_renew(p_incarnation text, p_name text, p_host text, p_pid int, p_version text, p_slots int,
    p_lease_ms int, p_fault text DEFAULT '', p_fault_detail text DEFAULT '', p_faults jsonb DEFAULT '{}',
    p_bus_near bigint DEFAULT 0, p_bus_ends bigint DEFAULT 0) RETURNS TABLE (lease_until timestamptz, cancel_job_ids text[])
LANGUAGE plpgsql SECURITY DEFINER SET enable_bitmapscan = off SET enable_seqscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE v_until timestamptz := clock_timestamp() + ms(p_lease_ms); v_pause interval;
BEGIN
    PERFORM commit_locally();
    SELECT clock_timestamp() - w.lease_until INTO v_pause FROM workers w WHERE w.incarnation = p_incarnation AND w.lease_until < clock_timestamp();
    INSERT INTO workers AS w (incarnation, name, host, pid, version, code, slots, lease_until, server, fault, fault_detail, faults,
            fault_since, bus_near, bus_ends)
        VALUES (p_incarnation, p_name, p_host, p_pid, p_version, current_schema(), p_slots, v_until, server_name(),
            p_fault, p_fault_detail, p_faults, CASE WHEN p_fault <> '' THEN clock_timestamp() END,
            to_timestamp(nullif(p_bus_near, 0)), to_timestamp(nullif(p_bus_ends, 0)))
    ON CONFLICT (incarnation) DO UPDATE SET lease_until = excluded.lease_until, slots = excluded.slots, server = excluded.server,
        bus_near = excluded.bus_near, bus_ends = excluded.bus_ends, fault = excluded.fault, fault_detail = excluded.fault_detail, faults = excluded.faults,
        fault_since = CASE WHEN excluded.fault <> '' THEN coalesce(w.fault_since, excluded.fault_since) END;
    -- A pause is no part of an attempt.
    IF v_pause IS NOT NULL THEN
        UPDATE jobs j SET attempt_until = j.attempt_until + v_pause WHERE j.id IN (SELECT o.id FROM jobs o
            WHERE o.leased_by = p_incarnation AND o.status = 'Running' FOR NO KEY UPDATE SKIP LOCKED);
        UPDATE tasks t SET attempt_until = t.attempt_until + v_pause WHERE t.id IN (SELECT o.id FROM tasks o
            WHERE o.leased_by = p_incarnation AND o.status = 'Running' FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
    -- Who was only paused, or cut off, died with nothing.  What somebody holds is met again by the next renewal.
    UPDATE jobs j SET died_with = nullif(array_remove(j.died_with, p_incarnation), '{}') WHERE j.id IN (SELECT o.id FROM jobs o
        WHERE o.died_with @> ARRAY[p_incarnation] AND o.status IN ('Pending', 'Running') FOR NO KEY UPDATE SKIP LOCKED);
    UPDATE tasks t SET died_with = nullif(array_remove(t.died_with, p_incarnation), '{}'),
        run_after = CASE t.status WHEN 'Failed' THEN clock_timestamp() ELSE t.run_after END -- nothing rests for it
        WHERE t.id IN (SELECT o.id FROM tasks o WHERE o.died_with @> ARRAY[p_incarnation] FOR NO KEY UPDATE SKIP LOCKED);
    RETURN QUERY SELECT v_until, coalesce((SELECT array_agg(j.id) FROM jobs j
        WHERE j.leased_by = p_incarnation AND j.status = 'Running' AND (j.cancel_requested_at IS NOT NULL OR j.budget_over_at IS NOT NULL)), '{}');
END $$;

-- A worker that stops on purpose gives everything back at once.
CREATE FUNCTION worker_leave(p_incarnation text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_n int;
BEGIN
    UPDATE workers SET lease_until = clock_timestamp() WHERE incarnation = p_incarnation;
    -- What somebody holds is freed by the next look at leases that are over.
    UPDATE jobs SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL
        WHERE id IN (SELECT j.id FROM jobs j WHERE j.leased_by = p_incarnation AND j.status = 'Running' FOR NO KEY UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    UPDATE tasks SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL
        WHERE id IN (SELECT t.id FROM tasks t WHERE t.leased_by = p_incarnation AND t.status = 'Running' FOR NO KEY UPDATE SKIP LOCKED);
    RETURN v_n;
END $$;

CREATE FUNCTION scheduler_seen(p_incarnation text, p_name text, p_host text, p_pid int, p_url text, p_version text)
RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    SELECT commit_locally();
    INSERT INTO schedulers (incarnation, name, host, pid, url, version, code, server)
        VALUES (p_incarnation, p_name, p_host, p_pid, p_url, p_version, current_schema(), server_name())
    ON CONFLICT (incarnation) DO UPDATE SET seen_at = clock_timestamp(), server = excluded.server;
$$;

CREATE FUNCTION apiserver_seen(p_incarnation text, p_name text, p_host text, p_pid int, p_url text, p_version text)
RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO apiservers (incarnation, name, host, pid, url, version, code, server)
        VALUES (p_incarnation, p_name, p_host, p_pid, p_url, p_version, current_schema(), server_name())
    ON CONFLICT (incarnation) DO UPDATE SET seen_at = clock_timestamp(), server = excluded.server;
$$;

-- Rows of processes that were last seen p_keep_ms ago.
CREATE FUNCTION duty_process_rows(p_keep_ms bigint) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    SELECT code_schemas_used();
    SELECT audit_partitions_ensure();
    WITH w AS (
        DELETE FROM workers w WHERE w.lease_until < clock_timestamp() - ms(p_keep_ms)
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.leased_by = w.incarnation AND j.status = 'Running') RETURNING 1
    ), s AS (DELETE FROM schedulers s WHERE s.seen_at < clock_timestamp() - ms(p_keep_ms) RETURNING 1
    ), a AS (DELETE FROM apiservers a WHERE a.seen_at < clock_timestamp() - ms(p_keep_ms) RETURNING 1)
    SELECT (SELECT count(*) FROM w) + (SELECT count(*) FROM s) + (SELECT count(*) FROM a)
$$;

-- --- leadership ---
-- Takes the free or expired leadership with a new term, or renews one's own.  No row: somebody else leads, or nobody may
-- (20_recover.sql).
CREATE FUNCTION leadership_hold(p_incarnation text, p_nonce text, p_lease_ms int)
RETURNS TABLE (term bigint, is_new bool) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := clock_timestamp(); v_until timestamptz := v_now + ms(p_lease_ms);
BEGIN
    IF journal_is_ahead() THEN RETURN; END IF;
    RETURN QUERY UPDATE leadership l SET expires_at = v_until
        WHERE l.id = 1 AND l.holder = p_incarnation AND l.nonce = p_nonce AND l.expires_at > v_now RETURNING l.term, false;
    IF FOUND THEN PERFORM commit_locally(); RETURN; END IF;
    RETURN QUERY UPDATE leadership l SET term = l.term + 1, holder = p_incarnation, nonce = p_nonce, expires_at = v_until
        WHERE l.id = 1 AND l.expires_at <= v_now RETURNING l.term, true;
END $$;

CREATE FUNCTION leadership_release(p_incarnation text, p_nonce text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE leadership SET expires_at = clock_timestamp() WHERE id = 1 AND holder = p_incarnation AND nonce = p_nonce;
$$;

-- In plpgsql, which keeps its plan: a function in SQL with rights of its own is parsed and planned at each call.
CREATE FUNCTION leadership_is(p_term bigint, p_incarnation text) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM leadership l
        WHERE l.id = 1 AND l.term = p_term AND l.holder = p_incarnation AND l.expires_at > clock_timestamp())
        AND NOT journal_is_ahead();
END $$;

CREATE FUNCTION leadership_check(p_term bigint, p_incarnation text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001'; END IF;
END $$;

-- --- leases ---
-- A hand-out more that ended with its worker, or ('', p_is_late) with its time under a worker that lives.
CREATE FUNCTION died_with(p_before text[], p_by text, p_is_late bool, p_times int) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT p_before || array_fill(CASE WHEN p_is_late THEN '' ELSE p_by END, ARRAY[p_times])
$$;

-- Frees what nobody holds any more: jobs of workers whose lease is over, of attempts past their deadline, and (p_worker
-- with p_holding given) leases a worker has by our book but does not name.  A suspect (06_claim.sql) that was alone when
-- its worker died, twice on end since a pause looks like it, or that too many died with, fails with the caller's words.
-- Nobody died where a worker lives that could not end what somebody held meanwhile: such a lock stands in xmax.
CREATE FUNCTION leases_free(p_incarnation text, p_term bigint, p_worker text, p_holding bigint[],
    p_low_lease bigint, p_words jsonb) RETURNS TABLE (freed bigint, failed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE v_ids text[]; v_dead text[]; v_alone text[]; v_guilty text[]; v_late text[]; v_failed text[]; v_parked text[]; v_held text[]; v_task_n bigint;
BEGIN
    PERFORM leadership_check(p_term, p_incarnation);
    IF p_worker IS NULL THEN
        -- Whether its worker lives is known of one moment: of one that was paused, and is back since, it takes the death
        -- back.
        SELECT array_agg(j.id), array_agg(j.id) FILTER (WHERE NOT (j.lives AND j.was_held)), array_agg(j.id) FILTER (WHERE j.lives AND j.is_over)
        INTO v_ids, v_dead, v_late FROM (SELECT o.id, worker_lives(o.leased_by) AS lives, o.xmax::text NOT IN ('0', o.xmin::text) AS was_held,
                o.attempt_until < clock_timestamp() AS is_over FROM jobs o
            WHERE o.status = 'Running' AND o.type IN ('Issuance', 'Renewal') AND (o.attempt_until < clock_timestamp()
                OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = o.leased_by AND w.lease_until > clock_timestamp()))
            FOR NO KEY UPDATE SKIP LOCKED) j;
    ELSE
        SELECT array_agg(j.id), array_agg(j.id) FILTER (WHERE j.is_late) INTO v_ids, v_late
        FROM (SELECT o.id, o.attempt_until < clock_timestamp() AND worker_lives(p_worker) AS is_late FROM jobs o
            WHERE o.status = 'Running' AND o.type IN ('Issuance', 'Renewal') AND o.leased_by = p_worker
                AND (p_holding IS NULL OR o.lease_id <> ALL (p_holding)) FOR NO KEY UPDATE SKIP LOCKED) j;
    END IF;
    IF v_ids IS NOT NULL THEN -- mostly there are none
        -- A worker that lives and names its leases lost their answers, no more.
        IF p_worker IS NOT NULL AND p_holding IS NULL THEN v_dead := v_ids; END IF;
        -- Alone is who died while the worker had nothing else in hand, or nothing else past its time: it stands twice.
        SELECT array_agg(j.id), array_agg(j.id) FILTER (WHERE j.died_with[cardinality(j.died_with)] = j.died_with[cardinality(j.died_with) - 1])
        INTO v_alone, v_guilty FROM jobs j WHERE j.id = ANY (v_dead) AND cardinality(j.died_with) >= policy_deaths_alone()
            AND NOT EXISTS (SELECT 1 FROM jobs o WHERE o.leased_by = j.leased_by AND o.status = 'Running' AND o.id <> j.id
                AND (o.attempt_until < clock_timestamp() OR j.attempt_until >= clock_timestamp()));
        -- Jobs are locked before certificates here, so nothing may wait: whose certificate somebody holds runs alone again.
        -- Where its order may exist at the CA still, a person decides: the next renewal would order a second time.
        SELECT array_agg(d.id) FILTER (WHERE NOT d.is_open), array_agg(d.id) FILTER (WHERE d.is_open) INTO v_failed, v_parked
        FROM (SELECT j.id, coalesce(j.checkpoint ->> 'state' IN ('placing', 'ordered', 'uncertain'), false) AS is_open
            FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id WHERE j.id = ANY (v_guilty) OR j.id = ANY (v_dead)
                AND coalesce(cardinality(j.died_with), 0) + CASE WHEN j.id = ANY (v_alone) THEN 2 ELSE 1 END >= policy_deaths_beside()
            FOR NO KEY UPDATE OF c SKIP LOCKED) d;
        -- Claims pass over what they might have to write off while its certificate is held (06_claim.sql): it is told of.
        SELECT array_agg(j.id) INTO v_held FROM jobs j WHERE j.id = ANY (v_ids) AND j.serial_number IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM managed_certificates c WHERE c.id = j.certificate_id FOR KEY SHARE SKIP LOCKED);
        -- Each row is written once: a second write checks its keys, and waits for who holds an issuer or agent.
        WITH freed AS (
            UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
                died_with = CASE WHEN j.id = ANY (v_dead) THEN died_with(j.died_with, j.leased_by, (j.id = ANY (v_late)) IS TRUE,
                    CASE WHEN j.id = ANY (v_alone) THEN 2 ELSE 1 END) ELSE j.died_with END, run_after = CASE WHEN p.is_parked THEN 'infinity' ELSE j.run_after END,
                checkpoint = CASE WHEN p.is_parked THEN j.checkpoint || '{"state": "uncertain"}' ELSE j.checkpoint END,
                held_since = CASE WHEN j.id = ANY (v_held) THEN coalesce(j.held_since, engine_now()) ELSE j.held_since END,
                last_error = CASE WHEN p.is_parked THEN job_say(p_words, 'workers_died_ordering', coalesce(j.checkpoint ->> 'order_reference', j.id))
                    WHEN j.id = ANY (v_held) THEN job_say(p_words, 'held', NULL) ELSE j.last_error END
            FROM (SELECT u.id, (u.id = ANY (v_parked)) IS TRUE AS is_parked FROM unnest(v_ids) AS u (id) WHERE (u.id = ANY (v_failed)) IS NOT TRUE) p
            WHERE j.id = p.id RETURNING j.id, j.certificate_id, j.last_error, p.is_parked
        )
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT 'system', 'System', 'renewal_job_order_uncertain', 'certificate', coalesce(f.certificate_id, ''),
            jsonb_build_object('job_id', f.id, 'error', f.last_error) FROM freed f WHERE f.is_parked;
        PERFORM jobs_finish(v_failed, 'Failed', job_say(p_words, 'workers_died', NULL), 'system', 'System');
    END IF;
    -- No death is counted here either of a worker that lives and names its leases.  What fails gives its key free.
    UPDATE tasks t SET status = CASE WHEN n.is_over THEN 'Failed' ELSE 'Pending' END, leased_by = NULL, lease_id = NULL,
        attempt_until = NULL, died_with = n.died_with, dedupe_key = CASE WHEN n.is_over THEN NULL ELSE t.dedupe_key END,
        run_after = CASE WHEN n.is_over THEN engine_now() + policy_task_rest() ELSE t.run_after END,
        last_error = CASE WHEN n.is_over THEN job_say(p_words, 'workers_died', NULL) ELSE t.last_error END
    FROM (SELECT f.*, coalesce(f.is_dead AND cardinality(f.died_with) >= policy_deaths_most(), false) AS is_over
        FROM (SELECT o.id, d.is_dead, CASE WHEN d.is_dead THEN died_with(o.died_with, o.leased_by, d.is_late, 1) ELSE o.died_with END AS died_with
        FROM tasks o CROSS JOIN LATERAL (SELECT CASE WHEN p_worker IS NULL THEN o.xmax::text IN ('0', o.xmin::text) OR NOT worker_lives(o.leased_by)
            ELSE p_holding IS NULL END, o.attempt_until < clock_timestamp() AND worker_lives(o.leased_by)) d (is_dead, is_late) WHERE o.status = 'Running' AND o.lease_id >= p_low_lease AND CASE WHEN p_worker IS NOT NULL
            THEN o.leased_by = p_worker AND (p_holding IS NULL OR o.lease_id <> ALL (p_holding))
            ELSE o.attempt_until < clock_timestamp() OR NOT EXISTS (SELECT 1 FROM workers w
                WHERE w.incarnation = o.leased_by AND w.lease_until > clock_timestamp()) END
        FOR NO KEY UPDATE OF o SKIP LOCKED) f) n WHERE t.id = n.id;
    GET DIAGNOSTICS v_task_n = ROW_COUNT;
    RETURN QUERY SELECT coalesce(cardinality(v_ids), 0) + v_task_n, coalesce(cardinality(v_failed), 0)::bigint;
END $$;
