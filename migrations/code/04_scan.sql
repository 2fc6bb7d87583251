-- What falls due by itself: renewals, and deployments that are behind.  What a tick costs follows from what is due, not
-- from the inventory.

-- Locks and names the certificates due by p_now.  Those whose policy changed and that have not followed yet are due by what
-- it says now, else stale.  A function of its own, for its settings: whatever the statistics say, the one right plan is a
-- walk along the index of what is due, from its beginning.
--
-- cut: what ends with its CA, whose renewal would end no later.  One that was issued otherwise than its row asks is due
-- whatever its time.  What an ACME client obtained is never due, whatever its policy: nobody else has a key for it.
CREATE FUNCTION renewals_due(p_now timestamptz, p_limit int, OUT seen text[], OUT due text[], OUT stale text[], OUT cut text[])
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
    SELECT array_agg(d.id),
        array_agg(d.id) FILTER (WHERE p.auto_renew AND i.enabled AND a.certificate_id IS NULL AND (d.is_wanted
            OR NOT coalesce(d.expires_at >= ca.not_after, false) AND (k.policy_id IS NULL OR least(renew_after_of(d.id, d.valid_from, d.expires_at, p.renewal_window_days, p.renewal_percent), renewal_window_at(d.id)) <= p_now))),
        array_agg(d.id) FILTER (WHERE NOT d.is_wanted AND k.policy_id IS NOT NULL
            AND least(renew_after_of(d.id, d.valid_from, d.expires_at, p.renewal_window_days, p.renewal_percent), renewal_window_at(d.id)) > p_now),
        array_agg(d.id) FILTER (WHERE NOT d.is_wanted AND d.expires_at >= ca.not_after)
    FROM (SELECT c.id, c.renewal_policy_id, c.issuer_id, c.valid_from, c.expires_at, c.renewal_wanted IS NOT NULL AS is_wanted
        FROM managed_certificates c WHERE c.renew_after <= p_now AND certificate_renews(c.status)
        ORDER BY c.renew_after LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED) d
    JOIN renewal_policies p ON p.id = d.renewal_policy_id JOIN issuers i ON i.id = d.issuer_id
    LEFT JOIN policy_changes k ON k.policy_id = d.renewal_policy_id
    LEFT JOIN acme_certificates a ON a.certificate_id = d.id
    LEFT JOIN ca_certificates ca ON ca.issuer_id = d.issuer_id AND ca.state = 'current'
$$;

-- One chunk of certificates whose renewal falls due, oldest first.  Each row seen leaves the index that it was found by, so
-- that no chunk meets it again whatever became of it.  seen: as many as p_limit, and there may be more.  What jobs_enqueue
-- made a job for is done: nothing else asks about it.
CREATE FUNCTION duty_renewal_scan(p_limit int, OUT due bigint, OUT enqueued bigint, OUT agents text[], OUT seen bigint)
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    v_now timestamptz := engine_now();
    v_seen text[]; v_ids text[]; v_stale text[]; v_cut text[]; v_made text[];
    v_rest text[]; -- those seen that got no job; usually none
    v_held text[]; -- among them
BEGIN
    -- What a CA's window made due is met by this scan.
    UPDATE renewal_windows w SET due_at = NULL FROM (SELECT d.certificate_id, d.key_holder FROM renewal_windows d
        WHERE d.due_at <= v_now FOR NO KEY UPDATE SKIP LOCKED) m WHERE w.certificate_id = m.certificate_id AND w.key_holder = m.key_holder;
    SELECT r.seen, r.due, r.stale, r.cut INTO v_seen, v_ids, v_stale, v_cut FROM renewals_due(v_now, p_limit) r;
    seen := coalesce(cardinality(v_seen), 0); due := coalesce(cardinality(v_ids), 0); enqueued := 0; agents := '{}';
    IF seen = 0 THEN RETURN; END IF;
    PERFORM certificates_retime(v_stale);
    -- Until the CA is another: see ca_certificate_store.
    UPDATE managed_certificates c SET renew_after = 'infinity' FROM unnest(v_cut) AS u (id) WHERE c.id = u.id;
    IF due < seen THEN
        UPDATE managed_certificates c SET renew_after = NULL
        FROM unnest(v_seen) AS u (id), renewal_policies p, issuers i
        WHERE c.id = u.id AND p.id = c.renewal_policy_id AND i.id = c.issuer_id
            AND NOT (p.auto_renew AND i.enabled AND NOT EXISTS (SELECT 1 FROM acme_certificates a WHERE a.certificate_id = c.id))
            AND c.renew_after <= v_now;
    END IF;
    IF v_ids IS NOT NULL THEN
        SELECT count(e.job_id), array_agg(e.certificate_id) FILTER (WHERE e.job_id IS NOT NULL),
            coalesce(array_agg(DISTINCT e.agent_id) FILTER (WHERE e.agent_id IS NOT NULL), '{}'),
            array_agg(e.certificate_id) FILTER (WHERE e.outcome = 'held')
        INTO enqueued, v_made, agents, v_held FROM jobs_enqueue(v_ids, 'system', 'System', false, true, true) e;
    END IF;
    SELECT array_agg(s.id) INTO v_rest FROM unnest(v_seen) AS s (id) WHERE s.id NOT IN (SELECT m.id FROM unnest(v_made) AS m (id));
    IF v_rest IS NOT NULL THEN
        -- One whose status was written by hand while a job is under way.  None twice: then its foreign keys are checked.
        PERFORM certificates_refresh(array_agg(d.id)) FROM unnest(v_ids) AS d (id)
            WHERE d.id IN (SELECT r.id FROM unnest(v_rest) AS r (id))
                AND d.id NOT IN (SELECT h.id FROM unnest(v_held) AS h (id)) HAVING count(*) > 0;
        -- What could not be enqueued otherwise is looked at again when a failed renewal would be, what is held soon.
        UPDATE managed_certificates c SET renew_after = v_now + retry_after(CASE WHEN c.id NOT IN
            (SELECT h.id FROM unnest(v_held) AS h (id)) THEN p.retry_interval_seconds END, c.expires_at - c.valid_from)
        FROM unnest(v_rest) AS r (id), renewal_policies p
        WHERE c.id = r.id AND c.renew_after <= v_now AND p.id = c.renewal_policy_id AND certificate_renews(c.status);
    END IF;
END $$;

-- Whether the clock has made work for a duty that its next tick is too late for: renewals of short lives, or that a CA wants
-- now, and statuses.
-- Asked for every duty once a second: its plans are kept, which those of a function in SQL are not.
CREATE FUNCTION duty_cannot_wait(p_name text) RETURNS bool
LANGUAGE plpgsql STABLE SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    IF p_name = 'renewal_scan' THEN
        RETURN EXISTS (SELECT 1 FROM managed_certificates c
            WHERE certificate_renews(c.status) AND c.expires_at - c.valid_from < '6 days' AND c.renew_after <= (SELECT engine_now()))
            OR EXISTS (SELECT 1 FROM renewal_windows w WHERE w.due_at <= (SELECT engine_now()));
    ELSIF p_name IN ('certificate_status', 'short_lived_expiry') THEN
        RETURN EXISTS (SELECT 1 FROM managed_certificates c
            WHERE c.status IN ('Active', 'Expiring') AND certificate_changes_at(c) <= (SELECT engine_now()));
    END IF;
    RETURN false;
END $$;

-- How many certificates a scan that ran out of time left, at most p_limit.
CREATE FUNCTION renewals_left(p_limit int) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off AS $$
    SELECT count(*) FROM (SELECT 1 FROM managed_certificates c
        JOIN renewal_policies p ON p.id = c.renewal_policy_id AND p.auto_renew
        JOIN issuers i ON i.id = c.issuer_id AND i.enabled
        WHERE c.renew_after <= (SELECT engine_now()) AND certificate_renews(c.status) LIMIT p_limit) d
$$;

-- --- a tick's budget ---
-- A renewal tick's budget ends where the next tick begins: what the scan had started and still runs at an outside CA is
-- asked to stop before its outside effect, or at its next checkpoint.  It comes back as Pending, nothing counted.  Batches
-- of the local CA take moments and are left alone.
CREATE FUNCTION duty_renewal_budget() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH asked AS (
        UPDATE jobs j SET budget_over_at = engine_now()
        WHERE j.id IN (SELECT o.id FROM jobs o JOIN issuers i ON i.id = o.issuer_id
            WHERE o.status = 'Running' AND job_issues(o.type) AND o.requested_by = 'system'
                AND o.budget_over_at IS NULL AND lower(i.type) <> 'genericca'
            FOR NO KEY UPDATE OF o SKIP LOCKED) RETURNING 1)
    SELECT count(*) FROM asked
$$;

-- Locks and names certificates with a target that should serve another version and for which no deployment is under way.
-- What is behind comes first whatever the statistics say; what belongs to it is looked up, not joined.
CREATE FUNCTION deployments_behind(p_now timestamptz, p_limit int) RETURNS text[]
LANGUAGE sql SECURITY DEFINER SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    WITH behind AS MATERIALIZED (
        SELECT m.certificate_id FROM certificate_target_mappings m
        WHERE m.desired_version_id IS DISTINCT FROM m.deployed_version_id AND m.deploy_after <= p_now
            AND (SELECT v.not_after > p_now FROM certificate_versions v WHERE v.id = m.desired_version_id)
            AND (SELECT t.enabled AND t.retired_at IS NULL AND (SELECT a.retired_at IS NULL FROM agents a WHERE a.id = t.agent_id FOR KEY SHARE SKIP LOCKED)
                FROM deployment_targets t WHERE t.id = m.target_id FOR KEY SHARE SKIP LOCKED)
            AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.dedupe_key = 'deploy:' || m.certificate_id || ':' || m.target_id
                AND job_is_active(j.status))
    )
    SELECT array_agg(d.certificate_id) FROM (
        SELECT c.id AS certificate_id FROM behind b
        JOIN managed_certificates c ON c.id = b.certificate_id AND c.status NOT IN ('Revoked', 'Archived')
        ORDER BY c.id LIMIT p_limit FOR NO KEY UPDATE OF c SKIP LOCKED) d
$$;

CREATE FUNCTION duty_redeploy(p_limit int, OUT rows bigint, OUT agents text[]) LANGUAGE sql SECURITY DEFINER AS $$
    SELECT count(f.job_id), coalesce(array_agg(DISTINCT f.agent_id), '{}')
    FROM (SELECT engine_now() AS at) n CROSS JOIN LATERAL deployments_fan_out(deployments_behind(n.at, p_limit), n.at) f
$$;
