DROP FUNCTION tasks_done(text, bigint, text[]), tasks_claim(text, bigint, text, int, timestamptz, text),
    tasks_due(timestamptz, text, bigint), tasks_batch(text), leases_free(text, bigint, text, bigint[], bigint);
CREATE FUNCTION leases_free(p_incarnation text, p_term bigint, p_worker text, p_holding bigint[])
RETURNS TABLE (freed bigint, failed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
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
    SELECT array_agg(j.id), array_agg(j.id) FILTER (WHERE j.worker_died) INTO v_ids, v_dead FROM (
        SELECT o.id, o.leased_by <> coalesce(p_worker, '') AS worker_died FROM jobs o
        WHERE o.status = 'Running' AND o.type IN ('Issuance', 'Renewal')
            AND CASE WHEN p_worker IS NULL THEN o.attempt_until < clock_timestamp()
                    OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = o.leased_by AND w.lease_until > clock_timestamp())
                ELSE o.leased_by = p_worker AND (p_holding IS NULL OR o.lease_id <> ALL (p_holding)) END
        FOR NO KEY UPDATE SKIP LOCKED) j;
    IF p_worker IS NOT NULL AND p_holding IS NULL THEN
        v_dead := v_ids; -- its pipe closed: the process is gone
    END IF;
    UPDATE jobs j SET status = 'Pending', leased_by = NULL, lease_id = NULL, attempt_until = NULL,
        deaths = j.deaths + CASE WHEN j.id = ANY (v_dead) THEN 1 ELSE 0 END
    WHERE j.id = ANY (v_ids);
    SELECT array_agg(j.id) INTO v_failed FROM jobs j WHERE j.id = ANY (v_dead) AND j.deaths >= 4;
    IF v_failed IS NOT NULL THEN
        PERFORM job_finish(v_failed, array_fill('Failed'::text, ARRAY[cardinality(v_failed)]),
            array_fill('its workers died four times while running it'::text, ARRAY[cardinality(v_failed)]));
    END IF;
    UPDATE tasks t SET status = CASE WHEN t.deaths >= 3 THEN 'Failed' ELSE 'Pending' END, leased_by = NULL, lease_id = NULL,
        attempt_until = NULL, deaths = t.deaths + 1
    WHERE t.status = 'Running'
        AND CASE WHEN p_worker IS NULL THEN t.attempt_until < clock_timestamp()
                OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = t.leased_by AND w.lease_until > clock_timestamp())
            ELSE t.leased_by = p_worker AND (p_holding IS NULL OR t.lease_id <> ALL (p_holding)) END;
    GET DIAGNOSTICS v_task_n = ROW_COUNT;
    RETURN QUERY SELECT coalesce(cardinality(v_ids), 0) + v_task_n, coalesce(cardinality(v_failed), 0)::bigint;
END $$;
CREATE FUNCTION tasks_due() RETURNS TABLE (due bool, running bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM tasks WHERE status = 'Pending' AND run_after <= engine_now()),
        (SELECT count(DISTINCT lease_id) FROM tasks WHERE status = 'Running')
$$;
CREATE FUNCTION tasks_claim(p_incarnation text, p_term bigint, p_worker text, p_limit int)
RETURNS TABLE (lease_id bigint, claimed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := engine_now();
    v_lease bigint;
    v_n bigint;
BEGIN
    IF NOT leadership_is(p_term, p_incarnation) THEN
        RAISE EXCEPTION 'term % of % is over', p_term, p_incarnation USING ERRCODE = 'CT001';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = p_worker AND w.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    v_lease := nextval('lease_seq');
    UPDATE tasks t SET status = 'Running', lease_id = v_lease, leased_by = p_worker,
        attempt_until = clock_timestamp() + interval '60 seconds', deliveries = t.deliveries + 1
    WHERE t.id IN (SELECT q.id FROM tasks q WHERE q.status = 'Pending' AND q.run_after <= v_now
        ORDER BY q.run_after, q.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_n = ROW_COUNT;
    IF v_n > 0 THEN
        RETURN QUERY SELECT v_lease, v_n;
    END IF;
END $$;
DROP INDEX tasks_leased;
CREATE INDEX tasks_leased ON tasks (leased_by, lease_id) WHERE status = 'Running';
DROP TRIGGER certificates_renew_after_moved ON managed_certificates;
CREATE TRIGGER certificates_renew_after_moved BEFORE UPDATE OF renewal_policy_id ON managed_certificates FOR EACH ROW
    WHEN (NEW.expires_at IS NOT NULL AND NEW.renewal_policy_id <> OLD.renewal_policy_id)
    EXECUTE FUNCTION certificates_renew_after();
DROP TRIGGER issuers_renew_after ON issuers;
DROP FUNCTION issuers_renew_after();
DROP TRIGGER policies_renew_after ON renewal_policies;
CREATE TRIGGER policies_renew_after AFTER UPDATE OF renewal_window_days, renewal_percent ON renewal_policies FOR EACH ROW
    WHEN (OLD.renewal_window_days <> NEW.renewal_window_days OR OLD.renewal_percent IS DISTINCT FROM NEW.renewal_percent)
    EXECUTE FUNCTION policies_renew_after();
CREATE OR REPLACE FUNCTION policies_renew_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE managed_certificates c SET renew_after =
        renew_after_of(c.id, c.valid_from, c.expires_at, NEW.renewal_window_days, NEW.renewal_percent)
    WHERE c.renewal_policy_id = NEW.id AND c.expires_at IS NOT NULL;
    RETURN NULL;
END $$;
DROP FUNCTION duty_renewal_scan(int), renewals_due(timestamptz, int);
CREATE FUNCTION duty_renewal_scan(p_limit int)
RETURNS TABLE (due bigint, enqueued bigint, agents text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_ids text[];
BEGIN
    SELECT array_agg(d.id) INTO v_ids FROM (
        SELECT c.id FROM managed_certificates c
        JOIN renewal_policies p ON p.id = c.renewal_policy_id AND p.auto_renew
        JOIN issuers i ON i.id = c.issuer_id AND i.enabled
        WHERE c.renew_after <= v_now AND c.status IN ('Active', 'Expiring', 'Expired', 'Failed')
        ORDER BY c.renew_after LIMIT p_limit
        FOR NO KEY UPDATE OF c SKIP LOCKED) d;
    IF v_ids IS NULL THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint, '{}'::text[];
        RETURN;
    END IF;
    RETURN QUERY SELECT cardinality(v_ids)::bigint, count(e.job_id),
        coalesce(array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL), '{}')
    FROM jobs_enqueue_issue(v_ids, 'system', false, true) e;
    -- A certificate with a job under way is not due; one that says so all the
    -- same (its status was written by hand) would be met by every chunk.
    PERFORM certificates_refresh(array_agg(c.id)) FROM managed_certificates c
        WHERE c.id = ANY (v_ids) AND c.status <> 'RenewalInProgress';
END $$;
DROP INDEX managed_certificates_set_aside;
UPDATE managed_certificates c SET renew_after =
    renew_after_of(c.id, c.valid_from, c.expires_at, p.renewal_window_days, p.renewal_percent)
FROM renewal_policies p
WHERE c.renew_after IS NULL AND c.expires_at IS NOT NULL AND p.id = c.renewal_policy_id;
DO $$
BEGIN
    REVOKE ALL ON FUNCTION duty_renewal_scan(int), tasks_due(), tasks_claim(text, bigint, text, int),
        leases_free(text, bigint, text, bigint[]) FROM PUBLIC;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'certctl_scheduler') THEN
        GRANT EXECUTE ON FUNCTION duty_renewal_scan(int), tasks_due(), tasks_claim(text, bigint, text, int),
            leases_free(text, bigint, text, bigint[]) TO certctl_scheduler;
    END IF;
END $$;
