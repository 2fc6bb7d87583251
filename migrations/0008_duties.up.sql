-- What the duties tell of themselves, the run that a person asks for, and the
-- duties that came later: short-lived certificates and retention.

ALTER TABLE duties
    ADD COLUMN term bigint NOT NULL DEFAULT 0, -- in which the last run began
    ADD COLUMN interval_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN timeout_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN off_reason text NOT NULL DEFAULT '', -- empty: it runs
    ADD COLUMN next_run_at timestamptz,
    ADD COLUMN last_duration_ms bigint,
    ADD COLUMN last_error text NOT NULL DEFAULT '',
    ADD COLUMN runs bigint NOT NULL DEFAULT 0,
    ADD COLUMN failures bigint NOT NULL DEFAULT 0,
    ADD COLUMN skipped bigint NOT NULL DEFAULT 0; -- ticks, while a run went on

-- How far a duty came that walks a table by its key: behind the mark are
-- only rows that it removed or that are to stay, so a walk does not step over
-- them (or their remains) again until its next pass.
CREATE TABLE duty_marks (
    name text PRIMARY KEY,
    low_id text NOT NULL DEFAULT '',
    low_at timestamptz NOT NULL DEFAULT '-infinity',
    is_done bool NOT NULL DEFAULT true -- the pass met its end
);

-- A new leader's table.  Rows of duties that it does not know go; a changed
-- interval forgets when the next run was due.
CREATE FUNCTION duties_register(p_incarnation text, p_term bigint, p_names text[], p_intervals_ms bigint[],
    p_timeouts_ms bigint[], p_off_reasons text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    DELETE FROM duties d WHERE d.name <> ALL (p_names);
    INSERT INTO duties (name, interval_ms, timeout_ms, off_reason)
        SELECT n.name, n.interval_ms, n.timeout_ms, n.off_reason
        FROM unnest(p_names, p_intervals_ms, p_timeouts_ms, p_off_reasons) AS n (name, interval_ms, timeout_ms, off_reason)
        ORDER BY n.name
    ON CONFLICT (name) DO UPDATE SET interval_ms = excluded.interval_ms, timeout_ms = excluded.timeout_ms,
        off_reason = excluded.off_reason,
        next_run_at = CASE WHEN duties.interval_ms = excluded.interval_ms AND excluded.off_reason = ''
            THEN duties.next_run_at END,
        run_requested_at = CASE WHEN excluded.off_reason = '' THEN duties.run_requested_at END;
END $$;

-- A person wants a run now.  Outcomes: requested; running (it runs again as
-- soon as this run has ended); off (detail: why); unknown (detail: the names).
CREATE FUNCTION duty_run_request(p_name text, p_actor text, p_actor_type text)
RETURNS TABLE (outcome text, requested_at timestamptz, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_duty record;
BEGIN
    UPDATE duties d SET run_requested_at = coalesce(d.run_requested_at, clock_timestamp())
        WHERE d.name = p_name AND d.off_reason = ''
        RETURNING d.run_requested_at, d.last_outcome = 'running' AND EXISTS (SELECT 1 FROM leadership l
            WHERE l.id = 1 AND l.term = d.term AND l.expires_at > clock_timestamp()) AS is_running INTO v_duty;
    IF FOUND THEN
        INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, event_category)
            VALUES (p_actor, p_actor_type, 'duty_run_requested', 'duty', p_name, 'config');
        RETURN QUERY SELECT CASE WHEN v_duty.is_running THEN 'running' ELSE 'requested' END, v_duty.run_requested_at, ''::text;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'off', NULL::timestamptz, d.off_reason FROM duties d WHERE d.name = p_name;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::timestamptz, coalesce(string_agg(d.name, ', ' ORDER BY d.name), '') FROM duties d;
    END IF;
END $$;

-- --- short-lived certificates ---

-- A profile makes short-lived certificates when it allows them and its
-- lifetime is under an hour.
CREATE FUNCTION profile_is_short_lived(p_allowed bool, p_max_ttl_seconds int) RETURNS bool
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_allowed AND p_max_ttl_seconds > 0 AND p_max_ttl_seconds < 3600
$$;

-- Short-lived certificates that ended since the last look, and ten minutes
-- before it: one that was in renewal then may have come out of it.
CREATE FUNCTION duty_short_lived_expiry(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_from timestamptz;
    v_n bigint;
BEGIN
    INSERT INTO duty_marks (name) VALUES ('short_lived_expiry') ON CONFLICT DO NOTHING;
    SELECT m.low_at - interval '10 minutes' INTO v_from FROM duty_marks m WHERE m.name = 'short_lived_expiry' FOR UPDATE;
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
    IF v_n < p_limit THEN
        UPDATE duty_marks m SET low_at = v_now WHERE m.name = 'short_lived_expiry';
    END IF;
    RETURN v_n;
END $$;

-- As before, but it leaves short-lived certificates that ended just now to the
-- duty above, which says so in the audit trail.
CREATE OR REPLACE FUNCTION duty_certificate_status(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
BEGIN
    SELECT array_agg(d.id) INTO v_ids FROM (
        (SELECT c.id FROM managed_certificates c WHERE c.status = 'RenewalInProgress'
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = c.id AND j.type IN ('Issuance', 'Renewal')
                AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')) LIMIT p_limit)
        UNION ALL
        (SELECT c.id FROM managed_certificates c
            LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
            WHERE c.expires_at <= v_now AND c.status IN ('Active', 'Expiring')
                AND NOT (c.expires_at > v_now - interval '5 minutes'
                    AND coalesce(profile_is_short_lived(p.allow_short_lived, p.max_ttl_seconds), false))
            ORDER BY c.expires_at DESC LIMIT p_limit)
        UNION ALL
        (SELECT c.id FROM managed_certificates c JOIN renewal_policies p ON p.id = c.renewal_policy_id
            WHERE c.status = 'Active' AND c.expires_at > v_now AND c.expires_at <= v_now + interval '365 days'
                AND c.expires_at <= v_now + least(make_interval(days => p.renewal_window_days),
                    (c.expires_at - c.valid_from) / 3)
            ORDER BY c.expires_at LIMIT p_limit)) d;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM managed_certificates c WHERE c.id = ANY (v_ids) ORDER BY c.id FOR NO KEY UPDATE;
    RETURN certificates_refresh(v_ids);
END $$;

-- Answers kept for requests that are repeated with the same Idempotency-Key:
-- a client that still repeats a day later has to look first.
CREATE FUNCTION duty_idempotency_cleanup(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_n bigint;
BEGIN
    DELETE FROM idempotency_keys k USING (SELECT o.principal, o.key FROM idempotency_keys o
        WHERE o.created_at < engine_now() - interval '24 hours'
        ORDER BY o.created_at LIMIT p_limit FOR UPDATE SKIP LOCKED) d
    WHERE k.principal = d.principal AND k.key = d.key;
    GET DIAGNOSTICS v_n = ROW_COUNT;
    RETURN v_n;
END $$;

-- --- retention ---
-- Server-made ids hold the time they were made at, so what is old lies at the
-- beginning of the primary key and no index is needed to find it.  A walk
-- goes on from its mark, looks at p_limit rows, and starts over an hour after
-- the last pass began.

CREATE FUNCTION id_bound(p_prefix text, p_at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT p_prefix || '-' || (extract(epoch FROM p_at) * 1000000)::bigint || '000'
$$;

CREATE FUNCTION duty_mark_take(p_name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_low text;
BEGIN
    INSERT INTO duty_marks (name) VALUES (p_name) ON CONFLICT DO NOTHING;
    UPDATE duty_marks m SET
        low_id = CASE WHEN m.is_done AND m.low_at <= v_now - interval '1 hour' THEN '' ELSE m.low_id END,
        low_at = CASE WHEN m.is_done AND m.low_at <= v_now - interval '1 hour' THEN v_now ELSE m.low_at END
        WHERE m.name = p_name RETURNING m.low_id INTO v_low;
    RETURN v_low;
END $$;

CREATE FUNCTION duty_mark_put(p_name text, p_walked text[], p_limit int) RETURNS bool
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE duty_marks m SET low_id = coalesce(p_walked[cardinality(p_walked)], m.low_id),
        is_done = coalesce(cardinality(p_walked), 0) < p_limit
        WHERE m.name = p_name RETURNING NOT m.is_done
$$;

-- Final jobs that ended before the cut, and tasks that failed before it.  The
-- newest failure of a certificate that was never issued stays: it is why its
-- status is Failed.
CREATE FUNCTION duty_job_retention(p_keep_ms bigint, p_limit int) RETURNS TABLE (rows bigint, is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_cut timestamptz := engine_now() - make_interval(secs => p_keep_ms / 1000.0);
    v_low text := duty_mark_take('job_retention');
    v_ids text[];
    v_jobs bigint;
    v_tasks bigint;
BEGIN
    SELECT array_agg(w.id ORDER BY w.id) INTO v_ids FROM (SELECT j.id FROM jobs j
        WHERE j.id > v_low AND j.id < id_bound('job', v_cut) ORDER BY j.id LIMIT p_limit) w;
    DELETE FROM jobs j WHERE j.id IN (SELECT o.id FROM jobs o
        WHERE o.id = ANY (v_ids) AND o.status IN ('Completed', 'Failed', 'Cancelled') AND o.completed_at < v_cut
            AND NOT (o.status = 'Failed' AND o.type IN ('Issuance', 'Renewal')
                AND EXISTS (SELECT 1 FROM managed_certificates c WHERE c.id = o.certificate_id AND c.expires_at IS NULL)
                AND NOT EXISTS (SELECT 1 FROM jobs n WHERE n.certificate_id = o.certificate_id AND n.id > o.id
                    AND n.status = 'Failed' AND n.type IN ('Issuance', 'Renewal')))
        FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_jobs = ROW_COUNT;
    DELETE FROM tasks t WHERE t.id IN (SELECT o.id FROM tasks o
        WHERE o.id < id_bound('task', v_cut) AND o.status = 'Failed' AND o.created_at < v_cut
        ORDER BY o.id LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_tasks = ROW_COUNT;
    RETURN QUERY SELECT v_jobs + v_tasks, duty_mark_put('job_retention', v_ids, p_limit) OR v_tasks = p_limit;
END $$;

-- Versions that ended before the cut, with the revocations of their serials,
-- except the newest three of a certificate and key holder, what a target
-- serves or should serve, and what a job still names.
CREATE FUNCTION duty_version_retention(p_keep_ms bigint, p_limit int) RETURNS TABLE (rows bigint, is_more bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_cut timestamptz := engine_now() - make_interval(secs => p_keep_ms / 1000.0);
    v_low text := duty_mark_take('version_retention');
    v_ids text[];
    v_n bigint;
BEGIN
    SELECT array_agg(w.id ORDER BY w.id) INTO v_ids FROM (SELECT v.id FROM certificate_versions v
        WHERE v.id > v_low AND v.id < id_bound('certver', v_cut) ORDER BY v.id LIMIT p_limit) w;
    WITH gone AS (
        DELETE FROM certificate_versions d WHERE d.id IN (SELECT v.id FROM certificate_versions v
            WHERE v.id = ANY (v_ids) AND v.not_after < v_cut
                AND (SELECT count(*) FROM (SELECT 1 FROM certificate_versions n
                    WHERE n.certificate_id = v.certificate_id AND n.key_holder = v.key_holder AND n.id > v.id LIMIT 3) k) = 3
                AND NOT EXISTS (SELECT 1 FROM certificate_target_mappings m WHERE m.certificate_id = v.certificate_id
                    AND v.id IN (m.desired_version_id, m.deployed_version_id))
                AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = v.certificate_id AND j.version_id = v.id
                    AND j.status IN ('Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval'))
            FOR UPDATE SKIP LOCKED)
        RETURNING d.issuer_id, d.serial_number
    ), revocations AS (
        DELETE FROM certificate_revocations r USING gone g
        WHERE r.issuer_id = g.issuer_id AND r.serial_number = g.serial_number
    )
    SELECT count(*) INTO v_n FROM gone;
    RETURN QUERY SELECT v_n, duty_mark_put('version_retention', v_ids, p_limit);
END $$;

-- The oldest month of audit events, when all of it is older than the cut and
-- sealed; one that is empty needs no seal.  Waits for the table's lock a
-- moment only, since every writer of events would wait behind it.  Outcomes:
-- removed, none (nothing is old enough), unsealed, busy.
CREATE FUNCTION duty_audit_retention(p_keep_ms bigint) RETURNS TABLE (outcome text, partition text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    v_cut timestamptz := engine_now() - make_interval(secs => p_keep_ms / 1000.0);
    v_name text;
    v_until timestamptz;
    v_first bigint;
    v_last bigint;
    v_is_sealed bool := false;
BEGIN
    SELECT c.relname INTO v_name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit_events'::regclass AND c.relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$'
        ORDER BY c.relname LIMIT 1;
    v_until := (to_date(substr(v_name, 14), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC';
    IF v_name IS NULL OR v_until > v_cut THEN
        RETURN QUERY SELECT 'none', ''::text;
        RETURN;
    END IF;
    EXECUTE format('SELECT min(seq), max(seq) FROM %I', v_name) INTO v_first, v_last;
    IF v_first IS NULL THEN
        v_is_sealed := true;
    ELSIF to_regprocedure('audit_is_sealed_before(timestamptz)') IS NOT NULL THEN
        EXECUTE 'SELECT audit_is_sealed_before($1)' INTO v_is_sealed USING v_until;
    END IF;
    IF v_is_sealed IS NOT TRUE THEN
        RETURN QUERY SELECT 'unsealed', v_name;
        RETURN;
    END IF;
    BEGIN
        LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('ALTER TABLE audit_events DETACH PARTITION %I', v_name);
        EXECUTE format('DROP TABLE %I', v_name);
    EXCEPTION WHEN lock_not_available THEN
        RETURN QUERY SELECT 'busy', v_name;
        RETURN;
    END;
    INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details, event_category)
        VALUES ('system', 'System', 'audit_partition_removed', 'audit_partition', v_name,
            jsonb_build_object('first_seq', v_first, 'last_seq', v_last, 'until', v_until), 'config');
    RETURN QUERY SELECT 'removed', v_name;
END $$;

DO $$
BEGIN
    REVOKE ALL ON FUNCTION duties_register(text, bigint, text[], bigint[], bigint[], text[]),
        duty_run_request(text, text, text), profile_is_short_lived(bool, int), duty_short_lived_expiry(int), duty_idempotency_cleanup(int),
        id_bound(text, timestamptz), duty_mark_take(text), duty_mark_put(text, text[], int),
        duty_job_retention(bigint, int), duty_version_retention(bigint, int), duty_audit_retention(bigint) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_apiserver') THEN
        GRANT EXECUTE ON FUNCTION duty_run_request(text, text, text) TO certctl_apiserver;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT EXECUTE ON FUNCTION duties_register(text, bigint, text[], bigint[], bigint[], text[]),
            duty_short_lived_expiry(int), duty_idempotency_cleanup(int), duty_job_retention(bigint, int), duty_version_retention(bigint, int),
            duty_audit_retention(bigint) TO certctl_scheduler;
    END IF;
END $$;
