-- The renewal scan and the queue of tasks at fleet scale: what a tick or a
-- claim costs follows from what is due, not from the inventory or from what a
-- held snapshot keeps of rows that are gone.

-- --- the renewal scan ---

-- Certificates that nothing renews by itself (their policy says so, or their
-- issuer is switched off) have no renew_after once the scan has met them, so
-- that no scan walks them again.  What switches them on computes it anew and
-- finds them here.
CREATE INDEX managed_certificates_set_aside ON managed_certificates (issuer_id, renewal_policy_id)
    WHERE renew_after IS NULL AND expires_at IS NOT NULL AND status IN ('Active', 'Expiring', 'Expired', 'Failed');

-- One chunk of certificates whose renewal falls due, oldest first.  Each row
-- seen leaves the index that it was found by, so that no chunk meets it again
-- whatever became of it.  seen: as many as p_limit, and there may be more.
DROP FUNCTION duty_renewal_scan(int);
CREATE FUNCTION duty_renewal_scan(p_limit int)
RETURNS TABLE (due bigint, enqueued bigint, agents text[], seen bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_seen text[];
    v_ids text[];
    v_aside text[];
BEGIN
    v_seen := renewals_due(v_now, p_limit);
    IF v_seen IS NULL THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint, '{}'::text[], 0::bigint;
        RETURN;
    END IF;
    SELECT array_agg(c.id) INTO v_ids FROM managed_certificates c
    JOIN renewal_policies p ON p.id = c.renewal_policy_id AND p.auto_renew
    JOIN issuers i ON i.id = c.issuer_id AND i.enabled
    WHERE c.id = ANY (v_seen);
    -- Policy and issuer stay as they are until this commits, so that whoever
    -- switches them on sees what was set aside.  One that is being changed now
    -- is not waited for.
    IF coalesce(cardinality(v_ids), 0) < cardinality(v_seen) THEN
        SELECT array_agg(a.id) INTO v_aside FROM (SELECT c.id FROM managed_certificates c
            JOIN renewal_policies p ON p.id = c.renewal_policy_id
            JOIN issuers i ON i.id = c.issuer_id
            WHERE c.id = ANY (v_seen) AND NOT (p.auto_renew AND i.enabled)
            FOR SHARE OF p, i SKIP LOCKED) a;
        UPDATE managed_certificates c SET renew_after = NULL WHERE c.id = ANY (v_aside);
    END IF;
    RETURN QUERY SELECT coalesce(cardinality(v_ids), 0)::bigint, count(e.job_id),
        coalesce(array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL), '{}'),
        cardinality(v_seen)::bigint
    FROM jobs_enqueue_issue(coalesce(v_ids, '{}'), 'system', false, true) e;
    -- One whose status was written by hand while a job is under way.
    PERFORM certificates_refresh(array_agg(c.id)) FROM managed_certificates c
        WHERE c.id = ANY (v_ids) AND c.status <> 'RenewalInProgress' HAVING count(*) > 0;
    -- What could not be enqueued for any other reason is looked at again when
    -- a failed renewal would be.
    UPDATE managed_certificates c SET renew_after = v_now + make_interval(secs => greatest(p.retry_interval_seconds, 60))
    FROM renewal_policies p
    WHERE c.id = ANY (v_seen) AND c.renew_after <= v_now AND p.id = c.renewal_policy_id
        AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed');
END $$;

-- Locks and names the certificates due by p_now.  A function of its own, for
-- its settings: whatever the statistics say, the one right plan is a walk
-- along the index of what is due, from its beginning.
CREATE FUNCTION renewals_due(p_now timestamptz, p_limit int) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_sort = off AS $$
    SELECT array_agg(d.id) FROM (
        SELECT c.id FROM managed_certificates c
        WHERE c.renew_after <= p_now AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed')
        ORDER BY c.renew_after LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED) d
$$;

-- A policy's new window, percentage or auto_renew reaches its certificates.
-- Where auto_renew is off the scan sets them aside as they fall due.
CREATE OR REPLACE FUNCTION policies_renew_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM managed_certificates c WHERE c.renewal_policy_id = NEW.id AND c.expires_at IS NOT NULL
        ORDER BY c.id FOR NO KEY UPDATE;
    UPDATE managed_certificates c SET renew_after =
        renew_after_of(c.id, c.valid_from, c.expires_at, NEW.renewal_window_days, NEW.renewal_percent)
    WHERE c.renewal_policy_id = NEW.id AND c.expires_at IS NOT NULL;
    RETURN NULL;
END $$;
DROP TRIGGER policies_renew_after ON renewal_policies;
CREATE TRIGGER policies_renew_after AFTER UPDATE OF renewal_window_days, renewal_percent, auto_renew ON renewal_policies
    FOR EACH ROW
    WHEN (OLD.renewal_window_days <> NEW.renewal_window_days OR OLD.renewal_percent IS DISTINCT FROM NEW.renewal_percent
        OR (NEW.auto_renew AND NOT OLD.auto_renew))
    EXECUTE FUNCTION policies_renew_after();

CREATE FUNCTION issuers_renew_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM managed_certificates c WHERE c.issuer_id = NEW.id AND c.renew_after IS NULL AND c.expires_at IS NOT NULL
        AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed') ORDER BY c.id FOR NO KEY UPDATE;
    UPDATE managed_certificates c SET renew_after =
        renew_after_of(c.id, c.valid_from, c.expires_at, p.renewal_window_days, p.renewal_percent)
    FROM renewal_policies p
    WHERE c.issuer_id = NEW.id AND c.renew_after IS NULL AND c.expires_at IS NOT NULL
        AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed') AND p.id = c.renewal_policy_id;
    RETURN NULL;
END $$;
CREATE TRIGGER issuers_renew_after AFTER UPDATE OF enabled ON issuers FOR EACH ROW
    WHEN (NEW.enabled AND NOT OLD.enabled) EXECUTE FUNCTION issuers_renew_after();

DROP TRIGGER certificates_renew_after_moved ON managed_certificates;
CREATE TRIGGER certificates_renew_after_moved BEFORE UPDATE OF renewal_policy_id, issuer_id ON managed_certificates
    FOR EACH ROW
    WHEN (NEW.expires_at IS NOT NULL AND (NEW.renewal_policy_id <> OLD.renewal_policy_id
        OR (NEW.issuer_id <> OLD.issuer_id AND NEW.renew_after IS NULL)))
    EXECUTE FUNCTION certificates_renew_after();

-- --- the queue of tasks ---

-- By the lease: what a worker loads and finishes lies together, and a count of
-- the leases that run can start at the oldest that may.
DROP INDEX tasks_leased;
CREATE INDEX tasks_leased ON tasks (lease_id, leased_by) WHERE status = 'Running';

-- How many tasks of a kind one lease may hold.  Kinds that end in one
-- statement for all of a lease gain by many; one that calls out is alone, so
-- that it is not kept by its neighbours.
CREATE FUNCTION tasks_batch(p_kind text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_kind WHEN 'noop' THEN 1000 ELSE 1 END
$$;

-- Whether a task is due behind the low-water key, and how many leases of tasks
-- are running, p_low_lease being the oldest that may.  first_*: the first due
-- one, low_lease: the oldest lease that runs; NULL where there is none.
DROP FUNCTION tasks_due();
CREATE FUNCTION tasks_due(p_low_after timestamptz, p_low_id text, p_low_lease bigint)
RETURNS TABLE (due bool, running bigint, first_after timestamptz, first_id text, low_lease bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_sort = off AS $$
    SELECT f.id IS NOT NULL, r.n, f.run_after, f.id, r.low
    FROM (SELECT count(DISTINCT t.lease_id) AS n, min(t.lease_id) AS low FROM tasks t
        WHERE t.status = 'Running' AND t.lease_id >= p_low_lease) r
    LEFT JOIN (SELECT t.id, t.run_after FROM tasks t
        WHERE t.status = 'Pending' AND t.run_after <= engine_now() AND (t.run_after, t.id) >= (p_low_after, p_low_id)
        ORDER BY t.run_after, t.id LIMIT 1) f ON true
$$;

-- Hands due tasks to a worker as one lease: the first due one, and those
-- behind it as long as they are of its kind and its kind is done many at once.
-- Starts behind the low-water key, so that what was handed out is not walked
-- again while a snapshot somewhere keeps its dead rows.
DROP FUNCTION tasks_claim(text, bigint, text, int);
CREATE FUNCTION tasks_claim(p_incarnation text, p_term bigint, p_worker text, p_limit int, p_low_after timestamptz,
    p_low_id text)
RETURNS TABLE (lease_id bigint, claimed bigint, last_after timestamptz, last_id text, is_full bool)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_sort = off AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_lease bigint;
    v_kind text;
    v_limit int;
    v_rows tid[];
    v_ids text[];
    v_afters timestamptz[];
    v_n bigint;
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    SELECT q.kind INTO v_kind FROM tasks q
        WHERE q.status = 'Pending' AND q.run_after <= v_now AND (q.run_after, q.id) >= (p_low_after, p_low_id)
        ORDER BY q.run_after, q.id LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_limit := least(p_limit, tasks_batch(v_kind));
    -- The rows are locked, so they stay where they are.
    SELECT array_agg(l.ctid), array_agg(l.id), array_agg(l.run_after) INTO v_rows, v_ids, v_afters
    FROM (SELECT k.ctid, k.id, k.run_after, bool_or(k.kind <> v_kind) OVER (ORDER BY k.run_after, k.id) AS is_behind
        FROM (SELECT q.ctid, q.id, q.run_after, q.kind FROM tasks q
            WHERE q.status = 'Pending' AND q.run_after <= v_now AND (q.run_after, q.id) >= (p_low_after, p_low_id)
            ORDER BY q.run_after, q.id LIMIT v_limit FOR NO KEY UPDATE SKIP LOCKED) k) l
    WHERE NOT l.is_behind;
    IF v_rows IS NULL THEN
        RETURN; -- the first is just being changed by somebody: the next look
    END IF;
    v_lease := nextval('lease_seq');
    UPDATE tasks t SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
        attempt_until = clock_timestamp() + interval '60 seconds', deliveries = t.deliveries + 1
    WHERE t.ctid = ANY (v_rows);
    v_n := cardinality(v_ids);
    RETURN QUERY SELECT v_lease, v_n, v_afters[v_n], v_ids[v_n], v_n = v_limit;
END $$;

-- Frees what nobody holds any more: what workers had whose lease is over, what
-- is past its attempt's deadline, and (p_worker with p_holding given) leases a
-- worker has by our book but does not name.  A job whose fourth worker died
-- fails and says so.  Each case has a statement of its own: one for all of them
-- walks everything that runs, and every request for work asks for this.
-- p_low_lease: the oldest lease of tasks that may run.
DROP FUNCTION leases_free(text, bigint, text, bigint[]);
CREATE FUNCTION leases_free(p_incarnation text, p_term bigint, p_worker text, p_holding bigint[],
    p_low_lease bigint DEFAULT 0)
RETURNS TABLE (freed bigint, failed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_ids text[];
    v_dead text[];
    v_failed text[];
    v_task_n bigint;
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    IF p_worker IS NULL THEN
        SELECT array_agg(j.id) INTO v_ids FROM (SELECT o.id FROM jobs o
            WHERE o.status = 'Running' AND o.type IN ('Issuance', 'Renewal') AND (o.attempt_until < clock_timestamp()
                OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = o.leased_by AND w.lease_until > clock_timestamp()))
            FOR NO KEY UPDATE SKIP LOCKED) j;
    ELSE
        SELECT array_agg(j.id) INTO v_ids FROM (SELECT o.id FROM jobs o
            WHERE o.status = 'Running' AND o.type IN ('Issuance', 'Renewal') AND o.leased_by = p_worker
                AND (p_holding IS NULL OR o.lease_id <> ALL (p_holding))
            FOR NO KEY UPDATE SKIP LOCKED) j;
    END IF;
    -- A worker that lives and names its leases lost their answers, no more.
    IF p_worker IS NULL OR p_holding IS NULL THEN
        v_dead := v_ids;
    END IF;
    UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
        deaths = j.deaths + CASE WHEN j.id = ANY (v_dead) THEN 1 ELSE 0 END
    WHERE j.id = ANY (v_ids);
    -- Jobs are locked here before certificates, so nothing may wait: one whose
    -- certificate somebody holds runs alone once more.
    SELECT array_agg(d.id) INTO v_failed FROM (SELECT j.id FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id
        WHERE j.id = ANY (v_dead) AND j.deaths >= 4 FOR NO KEY UPDATE OF c SKIP LOCKED) d;
    IF v_failed IS NOT NULL THEN
        -- Its order may exist at the CA still: a person decides, for the next
        -- renewal would order a second time.
        WITH parked AS (
            UPDATE jobs j SET run_after = 'infinity', checkpoint = j.checkpoint || jsonb_build_object('state', 'uncertain'),
                last_error = 'its workers died four times while order ' || coalesce(j.checkpoint ->> 'order_reference', j.id)
                    || ' was under way, and it may exist at the CA: look there, then cancel this job and renew again'
            WHERE j.id = ANY (v_failed) AND j.checkpoint ->> 'state' IN ('placing', 'uncertain')
            RETURNING j.id, j.certificate_id, j.last_error
        ), audited AS (
            INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details)
            SELECT 'system', 'System', 'renewal_job_order_uncertain', 'certificate', coalesce(k.certificate_id, ''),
                jsonb_build_object('job_id', k.id, 'error', k.last_error)
            FROM parked k
        )
        SELECT array_agg(f.id) INTO v_failed FROM unnest(v_failed) AS f (id) WHERE f.id NOT IN (SELECT k.id FROM parked k);
    END IF;
    IF v_failed IS NOT NULL THEN
        PERFORM job_finish(v_failed, array_fill('Failed'::text, ARRAY[cardinality(v_failed)]),
            array_fill('its workers died four times while running it'::text, ARRAY[cardinality(v_failed)]));
    END IF;
    IF p_worker IS NULL THEN
        UPDATE tasks t SET status = CASE WHEN t.deaths >= 3 THEN 'Failed' ELSE 'Pending' END, leased_by = NULL, lease_id = NULL,
            attempt_until = NULL, deaths = t.deaths + 1
        WHERE t.status = 'Running' AND t.lease_id >= p_low_lease AND (t.attempt_until < clock_timestamp()
            OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = t.leased_by AND w.lease_until > clock_timestamp()));
    ELSE
        UPDATE tasks t SET status = CASE WHEN t.deaths >= 3 THEN 'Failed' ELSE 'Pending' END, leased_by = NULL, lease_id = NULL,
            attempt_until = NULL, deaths = t.deaths + 1
        WHERE t.status = 'Running' AND t.lease_id >= p_low_lease AND t.leased_by = p_worker
            AND (p_holding IS NULL OR t.lease_id <> ALL (p_holding));
    END IF;
    GET DIAGNOSTICS v_task_n = ROW_COUNT;
    RETURN QUERY SELECT coalesce(cardinality(v_ids), 0) + v_task_n, coalesce(cardinality(v_failed), 0)::bigint;
END $$;

-- The end of tasks that leave nothing behind, all of a lease in one statement.
-- A join, for it is hashed; "= ANY (p_ids)" is searched from its beginning for
-- each row unless the array is a constant.
CREATE FUNCTION tasks_done(p_worker text, p_lease bigint, p_ids text[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off AS $$
    WITH done AS (
        DELETE FROM tasks t USING unnest(p_ids) AS u (id)
        WHERE t.id = u.id AND t.lease_id = p_lease AND t.leased_by = p_worker AND t.status = 'Running'
        RETURNING 1)
    SELECT count(*) FROM done
$$;

DO $$
DECLARE
    r text;
BEGIN
    REVOKE ALL ON FUNCTION duty_renewal_scan(int), renewals_due(timestamptz, int), issuers_renew_after(), tasks_batch(text),
        tasks_due(timestamptz, text, bigint), tasks_claim(text, bigint, text, int, timestamptz, text),
        tasks_done(text, bigint, text[]), leases_free(text, bigint, text, bigint[], bigint) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT EXECUTE ON FUNCTION duty_renewal_scan(int), tasks_due(timestamptz, text, bigint),
            tasks_claim(text, bigint, text, int, timestamptz, text), leases_free(text, bigint, text, bigint[], bigint)
            TO certctl_scheduler;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_worker') THEN
        GRANT EXECUTE ON FUNCTION tasks_done(text, bigint, text[]) TO certctl_worker;
    END IF;
    FOREACH r IN ARRAY '{certctl_apiserver,certctl_scheduler,certctl_worker}'::text[] LOOP
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION issuers_renew_after() TO %I', r);
        END IF;
    END LOOP;
END $$;
