-- The other duties of the leader, and what they tell of themselves.

-- --- the table of duties ---
-- A new leader's table.  Rows of duties that it does not know go; a changed interval forgets when the next run was due.
CREATE FUNCTION duties_register(p_incarnation text, p_term bigint, p_names text[], p_intervals_ms bigint[],
    p_timeouts_ms bigint[], p_off_reasons text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM leadership_check(p_term, p_incarnation);
    DELETE FROM duties d WHERE d.name <> ALL (p_names);
    INSERT INTO duties (name, interval_ms, timeout_ms, off_reason) SELECT n.name, n.interval_ms, n.timeout_ms, n.off_reason
        FROM unnest(p_names, p_intervals_ms, p_timeouts_ms, p_off_reasons) AS n (name, interval_ms, timeout_ms, off_reason)
        ORDER BY n.name
    ON CONFLICT (name) DO UPDATE SET interval_ms = excluded.interval_ms, timeout_ms = excluded.timeout_ms,
        off_reason = excluded.off_reason,
        next_run_at = CASE WHEN duties.interval_ms = excluded.interval_ms AND excluded.off_reason = ''
            THEN duties.next_run_at END,
        run_requested_at = CASE WHEN excluded.off_reason = '' THEN duties.run_requested_at END;
END $$;

-- A person wants a run now.  Outcomes: requested; running (it runs again as soon as this run has ended); off (detail: why);
-- unknown (detail: the names).
CREATE FUNCTION duty_run_request(p_name text, p_actor text, p_actor_type text)
RETURNS TABLE (outcome text, requested_at timestamptz, detail text) LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN QUERY UPDATE duties d SET run_requested_at = coalesce(d.run_requested_at, clock_timestamp())
        WHERE d.name = p_name AND d.off_reason = ''
        RETURNING CASE WHEN d.last_outcome = 'running' AND EXISTS (SELECT 1 FROM leadership l WHERE l.id = 1 AND l.term = d.term
            AND l.expires_at > clock_timestamp()) THEN 'running' ELSE 'requested' END, d.run_requested_at, ''::text;
    IF FOUND THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
            VALUES (p_actor, p_actor_type, 'duty_run_requested', 'duty', p_name, 'config');
        RETURN;
    END IF;
    RETURN QUERY SELECT 'off', NULL::timestamptz, d.off_reason FROM duties d WHERE d.name = p_name;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::timestamptz, coalesce(string_agg(d.name, ', ' ORDER BY d.name), '') FROM duties d;
    END IF;
END $$;

-- --- repairs ---
-- Those that wait in that state since before p_before, the longest first.
CREATE FUNCTION jobs_overdue(p_status text, p_before timestamptz, p_limit int) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
    SELECT array_agg(o.id) FROM (SELECT j.id FROM jobs j
        WHERE j.status IN ('AwaitingCSR', 'AwaitingApproval') AND j.status = p_status
            AND job_waits_since(j) < p_before ORDER BY job_waits_since(j), j.id LIMIT p_limit) o
$$;

-- Waits that lasted too long: no CSR -> Failed, no decision -> Cancelled; then the jobs that nobody can ever run.
CREATE FUNCTION duty_job_timeouts(p_csr_ms bigint, p_approval_ms bigint, p_limit int, p_words jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_ids text[] := (jobs_take(jobs_overdue('AwaitingCSR', engine_now() - ms(p_csr_ms), p_limit)
        || jobs_overdue('AwaitingApproval', engine_now() - ms(p_approval_ms), p_limit))).ids;
    v_statuses text[]; v_errors text[];
BEGIN
    IF v_ids IS NULL THEN RETURN jobs_fail_nonsense(p_limit, p_words); END IF;
    SELECT array_agg(j.id), array_agg(CASE j.status WHEN 'AwaitingCSR' THEN 'Failed' ELSE 'Cancelled' END),
        array_agg(job_say(p_words, CASE WHEN j.status = 'AwaitingApproval' THEN 'approval_timeout'
            WHEN j.agent_id IS NULL THEN 'csr_timeout_no_holder' ELSE 'csr_timeout' END, j.agent_id))
        INTO v_ids, v_statuses, v_errors
    -- One whose wait ended just before it was taken may have begun another.
    FROM jobs j WHERE j.id = ANY (v_ids) AND job_waits_since(j) < engine_now()
        - ms(CASE j.status WHEN 'AwaitingCSR' THEN p_csr_ms WHEN 'AwaitingApproval' THEN p_approval_ms END);
    PERFORM job_finish(v_ids, v_statuses, v_errors);
    RETURN coalesce(cardinality(v_ids), 0);
END $$;

CREATE FUNCTION duty_agent_health(p_stale_ms bigint) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH gone AS (
        UPDATE agents a SET status = 'Offline'
        WHERE a.id IN (SELECT o.id FROM agents o WHERE o.status = 'Online' AND o.retired_at IS NULL
            AND coalesce(o.last_heartbeat_at, o.registered_at) < (SELECT engine_now()) - ms(p_stale_ms)
            ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED) RETURNING a.id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id)
        SELECT 'system', 'System', 'agent_offline', 'agent', g.id FROM gone g RETURNING 1
    )
    SELECT count(*) FROM audited
$$;

-- Jobs that wait for or run on agents that were retired, or silent since p_stale_before; over: nobody goes on with them.
-- Agents that have work are picked out of its index one by one, so those who have none are not looked at.  Locks nothing.
CREATE FUNCTION jobs_of_agents_gone(p_stale_before timestamptz, p_limit int, OUT over text[], OUT silent text[])
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_sort = off AS $$
    WITH RECURSIVE busy AS (
        (SELECT j.agent_id FROM jobs j WHERE job_needs_agent(j) AND j.agent_id IS NOT NULL
        ORDER BY j.agent_id LIMIT 1)
        UNION ALL
        SELECT n.agent_id FROM busy b CROSS JOIN LATERAL (SELECT j.agent_id FROM jobs j
            WHERE job_needs_agent(j) AND j.agent_id > b.agent_id ORDER BY j.agent_id LIMIT 1) n
    ), gone AS MATERIALIZED (
        SELECT a.id, a.retired_at IS NOT NULL AS is_retired FROM busy b JOIN agents a ON a.id = b.agent_id
        WHERE a.retired_at IS NOT NULL OR coalesce(a.last_heartbeat_at, a.registered_at) < p_stale_before
    )
    SELECT array_agg(f.id) FILTER (WHERE f.is_over), array_agg(f.id) FILTER (WHERE f.is_over IS NOT TRUE)
    FROM (SELECT w.id, g.is_retired OR w.is_over AS is_over FROM gone g CROSS JOIN LATERAL (SELECT j.id,
            (SELECT c.status IN ('Revoked', 'Archived') FROM managed_certificates c WHERE c.id = j.certificate_id) AS is_over FROM jobs j
            WHERE j.agent_id = g.id AND job_needs_agent(j)
                AND (g.is_retired OR (j.type = 'Deployment' AND j.status = 'Running'))
            ORDER BY j.agent_id, j.id LIMIT p_limit) w LIMIT p_limit) f
$$;

-- Deployments in the hands of an agent that is gone: back to Pending when it is offline (it finds them when it returns),
-- Failed when it was retired, or when the certificate was revoked or archived meanwhile.
CREATE FUNCTION duty_agent_rescue(p_offline_ms bigint, p_limit int, p_words jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_silent text[]; v_over text[]; v_n bigint;
BEGIN
    SELECT (jobs_take(g.over)).ids, g.silent INTO v_over, v_silent FROM jobs_of_agents_gone(engine_now() - ms(p_offline_ms), p_limit) g;
    PERFORM jobs_finish(v_over, 'Failed', job_say(p_words, 'agent_gone', NULL), 'system', 'System');
    UPDATE jobs j SET status = 'Pending', leased_by = NULL FROM (SELECT o.id FROM jobs o
        WHERE o.id = ANY (v_silent) AND o.type = 'Deployment' AND o.status = 'Running' ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED) r
    WHERE j.id = r.id;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n + coalesce(cardinality(v_over), 0);
END $$;

-- Certificates whose status the clock changes by p_now, the earliest first.  Short-lived ones that ended just now are left
-- to duty_short_lived_expiry, which says so in the audit trail.
CREATE FUNCTION certificates_status_due(p_now timestamptz, p_limit int) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
    SELECT array_agg(d.id) FROM (SELECT c.id FROM managed_certificates c
        LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
        WHERE c.status IN ('Active', 'Expiring') AND certificate_changes_at(c) <= p_now
            AND NOT (c.expires_at <= p_now AND c.expires_at > p_now - policy_short_lived_grace()
                AND coalesce(profile_is_short_lived(p.allow_short_lived, p.max_ttl_seconds), false))
        ORDER BY certificate_changes_at(c) LIMIT p_limit) d
$$;

-- The next certificates in renewal behind p_low, and those among them that no job renews.  All jobs of each are read, as
-- certificates_refresh does.
CREATE FUNCTION certificates_in_progress(p_low text, p_limit int, OUT seen text[], OUT idle text[])
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
    SELECT array_agg(w.id), array_agg(w.id) FILTER (WHERE NOT coalesce((
        SELECT bool_or(job_issues(j.type) AND job_is_active(j.status))
        FROM jobs j WHERE j.certificate_id = w.id), false))
    FROM (SELECT c.id FROM managed_certificates c WHERE c.status = 'RenewalInProgress' AND c.id > p_low
        ORDER BY c.id LIMIT p_limit) w
$$;

-- Certificates whose status no longer says what is true: expiring, expired, or in progress with no job.  The clock's
-- changes are found by their index.  Who is in progress is walked, some at each look and round again; a look that finds one
-- with no job is followed by the next at once.  What is just held by somebody is left to a later look.
CREATE FUNCTION duty_certificate_status(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_low text; v_seen text[]; v_idle text[]; v_ids text[];
BEGIN
    INSERT INTO duty_marks (name) VALUES ('certificate_status') ON CONFLICT DO NOTHING;
    SELECT m.low_id INTO v_low FROM duty_marks m WHERE m.name = 'certificate_status' FOR UPDATE;
    SELECT p.seen, p.idle INTO v_seen, v_idle FROM certificates_in_progress(v_low, policy_in_progress_looked()) p;
    UPDATE duty_marks m SET low_id = n.id
        FROM (SELECT CASE WHEN cardinality(v_seen) = policy_in_progress_looked() THEN v_seen[cardinality(v_seen)] ELSE '' END AS id) n
        WHERE m.name = 'certificate_status' AND m.low_id <> n.id;
    v_ids := certificates_status_due(engine_now(), p_limit) || v_idle;
    IF v_ids IS NULL THEN RETURN 0; END IF;
    SELECT array_agg(l.id) INTO v_ids FROM (SELECT c.id FROM managed_certificates c WHERE c.id = ANY (v_ids)
        ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED) l;
    -- One whose policy changed, and that has not followed yet.
    UPDATE managed_certificates c SET expiring_at = expiring_at_of(c.valid_from, c.expires_at, p.renewal_window_days)
        FROM renewal_policies p WHERE c.id = ANY (v_ids) AND p.id = c.renewal_policy_id AND c.status = 'Active'
            AND c.expiring_at IS DISTINCT FROM expiring_at_of(c.valid_from, c.expires_at, p.renewal_window_days);
    RETURN certificates_refresh(v_ids);
END $$;

-- Short-lived certificates that ended since the last look, and shortly before it: one that was in renewal then may have
-- come out of it.
CREATE FUNCTION duty_short_lived_expiry(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE v_now timestamptz := engine_now(); v_from timestamptz; v_n bigint;
BEGIN
    INSERT INTO duty_marks (name) VALUES ('short_lived_expiry') ON CONFLICT DO NOTHING;
    SELECT m.low_at - policy_short_lived_overlap() INTO v_from FROM duty_marks m WHERE m.name = 'short_lived_expiry' FOR UPDATE;
    WITH ended AS (
        UPDATE managed_certificates c SET status = 'Expired', updated_at = v_now
        WHERE c.id IN (SELECT o.id FROM managed_certificates o
            JOIN certificate_profiles p ON p.id = o.certificate_profile_id
                AND profile_is_short_lived(p.allow_short_lived, p.max_ttl_seconds)
            WHERE o.expires_at > v_from AND o.expires_at <= v_now AND o.status IN ('Active', 'Expiring')
            ORDER BY o.id LIMIT p_limit FOR NO KEY UPDATE OF o SKIP LOCKED)
        RETURNING c.id, c.expires_at, c.certificate_profile_id
    ), audited AS (
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
        SELECT 'system', 'System', 'short_lived_cert_expired', 'certificate', e.id,
            jsonb_build_object('expires_at', e.expires_at, 'profile_id', e.certificate_profile_id)
        FROM ended e RETURNING 1
    )
    SELECT count(*) INTO v_n FROM audited;
    IF v_n < p_limit THEN UPDATE duty_marks m SET low_at = v_now WHERE m.name = 'short_lived_expiry'; END IF;
    RETURN v_n;
END $$;

-- --- who holds what others need ---
-- The open transactions that hold rows or tables of ours, and whoever holds the lock by which the audit trail is sealed: its
-- session, or none where it was prepared.  Every role may read that, and of the sessions their names; not since when.
CREATE VIEW lock_holders_now AS
SELECT coalesce(l.pid::text, 'prepared') || ' ' || l.virtualtransaction AS holder, coalesce(l.pid::text, 'prepared') AS pid,
    coalesce(a.application_name, '') LIKE 'certctl-%' AS is_ours,
    coalesce(format('session %s of %s (%s)', l.pid, a.usename, a.application_name), 'prepared transaction') || ': '
        || coalesce(string_agg(DISTINCT c.relname, ', '), 'audit sealing') AS what
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_class c ON c.oid = l.relation AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND l.mode NOT IN ('AccessShareLock', 'ShareUpdateExclusiveLock')
WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND (l.database IS NULL OR l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
GROUP BY l.pid, l.virtualtransaction, a.usename, a.application_name
HAVING bool_or(c.oid IS NOT NULL AND (l.mode NOT LIKE 'Row%')) -- a table
    OR bool_or(c.oid IS NOT NULL) AND bool_or(l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock') -- rows
    OR bool_or(l.locktype = 'advisory' AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('certctl.audit_seal', 0));

CREATE FUNCTION duty_lock_holders() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH now AS MATERIALIZED (SELECT n.holder FROM lock_holders_now n),
    gone AS (DELETE FROM lock_holders h WHERE NOT EXISTS (SELECT 1 FROM now n WHERE n.holder = h.holder)),
    new AS (INSERT INTO lock_holders (holder) SELECT n.holder FROM now n ON CONFLICT DO NOTHING RETURNING 1)
    SELECT count(*) FROM new
$$;

-- --- retention ---
-- Answers kept for requests that are repeated with the same Idempotency-Key: a client that still repeats a day later has to
-- look first.
CREATE FUNCTION duty_idempotency_cleanup(p_keep_ms bigint, p_limit int) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH gone AS (
        DELETE FROM idempotency_keys k USING (SELECT o.principal, o.key FROM idempotency_keys o
            WHERE o.created_at < (SELECT engine_now()) - ms(p_keep_ms)
            ORDER BY o.created_at LIMIT p_limit FOR UPDATE SKIP LOCKED) d
        WHERE k.principal = d.principal AND k.key = d.key RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- The next rows of a table whose ids hold a time before p_cut: what is old lies at the beginning of the primary key and no
-- index is needed to find it.  A walk goes on from its mark, looks at p_limit rows, and starts over some time after the
-- last pass began.  A run goes on while it finds rows to remove, and else leaves the rest to the next, so that it costs
-- little where much has to stay.
CREATE FUNCTION duty_walk(p_name text, p_table text, p_prefix text, p_cut timestamptz, p_limit int, OUT ids text[], OUT is_more bool)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_now timestamptz := engine_now(); v_low text;
BEGIN
    INSERT INTO duty_marks (name) VALUES (p_name) ON CONFLICT DO NOTHING;
    UPDATE duty_marks m SET
        low_id = CASE WHEN m.is_done AND m.low_at <= v_now - policy_walk_pause() THEN '' ELSE m.low_id END,
        low_at = CASE WHEN m.is_done AND m.low_at <= v_now - policy_walk_pause() THEN v_now ELSE m.low_at END
        WHERE m.name = p_name RETURNING m.low_id INTO v_low;
    EXECUTE format('SELECT array_agg(w.id ORDER BY w.id) FROM (SELECT t.id FROM %I t WHERE t.id > $1 AND t.id < $2 '
        'ORDER BY t.id LIMIT $3) w', p_table) INTO ids USING v_low, id_bound(p_prefix, p_cut), p_limit;
    is_more := coalesce(cardinality(ids), 0) >= p_limit;
    UPDATE duty_marks m SET low_id = coalesce(ids[cardinality(ids)], m.low_id), is_done = NOT is_more WHERE m.name = p_name;
END $$;

-- Final jobs that ended before the cut, with the CSRs of those that made no version, and tasks that failed before it.  The
-- newest failure of a certificate that was never issued stays: it is why its status is Failed.
CREATE FUNCTION duty_job_retention(p_keep_ms bigint, p_limit int, OUT rows bigint, OUT is_more bool) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_cut timestamptz := engine_now() - ms(p_keep_ms); v_ids text[]; v_gone text[]; v_tasks bigint;
BEGIN
    SELECT w.ids, w.is_more INTO v_ids, is_more FROM duty_walk('job_retention', 'jobs', 'job', v_cut, p_limit) w;
    WITH gone AS (
        DELETE FROM jobs j WHERE j.id IN (SELECT o.id FROM jobs o
        WHERE o.id = ANY (v_ids) AND o.status IN ('Completed', 'Failed', 'Cancelled') AND o.completed_at < v_cut
            AND NOT (o.status = 'Failed' AND job_issues(o.type)
                AND EXISTS (SELECT 1 FROM managed_certificates c WHERE c.id = o.certificate_id AND c.expires_at IS NULL)
                AND NOT EXISTS (SELECT 1 FROM jobs n WHERE n.certificate_id = o.certificate_id AND n.id > o.id
                    AND n.status = 'Failed' AND job_issues(n.type))) FOR UPDATE SKIP LOCKED) RETURNING j.id
    )
    SELECT coalesce(array_agg(g.id), '{}') INTO v_gone FROM gone g;
    PERFORM certificate_requests_forget(v_gone);
    DELETE FROM tasks t WHERE t.id IN (SELECT o.id FROM tasks o
        WHERE o.id < id_bound('task', v_cut) AND o.status = 'Failed' AND o.created_at < v_cut
        ORDER BY o.id LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_tasks = ROW_COUNT;
    rows := cardinality(v_gone) + v_tasks;
    is_more := (is_more AND v_gone <> '{}') OR v_tasks = p_limit;
END $$;

-- Versions that ended before the cut, with the revocations of their serials and the CSRs and chains that nothing needs any
-- more, except the newest few of a certificate and key holder, what a target serves or should serve, and what a job still
-- names.
CREATE FUNCTION duty_version_retention(p_keep_ms bigint, p_limit int, OUT rows bigint, OUT is_more bool)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE v_cut timestamptz := engine_now() - ms(p_keep_ms); v_ids text[]; v_jobs text[]; v_chains int[];
BEGIN
    SELECT w.ids, w.is_more INTO v_ids, is_more FROM duty_walk('version_retention', 'certificate_versions', 'certver', v_cut, p_limit) w;
    WITH gone AS (
        DELETE FROM certificate_versions d WHERE d.id IN (SELECT v.id FROM certificate_versions v
            WHERE v.id = ANY (v_ids) AND v.not_after < v_cut
                AND (SELECT count(*) FROM (SELECT 1 FROM certificate_versions n
                    WHERE n.certificate_id = v.certificate_id AND n.key_holder = v.key_holder AND n.id > v.id LIMIT policy_versions_kept()) k) = policy_versions_kept()
                AND NOT EXISTS (SELECT 1 FROM certificate_target_mappings m WHERE m.certificate_id = v.certificate_id
                    AND v.id IN (m.desired_version_id, m.deployed_version_id))
                AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = v.certificate_id AND j.version_id = v.id
                    AND job_is_active(j.status))
            FOR UPDATE SKIP LOCKED) RETURNING d.issuer_id, d.serial_number, d.job_id, d.chain_id
    ), revocations AS (
        DELETE FROM certificate_revocations r USING gone g
        WHERE r.issuer_id = g.issuer_id AND r.serial_number = g.serial_number
    )
    SELECT count(*), array_agg(g.job_id), array_agg(DISTINCT g.chain_id) INTO rows, v_jobs, v_chains FROM gone g;
    PERFORM certificate_requests_forget(v_jobs);
    PERFORM certificate_chains_forget(v_chains);
    is_more := is_more AND rows > 0;
END $$;
